"""The train step: one stage from its first weights, or from where it stopped, to its end."""

import re
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from growlm import checkpoint
from growlm.base.errors import CheckpointError, GrowlmError, Stopped
from growlm.base.files import remove, sha256_bytes, storage
from growlm.base.seeds import seed_for
from growlm.checkpoint import Ancestor, Contents, Meta
from growlm.corpus import ledger
from growlm.corpus.ledger import Segment
from growlm.growth.apply import Factors, Grower
from growlm.growth.plan import GrowthPlan
from growlm.growth.symmetry import depth_distance, unit_distances
from growlm.model.gpt import GPT
from growlm.model.init import initialize
from growlm.optim.adamw import AdamWSettings, adamw
from growlm.optim.schedule import Resumed
from growlm.pipeline.data import (
    Sources,
    StageData,
    batch_at,
    batcher,
    check_same_data,
    check_shards,
    held_out_windows,
    position,
    stage_data,
)
from growlm.pipeline.events import Event, Notice, Progress, Stop
from growlm.pipeline.exposing import segments_of
from growlm.pipeline.folder import RunFolder
from growlm.pipeline.plan import Plan
from growlm.pipeline.resuming import course_facts, resumed_at_first, settled
from growlm.pipeline.stageplan import StagePlan
from growlm.runlog import (
    AnyRecord,
    Apart,
    Copies,
    Notice as LoggedNotice,
    Saved,
    Start,
    Step,
    ValidationLoss,
    Writer,
    read,
    rewind,
)
from growlm.training.device import choose_device, compile_layers, describe, why_not_compiled
from growlm.training.loop import Faster, train
from growlm.training.state import TrainState, random_tensors, restore_random, seed_dropout
from growlm.training.step import Batch, StepSettings
from growlm.training.validation import mixed_loss, validation_losses

STEP_FOLDER = re.compile(r"^step-(\d+)$")
RECENT = 20
"""Steps whose median time predicts the time left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """A stage about to be trained, with everything it needs."""

    plan: Plan
    stage: StagePlan
    folder: RunFolder
    sources: Sources
    data: StageData
    tokenizer: str
    """The tokenizer's JSON."""
    stop: Stop
    segments: tuple[Segment, ...] = ()
    """The stages of the exposure ledger, this one last and up to its end."""

    @property
    def place(self) -> Path:
        """Where the run log and the checkpoints go."""
        return self.folder.training(self.stage.name)


def training_of(
    plan: Plan, stage: StagePlan, folder: RunFolder, sources: Sources, *, stop: Stop
) -> Training:
    """Return a stage ready to be trained."""
    with storage(folder.tokenizer):
        # Bytes: its SHA-256 is its identity, so no newline may be translated.
        tokenizer = folder.tokenizer.read_bytes().decode()
    return Training(
        plan=plan,
        stage=stage,
        folder=folder,
        sources=sources,
        data=stage_data(plan, stage, sources),
        tokenizer=tokenizer,
        stop=stop,
    )


def train_stage(job: Training) -> Iterator[Event]:
    """Train a stage to its end; what an earlier call left is gone on from.

    Raises:
        Stopped: Somebody asked for it; a checkpoint was saved first.
        TrainingError: The loss is no longer finite.
        CheckpointError: The checkpoint to go on from is damaged.
        CorpusError: Shards are damaged, or another tokenizer wrote them.
    """
    if job.folder.final(job.stage.name).exists():
        _prune(job, keep=0)  # a kill may have come in between
        return
    check_shards(job.folder, job.stage.weights, tokenizer=sha256_bytes(job.tokenizer.encode()))
    job = replace(job, segments=segments_of(job.plan, job.stage, job.folder, job.data))
    device = choose_device()
    state, lineage = _state(job, device)
    reason = why_not_compiled(device) if job.plan.experiment.compile else "the recipe says so"
    if reason is None:
        compile_layers(state.model)
    elif job.plan.experiment.compile:
        yield Notice(text=f"layers are not compiled: {reason}; training is slower, not different")
    log = Writer(job.folder.log(job.stage.name))
    try:
        log.write(_start(state, job, device, compiled=reason is None))
        yield from _notices(job, state, log)
        with job.stop.deferring():
            yield from _run(job, state, log, lineage)
    finally:
        log.close()
    if job.stop.signal_number is not None:
        raise _stopped(job, job.stop.signal_number, step=state.step)


