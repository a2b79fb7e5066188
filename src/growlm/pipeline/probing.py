"""The probe: each way to a child trained for a few steps on the same batches, in memory only."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median

from torch import Tensor

from growlm import checkpoint
from growlm.base.errors import CorpusError, RecipeError
from growlm.base.files import sha256_bytes
from growlm.base.seeds import seed_for
from growlm.checkpoint import DataPosition
from growlm.corpus.manifest import Manifest
from growlm.corpus.mixture import Batcher, Sampler
from growlm.corpus.schedules import Layout, Phase, Weighting
from growlm.corpus.shards import TokenStream
from growlm.growth.apply import grow_weights
from growlm.growth.moments import grow_moments
from growlm.growth.plan import GrowthPlan
from growlm.huggingface.reading import load, read_folder
from growlm.huggingface.tokens import read_tokens
from growlm.model.config import GPTConfig
from growlm.model.cost import training_flops_per_token
from growlm.model.gpt import with_weights
from growlm.optim.adamw import load_state_tensors
from growlm.optim.schedule import WarmupStableDecay
from growlm.pipeline.advising import Parent
from growlm.pipeline.data import batch_at, check_shards, held_out_tokenizers, spread_windows
from growlm.pipeline.events import Begun, Done, Event, Notice, Progress
from growlm.pipeline.folder import RunFolder, enclosing, existing
from growlm.pipeline.open import check_prepared, recorded_experiment
from growlm.pipeline.optimizing import kind_of, optimizer_of
from growlm.recipe.experiment import Experiment
from growlm.recipe.optimizer import Optimizer
from growlm.training.device import choose_device
from growlm.training.loop import train
from growlm.training.state import TrainState, seed_dropout
from growlm.training.step import Batch, StepSettings
from growlm.training.validation import mixed_loss, validation_losses

CONTINUED = "parent continued"
"""The row of what no growth at all would do."""

MICRO_TOKENS = 8_192
"""Tokens in one forward pass, at most, but for a single longer sequence."""
SEQUENCES = 8
"""Sequences in a batch where nobody says."""
WARMUP_SHARE = 0.1
"""Share of the steps in which the rate rises; it is constant from there on."""
OPTIMIZER_STATE = "asymmetric"

LIMITS = (
    "A short probe favours exact growths, which begin at the parent's loss, over repeated layers, "
    "which jump and recover: early losses predict the end poorly (arXiv:2602.02472; 2406.02469, "
    "abstract). One seed; differences of about 0.01 nats mean nothing."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A probe that somebody asks for."""

    run: Path
    """Whose shards it trains on."""
    steps: int
    peak_lr: float | None
    """The rate at which the parent stopped when None."""
    batch: int | None
    """Tokens in a batch; the parent's when None."""
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What a few steps did to one model."""

    model: str
    layers: int
    loss_before: float
    loss_after: float
    flops: float


@dataclass(slots=True, kw_only=True)
class Findings:
    """Where rows are collected; an interrupted probe leaves those that were done."""

    rows: list[Row] = field(default_factory=list[Row])


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """All that a probe needs, checked before its first step."""

    parent: Parent
    probe: Probe
    lr: float
    sequences: int
    optimizer: Optimizer
    """Of the kind whose state the parent has, at the rate of the probe."""
    settings: StepSettings
    batches: Batcher
    first_cursor: int
    windows: Mapping[str, Batch]
    weights: Mapping[str, float]
    """Of the sources that are drawn from."""
    follows: bool
    """Whether the batches go on where the parent stopped."""
    masked: bool
    """Whether a token sees only tokens of its own document, as in the parent's training."""

    @property
    def batch_tokens(self) -> int:
        """Tokens in a batch."""
        return self.sequences * self.parent.context


def bench_of(parent: Parent, probe: Probe) -> Bench:
    """Return what a probe needs, once it is known that it can work.

    Raises:
        FolderError: There is no such run, or it has no shards.
        CorpusError: Its shards are damaged, too short, or not in the parent's tokens.
        RecipeError: Nobody knows the learning rate, or a batch holds no whole sequence.
    """
    folder = existing(probe.run)
    experiment = recorded_experiment(folder)
    check_prepared(folder, experiment)
    _check_tokenizer(parent, folder)
    position = _position(parent, folder)
    sampler, cursor = (
        _followed(position, parent.context)
        if position
        else (_fresh(parent, folder, experiment, probe.seed), 0)
    )
    names = [source.name for source in sampler.sources]
    drawn = zip(names, sampler.weightings[-1].weights, strict=True)
    weights = {name: weight for name, weight in drawn if weight}
    check_shards(folder, weights, tokenizer=_tokenizer(parent))
    pace = _pace(parent, probe, experiment)
    masked = bool(parent.meta and parent.meta.training.get("document_masking", False))
    tokens = experiment.validation.tokens
    return Bench(
        parent=parent,
        probe=probe,
        lr=pace.optimizer.peak_lr,
        sequences=pace.batch // parent.context,
        optimizer=pace.optimizer,
        settings=pace.settings,
        batches=Batcher(
            sampler=sampler,
            streams=tuple(TokenStream(folder.corpus / name / "train") for name in names),
        ),
        first_cursor=cursor,
        windows=_windows(folder, weights, parent.context, tokens=tokens, masked=masked),
        weights=weights,
        follows=position is not None,
        masked=masked,
    )


