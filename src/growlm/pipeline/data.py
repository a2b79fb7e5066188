"""The data of each stage: its sampler, where it starts, and its held-out windows."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from growlm.base.errors import CorpusError, RecipeError
from growlm.checkpoint import DataPosition, Meta, read_meta
from growlm.corpus.manifest import Manifest
from growlm.corpus.mixture import Batcher, Sampler
from growlm.corpus.schedules import Layout, Phase, Weighting
from growlm.corpus.shards import TokenStream
from growlm.pipeline.folder import RunFolder
from growlm.pipeline.plan import Plan
from growlm.pipeline.stageplan import StagePlan

SAMPLER_VERSION = "growlm-sampler/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class StageData:
    """What a stage will read: a sampler, and the samples it begins and ends with."""

    sampler: Sampler
    first_cursor: int
    last_cursor: int
    inherits: bool
    """Whether it goes on where a parent outside the recipe stopped."""

    def tokens_drawn(self) -> dict[str, int]:
        """Return the tokens of each source that this stage alone reads."""
        before = self.sampler.tokens_served(self.first_cursor)
        after = self.sampler.tokens_served(self.last_cursor)
        names = [source.name for source in self.sampler.sources]
        return {name: end - begin for name, begin, end in zip(names, before, after, strict=True)}

    def epochs(self) -> dict[str, float]:
        """Return how often each source has been read at the stage's end, parents included."""
        names = [source.name for source in self.sampler.sources]
        return dict(zip(names, self.sampler.epochs(self.last_cursor), strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The recipe's sources, in its order, as far as they are known."""

    tokens: Mapping[str, int]
    """Training tokens of each."""
    ids: Mapping[str, str]
    """Identity of each one's training tokens; empty before they are packed."""


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
    first = last = inherited.last_cursor if inherited else 0
    for ancestor in lineage:
        weights = tuple(ancestor.weights.get(name, 0.0) for name in sources.tokens)
        wanted = (weights, ancestor.context)
        if not phases or wanted != (weightings[-1].weights, phases[-1].context):
            start = _sampler(plan, sources, weightings, phases).next_boundary(last) if phases else 0
            weightings.append(Weighting(start_draw=start, weights=weights))
            phases.append(Phase(start_draw=start, context=ancestor.context))
            last = _sampler(plan, sources, weightings, phases).first_sample(start)
        first, last = last, last + ancestor.pace.steps * ancestor.sequences
    return StageData(
        sampler=_sampler(plan, sources, weightings, phases),
        first_cursor=first,
        last_cursor=last,
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
    mixture = plan.experiment.mixture
    return Sampler(
        seed=plan.experiment.seed,
        sources=tuple(Layout(name=name, tokens=count) for name, count in sources.tokens.items()),
        slot=plan.slot,
        block=mixture.block,
        jitter=mixture.jitter,
        weightings=tuple(weightings),
        phases=tuple(phases),
    )


def describe(sampler: Sampler) -> dict[str, Any]:
    """Return all that a sampler's order depends on, as checkpoints store it."""
    return {"version": SAMPLER_VERSION, **asdict(sampler)}


def position(data: StageData, cursor: int, sources: Sources) -> DataPosition:
    """Return where a checkpoint at ``cursor`` stands in the data."""
    return DataPosition(cursor=cursor, sampler=describe(data.sampler), sources=sources.ids)


def _inherited(plan: Plan, oldest: StagePlan, sources: Sources) -> StageData | None:
    """Return where a parent outside the recipe stopped, if it read these very sources."""
    path = oldest.origin.parent_path
    parent = read_meta(path).data if path is not None else None
    if parent is None or parent.sources != sources.ids:
        return None
    known = parent.sampler
    weightings = [
        Weighting(start_draw=each["start_draw"], weights=tuple(each["weights"]))
        for each in known["weightings"]
    ]
    phases = [Phase(**each) for each in known["phases"]]
    sampler = _sampler(plan, sources, weightings, phases)
    if _plain(describe(sampler)) != _plain(dict(known)):
        return None
    return StageData(sampler=sampler, first_cursor=0, last_cursor=parent.cursor, inherits=True)


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
    )


def batcher(data: StageData, folder: RunFolder) -> Batcher:
    """Return the batches of a stage, over memory-mapped shards."""
    return Batcher(
        sampler=data.sampler,
        streams=tuple(
            TokenStream(folder.corpus / source.name / "train") for source in data.sampler.sources
        ),
    )


def held_out_windows(
    folder: RunFolder, stage: StagePlan, *, tokens: int, device: torch.device
) -> dict[str, Tensor]:
    """Return each source's first held-out tokens as windows [B, T + 1].

    Args:
        folder: The run's folder.
        stage: Its context is the windows'; its weights say which sources count.
        tokens: Tokens per source, at most.
        device: Where the windows go.

    Raises:
        CorpusError: A source's held-out documents do not fill one window.
    """
    windows: dict[str, Tensor] = {}
    for name in stage.weights:
        stream = TokenStream(folder.corpus / name / "validation")
        count = min(tokens, stream.tokens - 1) // stage.context
        if count < 1:
            raise CorpusError(
                f"held-out documents of '{name}' to fill one window of {stage.context} tokens",
                got=f"{stream.tokens} tokens",
                fix="a larger validation.share, or more documents",
            )
        starts = np.arange(count, dtype=np.int64) * stage.context
        windows[name] = torch.from_numpy(stream.gather(starts, stage.context + 1)).to(device)
    return windows


def check_same_data(meta: Meta, expected: DataPosition, *, path: str) -> None:
    """Refuse to go on from a checkpoint that read other data.

    Raises:
        CorpusError: Sources, seed or order differ.
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


def first_windows(folder: RunFolder, context: int, *, count: int) -> list[Tensor]:
    """Return the first held-out windows [count, context + 1] of each source that has them."""
    windows: list[Tensor] = []
    for manifest_path in sorted(folder.corpus.glob("*/validation/manifest.json")):
        stream = TokenStream(manifest_path.parent)
        starts = np.arange(min(count, (stream.tokens - 1) // context), dtype=np.int64) * context
        if starts.size:
            windows.append(torch.from_numpy(stream.gather(starts, context + 1)))
    return windows
