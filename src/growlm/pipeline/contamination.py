"""Scores of checkpoints held against ``overlap.json`` and their ledgers, as the log shows them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from growlm.base.errors import EvaluationError
from growlm.checkpoint import META
from growlm.corpus.ledger import Ledger, inherited, of
from growlm.corpus.overlap.reading import BenchmarkRead, Contact, ReportRead, read_report
from growlm.corpus.overlap.score import PARTIAL
from growlm.corpus.overlap.tasks import PREFIX, is_task
from growlm.evaluation.contamination.doses import Difference, Dose
from growlm.evaluation.contamination.findings import Finding, finding
from growlm.evaluation.contamination.items import History, Scored
from growlm.evaluation.contamination.subsets import Subset
from growlm.evaluation.contamination.thresholds import Threshold
from growlm.evaluation.results import Mean, TaskScore
from growlm.pipeline.exposing import ledger_of
from growlm.pipeline.plan import Plan
from growlm.pipeline.stageplan import StagePlan
from growlm.report.contamination_view import (
    ContaminationView,
    DifferenceView,
    DoseView,
    SubsetView,
    ThresholdView,
)
from growlm.report.frozen import MeanView

METRICS = ("acc", "acc_norm", "log_likelihood_nats")
"""Metrics that are looked at, of those that a task has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Graded:
    """A checkpoint with its scores."""

    stage: str
    checkpoint: str
    """Which of the stage's: ``final``, or its path."""
    path: Path
    """Its folder, whose ledger says what it was trained on."""
    scores: tuple[TaskScore, ...]
    sources: Collection[str] | None
    """What it and its ancestors read; None for whatever was searched."""
    digests: Mapping[str, str]
    """SHA-256 of the file of each task, where they are known."""


def contamination_views(
    graded: Graded, report: ReportRead | None, *, parent: Graded | None = None
) -> tuple[ContaminationView, ...]:
    """Return what is known of every score of a checkpoint and its training text.

    Args:
        graded: The checkpoint.
        report: What stands in the sources; None where none were searched.
        parent: The checkpoint that it was grown from, scored too; tasks that it lacks go without.

    Raises:
        CheckpointError: A ledger is damaged.
        EvaluationError: A score is of another file than was searched for, or of rows that it does
            not have, or the parent was scored on other examples.
    """
    ledger = _ledger(graded.path)
    before = None if parent is None else _ledger(parent.path)
    return tuple(
        _view(graded, found, parent)
        for score in graded.scores
        for found in _findings(
            score, graded, report, ledger=ledger, parent=_parent(score, parent, before, report)
        )
    )


def _ledger(path: Path) -> Ledger:
    """Return a checkpoint's ledger; of a Hugging Face folder nobody knows anything."""
    if (path / META).is_file():
        return ledger_of(path)
    return of(inherited(None, (path.name,)))


def report_of(path: Path) -> ReportRead | None:
    """Return an overlap report; None where there is no file.

    Raises:
        CorpusError: It is none, or one of another format.
        StorageError: It cannot be read.
    """
    return read_report(path) if path.is_file() else None


def lineage_sources(plan: Plan, stage: StagePlan) -> frozenset[str]:
    """Return the sources that a stage and those that it grows from read."""
    return frozenset(name for each in plan.ancestry(stage) for name in each.weights)


def searched_for(task: str, report: ReportRead | None) -> BenchmarkRead | None:
    """Return the benchmark that a task is: of its name, of the harness's, or of its beginning."""
    found = () if report is None else report.benchmarks
    wanted = (
        [each for each in found if each.name == task],
        [each for each in found if each.path == f"{PREFIX}{task}"],
        [each for each in found if task.startswith(f"{each.name}_")],
    )
    return next((each for some in wanted for each in some), None)


def _findings(
    score: TaskScore,
    graded: Graded,
    report: ReportRead | None,
    *,
    ledger: Ledger,
    parent: Scored | None,
) -> Iterator[Finding]:
    benchmark = searched_for(score.task, report)
    _check_digest(score, graded, benchmark)
    contacts = _contacts(graded, report, benchmark)
    child = Scored(score=score, history=_history(score, ledger, benchmark))
    for metric in METRICS:
        if metric in score.examples[0].values:
            yield finding(child, metric, contacts, parent=parent)


