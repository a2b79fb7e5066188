"""The overlap step of a run, and what packing a source does about what it found."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unicodedata import unidata_version

from growlm.base.files import digest_of, read_json, remove, sha256_file
from growlm.base.version import VERSION
from growlm.corpus import duplicates
from growlm.corpus.canonical import CANONICAL_VERSION
from growlm.corpus.overlap import rulings
from growlm.corpus.overlap.benchmark import fields_of, parse_fields
from growlm.corpus.overlap.report import FORMAT
from growlm.corpus.overlap.tasks import is_task
from growlm.corpus.selecting import Selection
from growlm.pipeline import overlapping
from growlm.pipeline.engine import Step
from growlm.pipeline.events import Event
from growlm.pipeline.folder import RunFolder
from growlm.pipeline.inputs import inputs
from growlm.pipeline.plan import Plan
from growlm.recipe.overlap import Against, Overlap


def overlap_step(plan: Plan, folder: RunFolder, section: Overlap) -> Step:
    """Return the step that looks for benchmarks in the sources.

    What is done about them is no part of it: that can change without another scan.
    """
    digests = benchmark_digests(plan, section)
    return Step(
        name="prepare:overlap",
        key={
            "inputs": [inputs(source, plan) for source in plan.experiment.texts],
            "left_out": [left_out(plan, folder, each.name) for each in plan.experiment.texts],
            "against": [[each.name, each.fields, digests[each.name]] for each in section.against],
            "rules": section.rules,
            "format": FORMAT,
            "canonical": [CANONICAL_VERSION, unidata_version],
        },
        outputs=(folder.overlap,),
        precious=False,
        work=lambda: _scan(plan, folder, section),
        result=lambda: _told(folder),
    )


def check_benchmarks(plan: Plan) -> None:
    """Read the benchmarks of a recipe, before anything that takes long.

    Raises:
        CorpusError: One is not JSON lines, lacks a field, or holds nothing.
        RecipeError: Its fields say something else than fields.
        StorageError: It cannot be read.
    """
    section = plan.experiment.overlap
    if section is not None:
        overlapping.read_benchmarks(_asked(plan, section, {}))


def selection(plan: Plan, folder: RunFolder, source: str) -> Selection:
    """Return what of a source is left out, by what the steps before found.

    Raises:
        StorageError: What they wrote cannot be read.
    """
    section = plan.experiment.overlap
    if section is None:
        return Selection(duplicates=_duplicates(plan, folder, source))
    found = rulings.read(standings_of(folder, source))
    return Selection(
        duplicates=_duplicates(plan, folder, source),
        rulings=rulings.rulings(found, lambda name: section.action_for(source, name)),
        benchmarks=benchmark_digests(plan, section),
    )


def selection_key(plan: Plan, folder: RunFolder, source: str) -> dict[str, Any]:
    """Return what a source's selection depends on, as JSON."""
    key: dict[str, Any] = {"left_out": left_out(plan, folder, source)}
    section = plan.experiment.overlap
    if section is not None:
        key["overlap"] = sha256_file(standings_of(folder, source))
        key["benchmarks"] = benchmark_digests(plan, section)
        key["actions"] = {
            each.name: section.action_for(source, each.name) for each in section.against
        }
    return key


def left_out(plan: Plan, folder: RunFolder, source: str) -> str | None:
    """Return the digest of what of a source stands elsewhere; None where nobody looks for it."""
    if plan.experiment.duplicates is None:
        return None
    return sha256_file(duplicates.list_of(folder.duplicates, source))


def benchmark_digests(plan: Plan, section: Overlap) -> dict[str, str]:
    """Return by name the SHA-256 of each benchmark's file, or of the name of a task.

    Raises:
        StorageError: A file cannot be read.
    """
    places = {each.name: _place(plan, each) for each in section.against}
    return {
        name: digest_of(place) if isinstance(place, str) else sha256_file(place)
        for name, place in places.items()
    }


def standings_of(folder: RunFolder, source: str) -> Path:
    """Return the file that says which examples stand in a source."""
    return folder.overlap / "standings" / f"{source}.jsonl"


def _duplicates(plan: Plan, folder: RunFolder, source: str) -> duplicates.Skipped:
    if plan.experiment.duplicates is None:
        return duplicates.NOTHING
    return duplicates.skipped(folder.duplicates, source)


def _asked(
    plan: Plan, section: Overlap, skipped: dict[str, duplicates.Skipped]
) -> overlapping.Asked:
    return overlapping.Asked(
        sources=plan.experiment.texts,
        benchmarks=tuple(
            (each.name, _place(plan, each), _fields(each)) for each in section.against
        ),
        rules=section.rules,
        folder=plan.recipe_folder,
        duplicates=skipped,
    )


def _place(plan: Plan, against: Against) -> Path | str:
    return against.file if is_task(against.file) else plan.recipe_folder / against.file


def _fields(against: Against) -> dict[str, str]:
    if not against.fields:
        return dict(fields_of(against.name))
    return parse_fields(",".join(f"{role}={field}" for role, field in against.fields.items()))


def _scan(plan: Plan, folder: RunFolder, section: Overlap) -> Iterator[Event]:
    sources = plan.experiment.texts
    skipped = {each.name: _duplicates(plan, folder, each.name) for each in sources}
    if folder.overlap.exists():  # what a kill left
        remove(folder.overlap)
    what = _asked(plan, section, skipped)
    found = yield from overlapping.overlap(what, out=folder.overlap, version=VERSION)
    for source in sources:
        rulings.write(
            standings_of(folder, source.name),
            [
                standing
                for each in found.overlaps
                if each.source == source.name
                for standing in rulings.standings(each.benchmark, each.hits)
            ],
        )


def _told(folder: RunFolder) -> str:
    """Return what the scan found, in a line."""
    found = read_json(folder.overlap / overlapping.REPORT)
    labels = [each["labels"] for each in found["overlaps"]]
    hits = sum(len(each["hits"]) for each in found["overlaps"])
    acted = sum(each["partial"] + each["dirty"] for each in labels)
    return (
        f"{hits:,} examples stand in the sources, {acted:,} of them by a fifth or more "
        f"({folder.overlap / overlapping.PAGE})"
    )
