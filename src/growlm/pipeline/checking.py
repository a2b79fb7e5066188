"""Checking a plan before anything expensive: its sources, its disk, and its table of costs."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from growlm.base.errors import CorpusError, StorageError
from growlm.base.units import format_bytes
from growlm.corpus.documents import listing
from growlm.corpus.duplicates import REPORT
from growlm.corpus.source_facts import NAME as FACTS, SourceFacts
from growlm.model.memory import moments_bytes
from growlm.pipeline import rates
from growlm.pipeline.baselining import check_baselines
from growlm.pipeline.cautions import cautions
from growlm.pipeline.data import Sources, StageData, check_epochs, packed_sources, stage_data
from growlm.pipeline.exposing import expected
from growlm.pipeline.fetching import packed_elsewhere, unsearched
from growlm.pipeline.folder import RunFolder
from growlm.pipeline.papers import Shelf
from growlm.pipeline.plan import Plan
from growlm.pipeline.preparing import (
    duplicates_step,
    facts_of,
    source_step,
    tokenizer_step,
)
from growlm.pipeline.recomputing import checkpointing_words
from growlm.pipeline.screening import check_benchmarks, overlap_step, standings_of
from growlm.pipeline.stageplan import StagePlan
from growlm.pipeline.tasking import check_tasks
from growlm.recipe.sections import Source

BYTES_PER_TOKEN = 4.0
"""Guess for text that has not been tokenized yet."""
BYTES_PER_FLOAT = 4
DISK_MARGIN = 1.1

Known = Literal["packed", "declared", "estimated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRow:
    """A source in the table."""

    name: str
    tokens: int
    known: Known
    """How the tokens are known: from shards' manifests, from the recipe, or guessed from bytes."""
    left_out: int
    """Documents that stand elsewhere, once it is packed."""
    masked_tokens: int
    """Tokens among them that carry no loss, once it is packed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRow:
    """A stage in the table."""

    name: str
    kind: str
    parent: str | None
    layers: int
    width: int
    heads: int
    context: int
    document_masking: bool
    activation_checkpointing: str
    vocab_size: int
    """Rows of the model that stand for something, which may be more than the tokenizer's ids."""
    parameters: int
    steps: int
    tokens: int
    flops_per_token: float
    flops: float
    flops_before: float
    checkpoint_bytes: int
    disk_bytes: int
    """Of all checkpoints that exist at once."""
    learning_rate: Mapping[str, str]
    """Its peak, and what the schedule does with it, in words."""
    source_tokens: Mapping[str, int]
    source_epochs: Mapping[str, float]
    """Cumulative, at the stage's end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExposureRow:
    """What a stage will have trained on of a benchmark at its end, its parents included."""

    stage: str
    lineage: str
    """Whether the data of all of its stages were searched: ``known``, ``partial``, ``unknown``."""
    benchmark: str
    examples: int
    answered: int
    """Those with their answer."""
    exposures: float
    most: float
    masked: int
    """Examples that are only read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What a recipe will do and cost."""

    name: str
    vocab_size: int
    sources: tuple[SourceRow, ...]
    stages: tuple[StageRow, ...]
    exposures: tuple[ExposureRow, ...]
    """Expected, once the sources are packed and were searched for benchmarks."""
    notices: tuple[str, ...]
    """What should be known before it begins, though nothing is wrong."""

    def as_dict(self) -> dict[str, Any]:
        """Return the table for JSON."""
        return asdict(self)


def table(plan: Plan, folder: RunFolder | None) -> Table:
    """Return what a plan will do and cost, before it is carried out.

    Args:
        plan: The plan.
        folder: The run's folder if it is there: its shards know the tokens exactly.

    Raises:
        CorpusError: A source is missing, or too short.
        RecipeError: A source would be repeated too often.
    """
    check_benchmarks(plan)
    check_tasks(plan, Shelf())
    check_baselines(plan)
    packed = packed_sources(plan, folder) if folder and _is_packed(plan, folder) else None
    rows = _packed_rows(packed, folder) if packed and folder else _unpacked_rows(plan)
    sources = packed or Sources(tokens={row.name: row.tokens for row in rows}, ids={}, masks={})
    check_epochs(plan, sources)
    data = {stage.name: stage_data(plan, stage, sources) for stage in plan.stages}
    searched = packed and (plan.experiment.overlap or len(plan.experiment.texts) < len(rows))
    return Table(
        name=plan.experiment.name,
        vocab_size=plan.vocab_size,
        sources=rows,
        stages=tuple(_stage_row(stage, data[stage.name]) for stage in plan.stages),
        exposures=_exposures(plan, folder, data) if searched and folder else (),
        notices=(
            *(text for stage in plan.stages for text in cautions(plan, stage)),
            *_unsearched(plan, folder if packed else None),
        ),
    )


def check_sources(plan: Plan) -> None:
    """Refuse a run whose sources are not all here and readable, or packed for another tokenizer.

    Raises:
        CorpusError: The first that is not.
    """
    for source in plan.experiment.source:
        if source.shards is not None:
            packed_elsewhere(plan, source)
        else:
            listing(source, folder=plan.recipe_folder)


def check_disk(plan: Plan, folder: RunFolder) -> None:
    """Refuse a run whose checkpoints will not fit on the disk.

    Raises:
        StorageError: They will not.
    """
    check_room([(plan, folder)], place=folder.path)


def check_room(runs: Sequence[tuple[Plan, RunFolder]], *, place: Path) -> None:
    """Refuse runs whose checkpoints will not all fit on one disk.

    Args:
        runs: Each run's plan and folder, which need not be there yet.
        place: A folder on that disk.

    Raises:
        StorageError: They will not.
    """
    needed = disk_needed(runs)
    free = free_bytes(place)
    if needed > free:
        raise StorageError(
            f"{format_bytes(needed)} free for checkpoints at {place}",
            got=format_bytes(free),
            fix="freeing space, another --out, or fewer checkpoints (stage.keep, stage.keep_every)",
        )


def disk_needed(runs: Sequence[tuple[Plan, RunFolder | None]]) -> int:
    """Return what checkpoints of the stages that are not done yet will take, with a margin.

    Stages train one after the other: what only one that trains has on the disk counts once.
    """
    stages = [
        stage
        for plan, folder in runs
        for stage in plan.stages
        if not (folder and folder.final(stage.name).exists())
    ]
    stay = sum(lasting_bytes(stage) for stage in stages)
    pass_by = max((disk_bytes(stage) - lasting_bytes(stage) for stage in stages), default=0)
    return int((stay + pass_by) * DISK_MARGIN)


def free_bytes(path: Path) -> int:
    """Return what is free on the disk where a folder lies, or will lie."""
    there = next(each for each in (path.absolute(), *path.absolute().parents) if each.exists())
    return shutil.disk_usage(there).free


def checkpoint_bytes(stage: StagePlan) -> int:
    """Return the size of one checkpoint: weights and their average in fp32, and moments."""
    section = stage.optimizer
    moments = moments_bytes(stage.config, section.moments, muon=section.kind == "muon")
    return stage.parameters * (1 + (stage.ema is not None)) * BYTES_PER_FLOAT + moments


def disk_bytes(stage: StagePlan) -> int:
    """Return the size of all of a stage's checkpoints that exist at once."""
    back = len(stage.steps_to_go_back_to(stage.pace.steps))
    to_resume_from = max(stage.pace.keep, back) + 1
    return lasting_bytes(stage) + checkpoint_bytes(stage) * to_resume_from