def _parent(
    score: TaskScore, parent: Graded | None, ledger: Ledger | None, report: ReportRead | None
) -> Scored | None:
    if parent is None or ledger is None:
        return None
    own = next((each for each in parent.scores if each.task == score.task), None)
    if own is None:
        return None
    return Scored(score=own, history=_history(own, ledger, searched_for(own.task, report)))


def _history(score: TaskScore, ledger: Ledger, benchmark: BenchmarkRead | None) -> History:
    """Return what a ledger says of a task; the digest of a task of the harness is of its name."""
    name = score.task if benchmark is None else benchmark.name
    file = None if benchmark is None or is_task(benchmark.path) else benchmark.sha256
    return History(
        known=ledger.known_of(name, file), exposures=ledger.exposures_of(name, least=PARTIAL)
    )


def _contacts(
    graded: Graded, report: ReportRead | None, benchmark: BenchmarkRead | None
) -> dict[int, Contact] | None:
    if report is None or benchmark is None:
        return None
    searched = {str(each["name"]) for each in report.sources}
    if graded.sources is not None and not searched & {*graded.sources}:
        return None
    return report.contacts(benchmark.name, sources=graded.sources)


def _check_digest(score: TaskScore, graded: Graded, benchmark: BenchmarkRead | None) -> None:
    own = graded.digests.get(score.task)
    if own is None or benchmark is None or is_task(benchmark.path):
        return
    if own != benchmark.sha256:
        raise EvaluationError(
            f"{score.task} to be scored on the file that was searched for, {benchmark.path}",
            got=f"SHA-256 {own[:12]} against {benchmark.sha256[:12]}",
            fix="one file for both",
        )


def _view(graded: Graded, found: Finding, parent: Graded | None) -> ContaminationView:
    compared = parent is not None and found.parent_known is not None
    return ContaminationView(
        stage=graded.stage,
        checkpoint=graded.checkpoint,
        task=found.task,
        metric=found.metric,
        known=found.known,
        everything=_mean(found.everything),
        labels={str(label): number for label, number in found.labels.items()},
        subsets=tuple(map(_subset, found.subsets)),
        verdict=found.verdict,
        thresholds=tuple(map(_threshold, found.thresholds)),
        answered=_mean_or_none(found.answered),
        doses=tuple(map(_dose, found.doses)),
        parent=parent.stage if parent is not None and compared else None,
        parent_known=found.parent_known,
        gains=tuple(map(_dose, found.gains)),
        difference=None if found.difference is None else _difference(found.difference),
    )


def _mean(found: Mean) -> MeanView:
    return MeanView(value=found.value, stderr=found.stderr, count=found.count)


def _mean_or_none(found: Mean | None) -> MeanView | None:
    return None if found is None else _mean(found)


def _subset(found: Subset) -> SubsetView:
    return SubsetView(
        name=found.name, mean=_mean_or_none(found.mean), z=found.z, z_finite=found.z_finite
    )


def _threshold(found: Threshold) -> ThresholdView:
    return ThresholdView(
        edge=found.edge,
        flagged=found.flagged,
        rest=_mean_or_none(found.rest),
        gain=found.gain,
        gain_stderr=found.gain_stderr,
    )


def _dose(found: Dose) -> DoseView:
    return DoseView(
        above=found.above,
        most=found.most,
        exposures=found.exposures,
        mean=_mean(found.mean),
        gain=found.gain,
        gain_stderr=found.gain_stderr,
        gain_per_exposure=found.gain_per_exposure,
    )


def _difference(found: Difference) -> DifferenceView:
    return DifferenceView(
        exposed=_mean(found.exposed),
        unexposed=_mean(found.unexposed),
        value=found.value,
        stderr=found.stderr,
        verdict=found.verdict,
    )


def all_views(
    graded: Sequence[Graded], report: ReportRead | None, *, parents: Mapping[str, str]
) -> tuple[ContaminationView, ...]:
    """Return the same of many checkpoints, each beside its parent's scores where they are there.

    Args:
        graded: The checkpoints.
        report: What stands in the sources; None where none were searched.
        parents: For each stage that grew from another, that one's name.

    Raises:
        GrowlmError: As above.
    """
    finals = {each.stage: each for each in graded if each.checkpoint == "final"}
    return tuple(
        view
        for each in graded
        for view in contamination_views(
            each, report, parent=finals.get(parents.get(each.stage, ""))
        )
    )
