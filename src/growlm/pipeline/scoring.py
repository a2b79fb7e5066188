"""Scoring any checkpoints on a run's held-out documents, outside a recipe's own order."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from growlm import checkpoint
from growlm.base.errors import EvaluationError
from growlm.pipeline.evaluating import Examinee, exam_of, examine
from growlm.pipeline.events import Event
from growlm.pipeline.folder import RunFolder, enclosing, existing
from growlm.pipeline.open import recorded_plan
from growlm.report.view import EvaluationView
from growlm.training.parallel import ALONE, World


@dataclass(slots=True)
class Scores:
    """Where scores are collected, each with its checkpoint."""

    found: list[tuple[Path, EvaluationView]] = field(
        default_factory=list[tuple[Path, EvaluationView]]
    )


def score_checkpoints(
    paths: Sequence[Path], run: Path | None, scores: Scores, *, world: World = ALONE
) -> Iterator[Event]:
    """Score checkpoints as their run's recipe says, and collect the scores.

    Args:
        paths: Checkpoints' folders.
        run: The run whose held-out documents are used; the one each lies in when None.
        scores: Filled.
        world: The ranks that share the work.

    Raises:
        EvaluationError: A checkpoint lies in no run, and none was named.
        CheckpointError: One is damaged.
    """
    folders = [_run_of(path, run) for path in paths]
    for path, folder in zip(paths, folders, strict=True):
        experiment = recorded_plan(folder).experiment
        names = [source.name for source in experiment.source]
        exam = exam_of(experiment.evaluate, names, folder, seed=experiment.seed)
        context = checkpoint.read_meta(path).gpt_config().context
        examinee = Examinee(path=path, label="final", context=context, step=f"evaluate:{path}")
        for view in (yield from examine(examinee, exam, world=world)):
            scores.found.append((path, view))


def _run_of(path: Path, run: Path | None) -> RunFolder:
    checkpoint.read_meta(path)
    folder = existing(run) if run is not None else enclosing(path)
    if folder is None:
        raise EvaluationError(
            "a checkpoint inside a run's folder, whose held-out documents it is scored on",
            got=str(path),
            fix="--run RUN",
        )
    return folder
