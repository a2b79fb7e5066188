"""Exposure: the ledger that a stage's checkpoints carry, and what a checkpoint's says."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from growlm import checkpoint
from growlm.base.files import storage
from growlm.checkpoint import EXPOSURE, Meta
from growlm.corpus import ledger
from growlm.corpus.ledger import Ledger, Search, Segment
from growlm.corpus.prepare import EXAMPLES
from growlm.corpus.stretches import Stretch
from growlm.pipeline.data import StageData
from growlm.pipeline.folder import RunFolder
from growlm.pipeline.plan import Plan
from growlm.pipeline.preparing import facts_of
from growlm.pipeline.stageplan import StagePlan


def ledger_of(path: Path) -> Ledger:
    """Return a checkpoint's ledger; the stages of one that has none are unknown.

    Raises:
        CheckpointError: There is no checkpoint, or its ledger is damaged.
        StorageError: It cannot be read.
    """
    meta = checkpoint.read_meta(path)
    return ledger.of(_segments(path, meta, meta.lineage))


def segments_of(
    plan: Plan, stage: StagePlan, folder: RunFolder, data: StageData
) -> tuple[Segment, ...]:
    """Return the ledger's stages of a stage about to be trained, itself last and up to its end.

    Raises:
        CheckpointError: The child that it starts from has a damaged ledger.
        CorpusError: What the search for benchmarks wrote is not of these shards.
        StorageError: It cannot be read.
    """
    own = _own(plan, stage, folder, data)
    if stage.origin.kind != "grown":
        return (own,)
    grown = folder.grown(stage.name)
    meta = checkpoint.read_meta(grown)
    return (*_segments(grown, meta, meta.lineage[:-1]), own)


def _own(plan: Plan, stage: StagePlan, folder: RunFolder, data: StageData) -> Segment:
    search = _search(plan, stage, folder)
    if search.status == "not scanned":
        return ledger.unscanned(stage.name, steps=stage.pace.steps)
    return Segment(
        stage=stage.name,
        status=search.status,
        steps=stage.pace.steps,
        benchmarks=search.benchmarks,
        unsearched=search.unsearched,
        examples=ledger.examples(
            _standing(folder, stage, search.benchmarks),
            sampler=data.sampler,
            stretch=Stretch(
                first_sample=data.first_cursor,
                end_sample=data.last_cursor,
                first_step=1,
                samples_per_step=stage.sequences,
            ),
        ),
    )


def expected(plan: Plan, folder: RunFolder, data: Mapping[str, StageData]) -> dict[str, Ledger]:
    """Return what each stage and those that it grows from will have trained on in the end.

    Args:
        plan: The plan, whose sources are packed.
        folder: The run's folder.
        data: What each stage reads, by its name.
    """
    own = {stage.name: _own(plan, stage, folder, data[stage.name]) for stage in plan.stages}
    found: dict[str, Ledger] = {}
    for stage in plan.stages:
        oldest, *_ = lineage = plan.ancestry(stage)
        outside = oldest.origin.parent_path
        before = ledger_of(outside).segments if outside is not None else ()
        found[stage.name] = ledger.of((*before, *(own[each.name] for each in lineage)))
    return found


def _segments(path: Path, meta: Meta, lineage: tuple[Any, ...]) -> tuple[Segment, ...]:
    content = checkpoint.load_exposure(path, meta)
    found = ledger.parsed(content, name=str(path / EXPOSURE)) if content is not None else None
    return ledger.inherited(found, [ancestor.stage for ancestor in lineage])


def _search(plan: Plan, stage: StagePlan, folder: RunFolder) -> Search:
    """Return what the sources that a stage reads were searched for, by us or who packed them."""
    own, packed = (
        {
            source.name: facts_of(folder, source.name).benchmarks
            for source in plan.experiment.source
            if source.name in stage.weights and (source.shards is not None) == brought
        }
        for brought in (False, True)
    )
    return ledger.search_of({**own, **packed})


def _standing(
    folder: RunFolder, stage: StagePlan, benchmarks: Mapping[str, str]
) -> dict[str, list[dict[str, Any]]]:
    """Return the examples that stand in what a stage reads, of the files that were meant."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name in stage.weights:
        path = folder.corpus / name / EXAMPLES
        meant = dict(facts_of(folder, name).benchmarks.items() & benchmarks.items())
        with storage(path), path.open("rb") as file:
            rows = [json.loads(line) for line in file]
        found[name] = [row for row in rows if row["benchmark"] in meant]
    return found


def summary(found: Ledger) -> dict[str, Any]:
    """Return a ledger for JSON, with what became of each benchmark."""
    totals = [asdict(total) for total in found.totals()]
    return {"lineage": found.known, "totals": totals, **found.model_dump(mode="json")}
