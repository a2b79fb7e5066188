"""The data of each stage: its sampler, where it starts, and its held-out windows."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from growlm.base.errors import CorpusError, RecipeError
from growlm.checkpoint import DataPosition, Meta, read_meta
from growlm.corpus import shards
from growlm.corpus.manifest import Manifest
from growlm.corpus.mixture import Batcher, Sampler
from growlm.corpus.schedules import Layout, Phase, Weighting
from growlm.corpus.shards import TokenStream
from growlm.pipeline.folder import RunFolder
from growlm.pipeline.plan import Plan
from growlm.pipeline.stageplan import StagePlan
from growlm.training.step import Batch

SAMPLER_VERSION = "growlm-sampler/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class StageData:
    """What a stage will read: a sampler, and the samples that it and its parents begin and end at.

    Between two stretches there may be samples that nobody reads: the rest of a block.
    """

    sampler: Sampler
    stretches: tuple[tuple[int, int], ...]
    """First sample and the one after the last, of each ancestor; the stage's own come last."""
    inherits: bool
    """Whether it goes on where a parent outside the recipe stopped."""

    @property
    def first_cursor(self) -> int:
        """The sample that the stage begins at."""
        return self.stretches[-1][0]

    @property
    def last_cursor(self) -> int:
        """The sample after its last."""
        return self.stretches[-1][1]

    @property
    def reads(self) -> tuple[str, ...]:
        """The sources that the stage draws from."""
        sources = zip(self.sampler.sources, self.sampler.weightings[-1].weights, strict=True)
        return tuple(source.name for source, weight in sources if weight)

    def tokens_drawn(self) -> dict[str, int]:
        """Return the tokens of each source that this stage alone reads."""
        return self._tokens(self.stretches[-1:])

    def epochs(self) -> dict[str, float]:
        """Return how often each source has been read at the stage's end, parents included."""
        tokens = self._tokens(self.stretches).values()
        layouts = zip(self.sampler.sources, self.sampler.slots_per_epoch, tokens, strict=True)
        return {
            source.name: read / (slots * self.sampler.slot) if read else 0.0
            for source, slots, read in layouts
        }

    def _tokens(self, stretches: Sequence[tuple[int, int]]) -> dict[str, int]:
        tokens = {source.name: 0 for source in self.sampler.sources}
        for first, last in stretches:
            before, after = map(self.sampler.tokens_served, (first, last))
            for name, begin, end in zip(tokens, before, after, strict=True):
                tokens[name] += end - begin
        return tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The recipe's sources, in its order, as far as they are known."""

    tokens: Mapping[str, int]
    """Training tokens of each."""
    ids: Mapping[str, str]
    """Identity of each one's training tokens; empty before they are packed."""
    masks: Mapping[str, str]
    """Identity of the masks of those that have any: which training tokens carry no loss."""

    def masks_of(self, names: Iterable[str]) -> dict[str, str]:
        """Return the masks of those among some sources that have any."""
        return {name: self.masks[name] for name in names if name in self.masks}


def stage_data(plan: Plan, stage: StagePlan, sources: Sources) -> StageData:
    """Return what a stage reads, in closed form.

    A child goes on where its parent stopped. Where its weights or its context differ, it starts
    at the next boundary between the sampler's blocks.

    Args:
        plan: The plan.
        stage: The stage.
        sources: The sources.

    Raises:
        CorpusError: A source is too short, or a weight rounds to nothing.
    """
    oldest, *_ = lineage = plan.ancestry(stage)
    inherited = _inherited(plan, oldest, sources)
    weightings = list(inherited.sampler.weightings) if inherited else []
    phases = list(inherited.sampler.phases) if inherited else []
    stretches = list(inherited.stretches) if inherited else []
    last = inherited.last_cursor if inherited else 0
    for ancestor in lineage:
        weights = tuple(ancestor.weights.get(name, 0.0) for name in sources.tokens)
        wanted = (weights, ancestor.context)
        if not phases or wanted != (weightings[-1].weights, phases[-1].context):
            start = _sampler(plan, sources, weightings, phases).next_boundary(last) if phases else 0
            weightings.append(Weighting(start_draw=start, weights=weights))
            phases.append(Phase(start_draw=start, context=ancestor.context))
            last = _sampler(plan, sources, weightings, phases).first_sample(start)
        first, last = last, last + ancestor.pace.steps * ancestor.sequences
        stretches.append((first, last))
    return StageData(
        sampler=_sampler(plan, sources, weightings, phases),
        stretches=tuple(stretches),
        inherits=inherited is not None,
    )