def run_probe(bench: Bench, plans: Mapping[str, GrowthPlan], found: Findings) -> Iterator[Event]:
    """Train the parent and each child for a few steps, and collect the rows.

    Args:
        bench: What they are trained on.
        plans: Each way to the child, by its name.
        found: Filled.

    Raises:
        TrainingError: A loss is no longer finite.
    """
    if not bench.follows:
        yield Notice(
            text="the parent did not read these shards in this order, so a probe may repeat what "
            "it has already seen"
        )
    weights, moments = _contents(bench.parent)
    config = bench.parent.config
    yield from _trained(bench, CONTINUED, config, weights, moments, found)
    for name, plan in plans.items():
        yield from _trained(
            bench,
            name,
            plan.child,
            grow_weights(weights, plan),
            grow_moments(moments, plan, mode=OPTIMIZER_STATE),
            found,
        )


def _trained(  # noqa: PLR0917 - two callers, above
    bench: Bench,
    name: str,
    config: GPTConfig,
    weights: Mapping[str, Tensor],
    moments: Mapping[str, Tensor],
    found: Findings,
) -> Iterator[Event]:
    step, started = f"probe:{name}", time.perf_counter()
    yield Begun(step=step)
    state = _state(bench, config, weights, moments)
    before = _loss(bench, state)
    yield from _steps(bench, state, step)
    row = Row(
        model=name,
        layers=config.layers,
        loss_before=before,
        loss_after=_loss(bench, state),
        flops=bench.probe.steps
        * bench.batch_tokens
        * training_flops_per_token(config, context=bench.parent.context),
    )
    found.rows.append(row)
    yield Done(
        step=step,
        seconds=time.perf_counter() - started,
        result=f"held-out loss {row.loss_before:.4f} -> {row.loss_after:.4f}",
    )


def _state(
    bench: Bench, config: GPTConfig, weights: Mapping[str, Tensor], moments: Mapping[str, Tensor]
) -> TrainState:
    seed_dropout(bench.probe.seed, "probe")
    model = with_weights(config, weights).to(choose_device())
    optimizer = optimizer_of(bench.optimizer, model)
    load_state_tensors(model, optimizer, moments)
    return TrainState(model=model, optimizer=optimizer, step=0, cursor=bench.first_cursor)


def _steps(bench: Bench, state: TrainState, name: str) -> Iterator[Event]:
    steps, seconds = bench.probe.steps, list[float]()
    device, sequences = next(state.model.parameters()).device, bench.sequences
    schedule = WarmupStableDecay(
        warmup_steps=max(1, int(WARMUP_SHARE * steps)), steps=steps, decay_steps=0, final_share=1.0
    )
    records = train(
        state,
        lambda cursor: batch_at(bench.batches, cursor, sequences, masked=bench.masked).to(device),
        schedule,
        steps=steps,
        peak_lr=bench.lr,
        settings=bench.settings,
    )
    for record in records:
        seconds.append(record.seconds)
        yield Progress(
            step=name,
            done=record.step,
            total=steps,
            unit="steps",
            loss=record.loss,
            tokens_per_second=bench.batch_tokens / record.seconds,
            seconds_left=(steps - record.step) * median(seconds),
        )


def _loss(bench: Bench, state: TrainState) -> float:
    device = next(state.model.parameters()).device
    windows = {name: each.to(device) for name, each in bench.windows.items()}
    micro = bench.settings.micro_sequences
    return mixed_loss(validation_losses(state.model, windows, micro_sequences=micro), bench.weights)


def _contents(parent: Parent) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the parent's weights and moments; an imported one has no moments."""
    if parent.meta is None:
        return load(read_folder(parent.path)), {}
    return checkpoint.load_weights(parent.path), checkpoint.load_optimizer(parent.path)


def _tokenizer(parent: Parent) -> str:
    """Return the SHA-256 of the parent's tokenizer."""
    if parent.meta is not None:
        return parent.meta.files[checkpoint.TOKENIZER]
    tokens = read_tokens(read_folder(parent.path), end_of_text=None)
    return sha256_bytes(tokens.tokenizer.json.encode())


def _check_tokenizer(parent: Parent, folder: RunFolder) -> None:
    if _tokenizer(parent) not in held_out_tokenizers(folder):
        raise CorpusError(
            f"run {folder.path} to hold shards in the tokens of {parent.path}",
            got="those of another tokenizer",
            fix="--run with a run whose tokenizer.file is the parent's",
        )