def lasting_bytes(stage: StagePlan) -> int:
    """Return the most that stays of a stage: its end, what it keeps, and what it began with.

    Where the end is among what it keeps, it counts twice, and leaves room for the average.
    """
    kept = len(stage.pace.kept_steps)
    whole = 1 + kept + (1 if stage.origin.kind == "grown" else 0)
    published = stage.parameters * BYTES_PER_FLOAT if stage.ema else 0
    return checkpoint_bytes(stage) * whole + published


def _is_packed(plan: Plan, folder: RunFolder) -> bool:
    """Return whether the folder's shards are those of this plan, and not of an earlier recipe."""
    places = [folder.corpus / source.name / FACTS for source in plan.experiment.source]
    duplicates, overlap = plan.experiment.duplicates, plan.experiment.overlap
    places += [folder.duplicates / REPORT] if duplicates is not None else []
    places += [standings_of(folder, each.name) for each in plan.experiment.texts if overlap]
    if not all(place.is_file() for place in (folder.tokenizer, *places)):
        return False
    try:
        steps = [tokenizer_step(plan, folder)]
        steps += [duplicates_step(plan, folder, duplicates)] if duplicates is not None else []
        steps += [overlap_step(plan, folder, overlap)] if overlap is not None else []
        steps += [source_step(plan, folder, source) for source in plan.experiment.source]
    except (CorpusError, StorageError):  # the texts are gone, and the shards are all there is
        return True
    return all(folder.is_done(step.name, step.key) for step in steps)