def check_epochs(plan: Plan, sources: Sources) -> None:
    """Refuse a plan that repeats a source more often than the recipe allows.

    Raises:
        RecipeError: The first source and stage that do.
    """
    limit = plan.experiment.mixture.max_epochs
    for stage in plan.stages:
        for name, epochs in stage_data(plan, stage, sources).epochs().items():
            if epochs > limit:
                raise RecipeError(
                    f"source '{name}' read at most {limit:g} times (mixture.max_epochs)",
                    got=f"{epochs:.1f} epochs at the end of stage '{stage.name}'",
                    fix=f"a lower weight for it, or max_epochs = {np.ceil(epochs):.0f}",
                )


def _sampler(
    plan: Plan, sources: Sources, weightings: list[Weighting], phases: list[Phase]
) -> Sampler:
    basis = _basis(plan, sources)
    return Sampler(**basis, weightings=tuple(weightings), phases=tuple(phases))


def _basis(plan: Plan, sources: Sources) -> dict[str, Any]:
    """Return all that a sampler's order depends on, but for its weights and contexts."""
    return {
        "seed": plan.experiment.seed,
        "sources": tuple(Layout(name=name, tokens=n) for name, n in sources.tokens.items()),
        "slot": plan.slot,
        "block": plan.experiment.mixture.block,
        "jitter": plan.experiment.mixture.jitter,
    }


def describe(sampler: Sampler) -> dict[str, Any]:
    """Return all that a sampler's order depends on, as checkpoints store it."""
    return {"version": SAMPLER_VERSION, **asdict(sampler)}


def position(data: StageData, cursor: int, sources: Sources) -> DataPosition:
    """Return where a checkpoint at ``cursor`` stands in the data."""
    return DataPosition(
        cursor=cursor,
        sampler=describe(data.sampler),
        sources=sources.ids,
        masks=sources.masks_of(data.reads),
    )


def _inherited(plan: Plan, oldest: StagePlan, sources: Sources) -> StageData | None:
    """Return where a parent outside the recipe stopped, if it read these sources in this order."""
    path = oldest.origin.parent_path
    parent = read_meta(path).data if path is not None else None
    if parent is None or parent.sources != sources.ids:
        return None
    known = parent.sampler
    basis = _basis(plan, sources)
    layouts = [asdict(layout) for layout in basis.pop("sources")]
    wanted = {"version": SAMPLER_VERSION, "sources": layouts, **basis}
    if any(known.get(key) != value for key, value in wanted.items()):
        return None
    weightings = [
        Weighting(start_draw=each["start_draw"], weights=tuple(each["weights"]))
        for each in known["weightings"]
    ]
    phases = [Phase(**each) for each in known["phases"]]
    sampler = _sampler(plan, sources, weightings, phases)
    return StageData(sampler=sampler, stretches=((0, parent.cursor),), inherits=True)


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: tuples as lists."""
    return json.loads(json.dumps(value))


def manifest(folder: RunFolder, source: str, part: str) -> Manifest:
    """Return the manifest of a source's ``train`` or ``validation`` shards."""
    return Manifest.read(folder.corpus / source / part)


def packed_sources(plan: Plan, folder: RunFolder) -> Sources:
    """Return the sources as their shards have them."""
    manifests = {
        source.name: manifest(folder, source.name, "train") for source in plan.experiment.source
    }
    return Sources(
        tokens={name: each.n_tok for name, each in manifests.items()},
        ids={name: each.source_id for name, each in manifests.items()},
        masks={name: each.mask_id for name, each in manifests.items() if each.is_masked},
    )


def batcher(data: StageData, folder: RunFolder) -> Batcher:
    """Return the batches of a stage, over memory-mapped shards."""
    return Batcher(
        sampler=data.sampler,
        streams=tuple(
            TokenStream(folder.corpus / source.name / "train") for source in data.sampler.sources
        ),
    )


def batch_at(batches: Batcher, cursor: int, samples: int, *, masked: bool) -> Batch:
    """Return some samples from a cursor on, to be trained on; what a mask holds carries no loss.

    Args:
        batches: Where they come from; the tokens are the same with and without masking.
        cursor: The first sample.
        samples: How many.
        masked: Whether a token sees only tokens of its own document.

    Raises:
        CorpusError: They straddle a change of context, or an index is damaged.
    """
    documents_BT = torch.from_numpy(batches.documents(cursor, samples)) if masked else None
    counted_BT = batches.counted(cursor, samples)
    return Batch(
        ids=torch.from_numpy(batches.batch(cursor, samples)),
        documents=documents_BT,
        counted=None if counted_BT is None else torch.from_numpy(counted_BT),
    )


def held_out_windows(
    folder: RunFolder, stage: StagePlan, *, tokens: int, device: torch.device
) -> dict[str, Batch]:
    """Return windows of each source's held-out tokens, evenly spread over them.

    The first tokens would be those of a document or two.

    Args:
        folder: The run's folder.
        stage: Its context is the windows', and its masking; its weights say which sources count.
        tokens: Tokens per source, at most.
        device: Where the windows go.

    Raises:
        CorpusError: Shards are damaged.
    """
    found = spread_windows(
        folder, stage.weights, stage.context, tokens=tokens, masked=stage.document_masking
    )
    return {name: windows.to(device) for name, windows in found.items()}