def _run(
    job: Training, state: TrainState, log: Writer, lineage: tuple[Ancestor, ...]
) -> Iterator[Event]:
    stage, device = job.stage, next(state.model.parameters()).device
    windows = held_out_windows(
        job.folder, stage, tokens=job.plan.experiment.validation.tokens, device=device
    )
    validate = _validator(job, state, windows)
    if state.step == 0:
        _write(log, validate())
    job = yield from _settled(job, state, log)
    seconds: list[float] = []
    for record in _steps(job, state, device):
        log.write(record)
        seconds = [*seconds[-RECENT + 1 :], record.seconds]
        if stage.pace.validates(record.step):
            _write(log, validate())
        stopped_by = job.stop.signal_number
        last = record.step == stage.pace.steps
        if last or stopped_by or record.step in stage.pace.checkpoint_steps:
            _publish(job, state, log, lineage)
        if stopped_by:
            raise _stopped(job, stopped_by, step=record.step)
        yield _progress(stage, record, median(seconds))


def _settled(job: Training, state: TrainState, log: Writer) -> Generator[Event, None, Training]:
    """Return the stage with the step at which it resumes its parent's schedule, found only once."""
    stage, latest = job.stage, latest_checkpoint(job.place)
    if not isinstance(stage.schedule, Resumed):
        return job
    if latest is not None:
        start = checkpoint.read_meta(latest).training["schedule_start"]
        return replace(job, stage=settled(stage, start))
    parent = stage.origin.parent_path or job.folder.final(str(stage.origin.parent))
    stage, text = resumed_at_first(stage, parent, list(read(job.folder.log(stage.name))))
    log.write(LoggedNotice(step=state.step, tokens=0, text=text))
    yield Notice(text=text)
    return replace(job, stage=stage)


def _stopped(job: Training, signal_number: int, *, step: int) -> Stopped:
    return Stopped(
        signal_number,
        saved=f"stage '{job.stage.name}' was saved at step {step} of {job.stage.pace.steps}",
        fix="the same command again: it goes on from there",
    )


def _steps(job: Training, state: TrainState, device: torch.device) -> Iterator[Step]:
    stage = job.stage
    batches = batcher(job.data, job.folder)
    masked = stage.document_masking
    return train(
        state,
        lambda cursor: batch_at(batches, cursor, stage.sequences, masked=masked).to(device),
        stage.schedule,
        steps=stage.pace.steps,
        peak_lr=stage.optimizer.peak_lr,
        settings=StepSettings(
            micro_sequences=stage.micro_sequences,
            clip_norm=stage.optimizer.clip_norm,
            clip_value=stage.optimizer.clip_value,
        ),
        faster=_faster(stage, state.model),
    )


def _faster(stage: StagePlan, model: GPT) -> Faster | None:
    """Return the entries that growth added, which follow from the plan alone, and their rate."""
    if stage.rewarm is None or stage.origin.plan is None:
        return None
    return Faster(entries=new_entries(model, stage.origin.plan), factor=stage.rewarm)


def new_entries(model: GPT, plan: GrowthPlan) -> list[tuple[Tensor, Tensor]]:
    """Return each parameter that growth added to, with where it did: neither kept nor a first copy.

    Args:
        model: The child.
        plan: What it was grown by.
    """
    grower = Grower(plan)
    found = [
        (parameter, _is_new(grower.factors(name)).to(parameter.device))
        for name, parameter in model.named_parameters()
    ]
    return [(parameter, new) for parameter, new in found if new.any()]


def _is_new(factors: Factors) -> Tensor:
    return ~factors.kept | (factors.seniority < 1.0)


def _write(log: Writer, records: Iterable[AnyRecord]) -> None:
    for record in records:
        log.write(record)


def _validator(
    job: Training, state: TrainState, windows: dict[str, Batch]
) -> Callable[[], Iterator[AnyRecord]]:
    plan = job.stage.origin.plan

    def validate() -> Iterator[AnyRecord]:
        tokens = state.step * job.stage.batch_tokens
        losses = validation_losses(state.model, windows, micro_sequences=job.stage.micro_sequences)
        loss = mixed_loss(losses, job.stage.weights)
        yield ValidationLoss(step=state.step, tokens=tokens, loss=loss, losses=losses)
        if plan:
            yield from _copies(state, plan, tokens=tokens)

    return validate