def _packed_rows(packed: Sources, folder: RunFolder) -> tuple[SourceRow, ...]:
    return tuple(
        _packed(name, count, facts_of(folder, name)) for name, count in packed.tokens.items()
    )


def _unpacked_rows(plan: Plan) -> tuple[SourceRow, ...]:
    return tuple(_unpacked(source, plan) for source in plan.experiment.source)


def _unpacked(source: Source, plan: Plan) -> SourceRow:
    if source.declared_tokens is not None:
        return _unread(source, source.declared_tokens, known="declared")
    if source.shards is not None:
        return _elsewhere(source, plan)
    try:
        size = sum(int(each["bytes"]) for each in listing(source, folder=plan.recipe_folder))
    except CorpusError as error:
        raise CorpusError(
            error.expected,
            got=error.got,
            fix=f"{error.fix}; or declared_tokens, to plan without it",
        ) from error
    kept = size * (1.0 - plan.experiment.validation.share)
    return _unread(source, int(kept / BYTES_PER_TOKEN), known="estimated")


def _unread(source: Source, tokens: int, *, known: Known) -> SourceRow:
    return SourceRow(name=source.name, tokens=tokens, known=known, left_out=0, masked_tokens=0)


def _elsewhere(source: Source, plan: Plan) -> SourceRow:
    packed = packed_elsewhere(plan, source)
    return _packed(source.name, packed.train.n_tok, packed.facts)


def _packed(name: str, tokens: int, facts: SourceFacts) -> SourceRow:
    return SourceRow(
        name=name,
        tokens=tokens,
        known="packed",
        left_out=facts.duplicates,
        masked_tokens=facts.masked_tokens,
    )


def _unsearched(plan: Plan, folder: RunFolder | None) -> Iterator[str]:
    """Yield what nobody did to sources that come as shards, as far as they are known."""
    for source in plan.experiment.source:
        if source.shards is None or (folder is None and source.declared_tokens is not None):
            continue
        known = facts_of(folder, source.name) if folder else packed_elsewhere(plan, source).facts
        yield from unsearched(plan, source, known)


def _exposures(
    plan: Plan, folder: RunFolder, data: Mapping[str, StageData]
) -> tuple[ExposureRow, ...]:
    return tuple(
        ExposureRow(stage=stage, lineage=ledger.known, **asdict(total))
        for stage, ledger in expected(plan, folder, data).items()
        for total in ledger.totals()
    )


def _stage_row(stage: StagePlan, data: StageData) -> StageRow:
    origin = stage.origin
    return StageRow(
        name=stage.name,
        kind=origin.kind,
        parent=str(origin.parent_path) if origin.parent_path else origin.parent,
        layers=stage.config.layers,
        width=stage.config.width,
        heads=stage.config.heads,
        context=stage.context,
        document_masking=stage.document_masking,
        activation_checkpointing=checkpointing_words(stage),
        vocab_size=stage.config.vocab_size,
        parameters=stage.parameters,
        steps=stage.pace.steps,
        tokens=stage.tokens,
        flops_per_token=stage.flops_per_token,
        flops=stage.flops,
        flops_before=origin.flops_before,
        checkpoint_bytes=checkpoint_bytes(stage),
        disk_bytes=disk_bytes(stage),
        learning_rate=rates.words(stage),
        source_tokens=data.tokens_drawn(),
        source_epochs=data.epochs(),
    )