def spread_windows(
    folder: RunFolder, names: Iterable[str], context: int, *, tokens: int, masked: bool
) -> dict[str, Batch]:
    """Return windows of some sources' held-out tokens, evenly spread over them.

    Args:
        folder: The run's folder.
        names: The sources.
        context: Tokens in a window, the last target not counted.
        tokens: Tokens per source, at most.
        masked: Whether a token sees only tokens of its own document.

    Raises:
        CorpusError: Shards are damaged.
    """
    windows: dict[str, Batch] = {}
    for name in names:
        stream = TokenStream(folder.corpus / name / "validation")
        whole = (stream.tokens - 1) // context
        count = min(max(tokens // context, 1), whole)
        starts = np.arange(count, dtype=np.int64) * whole // count * context
        documents_BT = torch.from_numpy(stream.documents(starts, context)) if masked else None
        ids_BT1 = torch.from_numpy(stream.gather(starts, context + 1))
        windows[name] = Batch(ids=ids_BT1, documents=documents_BT, counted=None)
    return windows


def check_held_out(plan: Plan, folder: RunFolder) -> None:
    """Refuse a plan with a stage that could not be validated.

    Raises:
        CorpusError: A source's held-out documents do not fill one window of a stage.
    """
    for stage in plan.stages:
        for name in stage.weights:
            tokens = manifest(folder, name, "validation").n_tok
            if tokens <= stage.context:
                raise CorpusError(
                    f"held-out documents of '{name}' to fill one window of {stage.context} tokens",
                    got=f"{tokens} tokens",
                    fix="a larger validation.share, or more documents",
                )


def check_shards(folder: RunFolder, names: Iterable[str], *, tokenizer: str) -> None:
    """Refuse shards that were damaged, or that another tokenizer wrote.

    Args:
        folder: The run's folder.
        names: The sources that are about to be read.
        tokenizer: The SHA-256 of the run's.

    Raises:
        CorpusError: As said; ten blocks of each shard are looked at.
    """
    for place in (folder.corpus / name for name in names):
        fix = f"removing {place}: the source is then packed again"
        for half in ("train", "validation"):
            if Manifest.read(place / half).tokenizer.sha256 != tokenizer:
                raise CorpusError(
                    f"shards in {place} that {folder.tokenizer} wrote",
                    got="those of another tokenizer",
                    fix=fix,
                )
            try:
                shards.verify(place / half, full=False)
            except CorpusError as error:
                raise CorpusError(error.expected, got=error.got, fix=fix) from error


def check_same_data(meta: Meta, expected: DataPosition, *, path: str) -> None:
    """Refuse to go on from a checkpoint that read other data.

    Raises:
        CorpusError: Sources, seed or order differ, or which tokens carry loss.
    """
    found = meta.data
    if found is None or (found.sources, _plain(dict(found.sampler))) != (
        expected.sources,
        _plain(dict(expected.sampler)),
    ):
        raise CorpusError(
            f"the data that checkpoint {path} was trained on",
            got="other sources, or another order",
            fix="the corpus it began with, or training the stage anew",
        )
    names = sorted({*found.masks, *expected.masks})
    if odd := [name for name in names if found.masks.get(name) != expected.masks.get(name)]:
        raise CorpusError(
            f"the masks on {', '.join(odd)} that checkpoint {path} was trained under",
            got="others: the same tokens in the same order, but not the same carry loss",
            fix="the [overlap] it began with, or training the stage anew",
        )


def held_out_tokenizers(folder: RunFolder) -> set[str]:
    """Return the SHA-256 of every tokenizer that wrote held-out shards of a run."""
    places = folder.corpus.glob("*/validation/manifest.json")
    return {Manifest.read(place.parent).tokenizer.sha256 for place in places}


def first_windows(
    folder: RunFolder, context: int, *, count: int, tokenizer_sha256: str
) -> list[Tensor]:
    """Return the first held-out windows [count, context + 1] of each source that has them.

    Args:
        folder: The run's folder.
        context: Tokens in a window, the last target not counted.
        count: Windows per source, at most.
        tokenizer_sha256: What the tokens come from; shards that another tokenizer wrote, such as
            an earlier recipe's, are left out.
    """
    windows: list[Tensor] = []
    for manifest_path in sorted(folder.corpus.glob("*/validation/manifest.json")):
        stream = TokenStream(manifest_path.parent)
        if stream.manifest.tokenizer.sha256 != tokenizer_sha256:
            continue
        starts = np.arange(min(count, (stream.tokens - 1) // context), dtype=np.int64) * context
        if starts.size:
            windows.append(torch.from_numpy(stream.gather(starts, context + 1)))
    return windows