def _position(parent: Parent, folder: RunFolder) -> DataPosition | None:
    """Return where the parent stands in this run's data, if that is what it was trained on."""
    position = parent.meta.data if parent.meta else None
    if position is None:
        return None
    places = {name: folder.corpus / name / "train" for name in position.sources}
    here = {name: place for name, place in places.items() if (place / "manifest.json").is_file()}
    found = {name: Manifest.read(place).source_id for name, place in here.items()}
    return position if found == dict(position.sources) else None


def _followed(position: DataPosition, context: int) -> tuple[Sampler, int]:
    """Return the sampler that the parent read by, and the sample to go on from.

    Where the parent was grown to another context and not trained at it yet, that begins at the
    next boundary between blocks.
    """
    known = position.sampler
    sampler = Sampler(
        seed=known["seed"],
        sources=tuple(Layout(**each) for each in known["sources"]),
        slot=known["slot"],
        block=known["block"],
        jitter=known["jitter"],
        weightings=tuple(
            Weighting(start_draw=each["start_draw"], weights=tuple(each["weights"]))
            for each in known["weightings"]
        ),
        phases=tuple(Phase(**each) for each in known["phases"]),
    )
    if sampler.phases[-1].context == context:
        return sampler, position.cursor
    start = sampler.next_boundary(position.cursor)
    phase = Phase(start_draw=start, context=context)
    earlier = (each for each in sampler.phases if each.start_draw < start)
    moved = replace(sampler, phases=(*earlier, phase))
    return moved, moved.first_sample(start)


def _fresh(parent: Parent, folder: RunFolder, experiment: Experiment, seed: int) -> Sampler:
    """Return a sampler of the recipe's sources in an order of its own."""
    layouts = {
        source.name: Manifest.read(folder.corpus / source.name / "train").n_tok
        for source in experiment.source
    }
    weights = tuple(source.weight for source in experiment.source)
    return Sampler(
        seed=seed_for(seed, "probe"),
        sources=tuple(Layout(name=name, tokens=tokens) for name, tokens in layouts.items()),
        slot=parent.context,
        block=experiment.mixture.block,
        jitter=experiment.mixture.jitter,
        weightings=(Weighting(start_draw=0, weights=weights),),
        phases=(Phase(start_draw=0, context=parent.context),),
    )


def _windows(
    folder: RunFolder, names: Mapping[str, float], context: int, *, tokens: int, masked: bool
) -> dict[str, Batch]:
    windows = spread_windows(folder, names, context, tokens=tokens, masked=masked)
    for name, each in windows.items():
        if not each.targets:
            raise CorpusError(
                f"held-out documents of '{name}' to fill one window of {context} tokens",
                got="fewer",
                fix="a run with a larger validation.share, or more documents",
            )
    return windows


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pace:
    """How a probe trains."""

    optimizer: Optimizer
    settings: StepSettings
    batch: int


def _pace(parent: Parent, probe: Probe, experiment: Experiment) -> _Pace:
    """Return the parent's own settings where its recipe is known, else those of the run's."""
    home = enclosing(parent.path)
    stages = recorded_experiment(home).stage if home is not None and parent.lineage else ()
    own = next((stage for stage in stages if stage.name == parent.lineage[-1].stage), None)
    section = (own or experiment.stage[0]).optimizer
    share = parent.lr_share_of_peak if own else None
    lr = _lr(probe.peak_lr, share, peak_lr=section.peak_lr)
    kind = kind_of(checkpoint.unread_optimizer(parent.path)) if parent.meta else None
    batch = probe.batch or (own.batch if own else SEQUENCES * parent.context)
    if batch < parent.context:
        raise RecipeError(
            f"--batch of one sequence of {parent.context} tokens or more",
            got=f"{batch}",
            fix=f"--batch {SEQUENCES * parent.context}",
        )
    return _Pace(
        optimizer=section.model_copy(update={"peak_lr": lr, "kind": kind or section.kind}),
        settings=StepSettings(
            micro_sequences=max(MICRO_TOKENS // parent.context, 1),
            clip_norm=section.clip_norm,
            clip_value=section.clip_value,
            z_loss=section.z_loss,
        ),
        batch=batch,
    )


def _lr(told: float | None, share: float | None, *, peak_lr: float) -> float:
    """Return the rate to probe at: what somebody told, else the one at which the parent stopped."""
    if told is not None:
        return told
    if share:
        return peak_lr * share
    raise RecipeError(
        "--peak-lr, the learning rate to probe at",
        got="a parent whose own is not recorded" if share is None else "a parent that ended at 0",
        fix="--peak-lr 2e-4" if share is None else f"--peak-lr {peak_lr:g}",
    )