def _copies(state: TrainState, plan: GrowthPlan, *, tokens: int) -> Iterator[Copies]:
    """Yield how far copies have moved apart, if growth made any."""
    weights = state.weights()
    distance, units = depth_distance(weights, plan.depth), unit_distances(weights, plan)
    spaces = {space: Apart(**asdict(found)) for space, found in units.items()}
    if distance is not None or spaces:
        yield Copies(step=state.step, tokens=tokens, distance=distance, spaces=spaces)


def _state(job: Training, device: torch.device) -> tuple[TrainState, tuple[Ancestor, ...]]:
    """Return the state to go on from, and the lineage before this stage."""
    model = GPT(job.stage.config).to(device)
    settings = job.stage.optimizer
    optimizer = adamw(
        model,
        AdamWSettings(
            peak_lr=settings.peak_lr,
            betas=settings.betas,
            eps=settings.eps,
            weight_decay=settings.weight_decay,
        ),
        scaled=job.stage.origin.grow is not None
        and job.stage.origin.grow.optimizer_state == "exact",
    )
    state = TrainState(model=model, optimizer=optimizer, step=0, cursor=job.data.first_cursor)
    latest = latest_checkpoint(job.place)
    if latest is not None:
        lineage = _resume(job, state, latest)
        rewind(job.folder.log(job.stage.name), step=state.step)
        return state, lineage
    _forget_scores(job)
    rewind(job.folder.log(job.stage.name), step=-1)
    seed_dropout(job.plan.experiment.seed, job.stage.name)
    if job.stage.origin.kind == "grown":
        return state, _inherit(job, state)
    # Drawn on the CPU, so that the first weights do not depend on the device.
    fresh = GPT(job.stage.config)
    initialize(fresh, torch.Generator().manual_seed(seed_for(job.plan.experiment.seed, "init")))
    state.load(fresh.state_dict(), {})
    return state, ()


def _forget_scores(job: Training) -> None:
    """Remove scores of earlier weights, which no log should show beside the new ones."""
    scores = job.folder.evaluation(job.stage.name)
    if scores.exists():
        remove(scores)


def _resume(job: Training, state: TrainState, path: Path) -> tuple[Ancestor, ...]:
    meta = _whole_meta(path)
    check_same_data(meta, position(job.data, 0, job.sources), path=str(path))
    state.load(checkpoint.load_weights(path), checkpoint.load_optimizer(path))
    restore_random(checkpoint.load_random(path))
    state.step = meta.step
    state.cursor = meta.data.cursor if meta.data else state.cursor
    return meta.lineage[:-1]


def _whole_meta(path: Path) -> Meta:
    """Return what the checkpoint to go on from says of itself, once it has proved whole."""
    try:
        meta = checkpoint.read_meta(path)
        checkpoint.verify(path, meta)
    except GrowlmError as error:
        fix = f"removing {path}: the stage then goes on from before it"
        raise CheckpointError(error.expected, got=error.got, fix=fix) from error
    return meta


def _inherit(job: Training, state: TrainState) -> tuple[Ancestor, ...]:
    path = job.folder.grown(job.stage.name)
    meta = checkpoint.read_meta(path)
    checkpoint.verify(path, meta)
    state.load(checkpoint.load_weights(path), checkpoint.load_optimizer(path))
    return meta.lineage[:-1]


def latest_checkpoint(place: Path) -> Path | None:
    """Return the last whole checkpoint of a stage, or None."""
    steps = step_checkpoints(place)
    return steps[max(steps)] if steps else None


def step_checkpoints(place: Path) -> dict[int, Path]:
    """Return the checkpoints of a stage by their step; half-written ones have other names."""
    if not place.is_dir():
        return {}
    matches = ((STEP_FOLDER.match(path.name), path) for path in place.iterdir())
    return {int(match[1]): path for match, path in matches if match}


