"""The tasks step: what a stage's checkpoints make of the recipe's tasks, and where that is read."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from growlm.base.errors import StorageError
from growlm.base.files import read_json, write_json
from growlm.corpus.optional import missing
from growlm.corpus.overlap.reading import read_report
from growlm.evaluation.results import TaskScore
from growlm.evaluation.sheet import read_sheet
from growlm.pipeline.contamination import (
    Graded,
    all_views,
    contamination_views,
    lineage_sources,
    report_of,
)
from growlm.pipeline.evaluating import Examinee, Label
from growlm.pipeline.events import Event
from growlm.pipeline.examining import Options, Results, code_version, examine_all
from growlm.pipeline.folder import RunFolder, enclosing
from growlm.pipeline.papers import Paper, Shelf
from growlm.pipeline.plan import Plan
from growlm.report.contamination_view import ContaminationView
from growlm.report.frozen import MeanView
from growlm.report.view import TaskView
from growlm.training.parallel import ALONE

INDEX = "tasks.json"
"""Which sheet is of which checkpoint, beside the sheets."""

TASK_METRICS = ("acc", "acc_norm", "log_likelihood_nats")
"""What the log makes of a task's examples; of all else that they hold it makes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """A checkpoint's scores on a task, at a context."""

    checkpoint: Label
    context: int
    data_sha256: str
    score: TaskScore


def check_tasks(plan: Plan, shelf: Shelf) -> None:
    """Refuse tasks that could not be asked, before anything is computed.

    Args:
        plan: The plan.
        shelf: The tasks that were read already.

    Raises:
        CorpusError: Their data lack a field, or the harness that should have them is missing.
        EvaluationError: There is no such task, or its data are not there.
    """
    section = plan.experiment.evaluate
    if section.tasks and section.data is None and find_spec("lm_eval") is None:
        raise missing("lm_eval", extra="eval", purpose=f"have {', '.join(section.tasks)}")
    if section.data is not None:
        _papers(plan, shelf)


def key_of(plan: Plan, weights: Sequence[str], shelf: Shelf) -> dict[str, Any]:
    """Return all that scores on tasks depend on; the harness's own rows are taken as settled.

    Args:
        plan: The plan.
        weights: Of each checkpoint, their digest.
        shelf: The tasks that were read already.
    """
    section = plan.experiment.evaluate
    own = _papers(plan, shelf) if section.data is not None else []
    return {
        "tasks": section.tasks,
        "data": [(each.version, each.asked, each.sha256) for each in own],
        "limit": section.task_limit,
        "contexts": section.context_multiples,
        "batch": section.batch,
        "weights": list(weights),
        "code": code_version(),
    }


def take_tasks(
    plan: Plan, examinees: Sequence[tuple[Examinee, Sequence[int]]], out: Path, shelf: Shelf
) -> Generator[Event, None, None]:
    """Score checkpoints on the recipe's tasks; sheets that are there already are not filled again.

    Args:
        plan: The plan.
        examinees: The checkpoints, each with the contexts that it can read.
        out: The folder of sheets.
        shelf: The tasks that were read already.

    Raises:
        EvaluationError: A score cannot be computed.
        StorageError: A sheet cannot be written.
    """
    section = plan.experiment.evaluate
    rows: list[dict[str, Any]] = []
    for examinee, contexts in examinees:
        options = Options(
            contexts=tuple(map(str, contexts)),
            overlap=0,
            batch_tokens=section.batch,
            dtype="fp32",
            out=out,
        )
        results = Results()
        yield from examine_all(
            [examinee.path],
            lambda: _papers(plan, shelf),
            options,
            world=ALONE,
            results=results,
        )
        rows += [
            {
                "checkpoint": examinee.label,
                "context": each.heading.context,
                "sheet": each.sheet.name,
            }
            for each in results.found
        ]
    write_json(out / INDEX, rows)


def marked(place: Path) -> list[Marked]:
    """Return what checkpoints made of the tasks; nothing before they were asked.

    Args:
        place: The folder of sheets.

    Raises:
        StorageError: What is there is not what was written.
        EvaluationError: A sheet is damaged.
    """
    if not (place / INDEX).is_file():
        return []
    rows: list[Mapping[str, Any]] = read_json(place / INDEX)
    try:
        return [_marked(place, row) for row in rows]
    except (KeyError, TypeError) as error:
        raise StorageError(
            f"{place / INDEX} to hold this growlm's scores",
            got=f"'{error}'",
            fix=f"removing {place}: the stage is then scored again",
        ) from None


def task_view(score: TaskScore) -> TaskView:
    """Return a task's scores as the report shows them: the mean of each metric that it knows."""
    known = [metric for metric in TASK_METRICS if metric in score.examples[0].values]
    means = {metric: score.mean(metric) for metric in known}
    return TaskView(
        task=score.task,
        scores={metric: MeanView(**asdict(mean)) for metric, mean in means.items()},
    )


def contamination(plan: Plan, folder: RunFolder) -> tuple[ContaminationView, ...]:
    """Return what is known of the stages' scores and their training text.

    Raises:
        CheckpointError: A ledger is damaged.
        EvaluationError: A score is of another file than was searched for.
    """
    graded = [
        Graded(
            stage=stage.name,
            checkpoint="final",
            path=folder.final(stage.name),
            scores=tuple(each.score for each in found),
            sources=lineage_sources(plan, stage),
            digests={each.score.task: each.data_sha256 for each in found},
        )
        for stage in plan.stages
        if (found := _at_training_context(folder, stage.name, stage.context))
    ]
    if not graded:
        return ()
    parents = {each.name: each.origin.parent for each in plan.stages if each.origin.parent}
    return all_views(graded, report_of(folder.overlap / "overlap.json"), parents=parents)


def held_against(results: Results, searched: Path | None) -> tuple[ContaminationView, ...]:
    """Return what is known of scores that were asked for outside a recipe.

    Args:
        results: On tasks, of one context each.
        searched: An ``overlap.json``; that of the run each checkpoint lies in when None.

    Raises:
        CheckpointError: A ledger is damaged.
        CorpusError: The report is none, or one of another format.
        EvaluationError: A score is of another file than was searched for.
    """
    paths = dict.fromkeys(each.checkpoint for each in results.found)
    views: list[ContaminationView] = []
    report = read_report(searched) if searched else None
    for path in paths:
        mine = [each for each in results.found if each.checkpoint == path]
        context = mine[0].heading.context
        mine = [each for each in mine if each.heading.context == context]
        run = enclosing(path)
        place = run.overlap / "overlap.json" if run else None
        graded = Graded(
            stage=str(path),
            checkpoint="final",
            path=path,
            scores=tuple(each.score for each in mine),
            sources=None,
            digests={each.heading.task: each.heading.data_sha256 for each in mine},
        )
        views += contamination_views(graded, report or (report_of(place) if place else None))
    return tuple(views)


def _at_training_context(folder: RunFolder, stage: str, context: int) -> list[Marked]:
    found = marked(folder.tasks(stage))
    return [each for each in found if each.checkpoint == "final" and each.context == context]


def _marked(place: Path, row: Mapping[str, Any]) -> Marked:
    heading, score = read_sheet(place / row["sheet"])
    return Marked(
        checkpoint=row["checkpoint"],
        context=row["context"],
        data_sha256=heading.data_sha256,
        score=score,
    )


def _papers(plan: Plan, shelf: Shelf) -> list[Paper]:
    section = plan.experiment.evaluate
    folder = None if section.data is None else plan.recipe_folder / section.data
    return shelf.tasks(section.tasks, folder, limit=section.task_limit)