def _publish(job: Training, state: TrainState, log: Writer, lineage: tuple[Ancestor, ...]) -> None:
    """Save a checkpoint, note it, and remove those that are no longer needed."""
    log.sync()
    last = state.step == job.stage.pace.steps
    name = job.folder.final(job.stage.name).name if last else f"step-{state.step:08d}"
    path = job.place / name
    checkpoint.save(path, _contents(job, state, lineage))
    log.write(Saved(step=state.step, tokens=state.step * job.stage.batch_tokens, path=path.name))
    _prune(job, keep=0 if last else job.stage.pace.keep)


def _prune(job: Training, *, keep: int) -> None:
    steps = step_checkpoints(job.place)
    spare = sorted(step for step in steps if step not in job.stage.pace.average_steps)
    for step in spare[: max(len(spare) - keep, 0)]:
        remove(steps[step])


def _contents(job: Training, state: TrainState, lineage: tuple[Ancestor, ...]) -> Contents:
    stage = job.stage
    tokens = state.step * stage.batch_tokens
    return Contents(
        config=stage.config,
        stage=stage.name,
        step=state.step,
        lineage=(*lineage, own_stretch(stage, tokens=tokens)),
        data=position(job.data, state.cursor, job.sources),
        training=schedule_facts(stage, state.step),
        end_of_text=job.plan.experiment.tokenizer.end_of_text,
        tokenizer=job.tokenizer,
        tokenizer_files=_tokenizer_files(job),
        certificate=_certificate(job),
        weights=state.weights(),
        optimizer=state.optimizer_tensors(),
        random=random_tensors(),
        exposure=ledger.at_step(job.segments, state.step).model_dump(mode="json"),
    )


def own_stretch(stage: StagePlan, *, tokens: int) -> Ancestor:
    """Return a stage's own entry in the lineage."""
    operator = stage.origin.grow.depth if stage.origin.grow else None
    return Ancestor(
        stage=stage.name,
        origin=f"grown by {operator}" if operator else "scratch",
        layers=stage.config.layers,
        tokens=tokens,
        flops=tokens * stage.flops_per_token,
        weights_sha256="",
    )


def schedule_facts(stage: StagePlan, step: int) -> dict[str, Any]:
    """Return where the schedule stands: a child's advisers ask whether its parent was annealed."""
    share = stage.schedule(max(step - 1, 0))
    return {
        "steps": stage.pace.steps,
        "lr_share_of_peak": share,
        "context": stage.context,
        "document_masking": stage.document_masking,
        **course_facts(stage),
    }


def _certificate(job: Training) -> dict[str, Any] | None:
    if job.stage.origin.kind != "grown":
        return None
    certificate = checkpoint.read_meta(job.folder.grown(job.stage.name)).certificate
    return dict(certificate) if certificate else None


def _tokenizer_files(job: Training) -> dict[str, bytes]:
    """Return the files that came beside the parent's tokenizer, if it is the child's too."""
    if job.stage.origin.kind != "grown":
        return {}
    grown = job.folder.grown(job.stage.name)
    meta = checkpoint.read_meta(grown)
    if meta.files[checkpoint.TOKENIZER] != sha256_bytes(job.tokenizer.encode()):
        return {}
    return checkpoint.load_tokenizer_files(grown, meta)


def _start(state: TrainState, job: Training, device: torch.device, *, compiled: bool) -> Start:
    return Start(
        step=state.step,
        tokens=state.step * job.stage.batch_tokens,
        device=describe(device),
        compiled=compiled,
        time=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _notices(job: Training, state: TrainState, log: Writer) -> Iterator[Event]:
    if job.stage.origin.parent_path is None or job.data.inherits or state.step:
        return
    text = (
        f"stage '{job.stage.name}': its parent did not read these sources in this order (seed, "
        "slot, block), so the sampler starts at 0 and may repeat what the parent has already seen"
    )
    log.write(LoggedNotice(step=0, tokens=0, text=text))
    yield Notice(text=text)


def _progress(stage: StagePlan, record: Step, seconds: float) -> Progress:
    return Progress(
        step=f"train:{stage.name}",
        done=record.step,
        total=stage.pace.steps,
        unit="steps",
        loss=record.loss,
        tokens_per_second=stage.batch_tokens / seconds,
        seconds_left=(stage.pace.steps - record.step) * seconds,
    )
