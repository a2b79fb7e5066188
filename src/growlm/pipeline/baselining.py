"""The baseline step: other models, scored on the run's own tasks and held-out documents."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from growlm.base.errors import EvaluationError, GrowlmError, StorageError
from growlm.base.files import digest_of, read_json, sha256_bytes, write_json
from growlm.pipeline.data import packed_sources
from growlm.pipeline.engine import Step
from growlm.pipeline.evaluating import Examinee, exam_of, examine
from growlm.pipeline.events import Event
from growlm.pipeline.examining import code_version
from growlm.pipeline.exposing import ledger_of
from growlm.pipeline.folder import RunFolder
from growlm.pipeline.models import Model, open_model
from growlm.pipeline.papers import Shelf
from growlm.pipeline.plan import Plan
from growlm.pipeline.tasking import key_of, marked, take_tasks, task_view
from growlm.recipe.baseline import Baseline
from growlm.report.baselines import component_of, task_scores
from growlm.report.view import BaselineView, EvaluationView

SCORES = "baseline.json"
"""The scores on held-out documents, and what is known of the model, beside the sheets of tasks."""

HERE = "this run"

UNKNOWN = "nobody knows what it was trained on"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A baseline whose model was opened."""

    baseline: Baseline
    model: Model
    context: int
    """Tokens that it is scored at."""


def check_baselines(plan: Plan) -> None:
    """Refuse checkpoints that could not be scored, before anything is computed.

    Raises:
        CheckpointError: There is none, or it is of a kind that ours has no place for.
        EvaluationError: It is to be scored at a context beyond the positions that it learned.
    """
    for _candidate in _candidates(plan):
        continue


def baseline_steps(plan: Plan, folder: RunFolder, shelf: Shelf) -> Iterator[Step]:
    """Yield the step of each baseline that is a checkpoint.

    Raises:
        CheckpointError: A checkpoint is gone, or damaged.
    """
    for candidate in _candidates(plan):
        yield _step(candidate, plan, folder, shelf)


def baseline_views(plan: Plan, folder: RunFolder) -> tuple[BaselineView, ...]:
    """Return what the log shows of other models: published numbers, and scores that are here.

    Raises:
        StorageError: What is there is not what was written.
        EvaluationError: A sheet is damaged.
    """
    found = (_view(each, plan, folder) for each in plan.experiment.baseline)
    return tuple(view for view in found if view is not None)


def _candidates(plan: Plan) -> Iterator[Candidate]:
    for each in plan.experiment.baseline:
        if each.checkpoint is None:
            continue
        try:
            model = open_model(plan.recipe_folder / each.checkpoint)
            context = _context(each, model, wanted=plan.stages[-1].context)
        except GrowlmError as error:
            where = f"baseline '{each.name}'"
            raise type(error)(error.expected, got=error.got, fix=error.fix, where=where) from error
        yield Candidate(baseline=each, model=model, context=context)


def _context(baseline: Baseline, model: Model, *, wanted: int) -> int:
    """Return the context that a model is scored at: the one asked for, or what it can of wanted."""
    longest = model.config.context if model.config.positions == "learned" else None
    if baseline.context is None:
        return wanted if longest is None else min(wanted, longest)
    if longest is not None and baseline.context > longest:
        raise EvaluationError(
            f"context of at most {longest} tokens: that many positions were learned",
            got=f"{baseline.context}",
            fix=f"context = {longest}",
        )
    return baseline.context


def _step(candidate: Candidate, plan: Plan, folder: RunFolder, shelf: Shelf) -> Step:
    section, out = plan.experiment.evaluate, folder.baseline(candidate.baseline.folder)
    name = f"baseline:{candidate.baseline.folder}"
    weights, tokens = candidate.model.identity(), candidate.model.tokens()
    files = {file: sha256_bytes(content) for file, content in tokens.files.items()}
    return Step(
        name=name,
        key={
            "weights": weights,
            "tokenizer": [digest_of(files), sha256_bytes(tokens.json.encode()), tokens.end_of_text],
            "documents": section.documents,
            "batch": section.batch,
            "sources": packed_sources(plan, folder).ids,
            "tasks": key_of(plan, [weights], shelf) if section.tasks else None,
            "context": candidate.context,
            "code": code_version(),
        },
        outputs=(out,),
        precious=False,
        work=lambda: _scored(candidate, plan, folder, shelf),
        result=lambda: f"context {candidate.context:,}",
    )


def _scored(candidate: Candidate, plan: Plan, folder: RunFolder, shelf: Shelf) -> Iterator[Event]:
    """Score a model, and keep what comes of it."""
    experiment, out = plan.experiment, folder.baseline(candidate.baseline.folder)
    examinee = Examinee(
        path=candidate.model.path,
        label="final",
        context=candidate.context,
        step=f"baseline:{candidate.baseline.folder}",
    )
    names = [source.name for source in experiment.source]
    exam = exam_of(experiment.evaluate, names, folder, seed=None)
    (score,) = yield from examine(examinee, replace(exam, multiples=(1,)))
    if experiment.evaluate.tasks:
        yield from take_tasks(plan, [(examinee, [candidate.context])], out, shelf)
    values = {"known": _is_known(candidate.model), "score": score.model_dump(mode="json")}
    write_json(out / SCORES, values)


def _is_known(model: Model) -> bool:
    """Return whether it is known what a model was trained on."""
    if model.meta is None:
        return False
    return not any(each.status == "unknown" for each in ledger_of(model.path).segments)


def _view(baseline: Baseline, plan: Plan, folder: RunFolder) -> BaselineView | None:
    """Return what the log shows of a baseline; nothing of a checkpoint that is not scored yet."""
    if baseline.checkpoint is not None:
        path = folder.baseline(baseline.folder) / SCORES
        return _own_view(baseline.name, path, plan) if path.is_file() else None
    return BaselineView(
        name=baseline.name,
        source=str(baseline.source),
        scores={task: {**found} for task, found in baseline.scores.items()},
        bits_per_byte=baseline.bits_per_byte,
        documents=baseline.documents,
        context=baseline.context,
    )


def _own_view(name: str, path: Path, plan: Plan) -> BaselineView:
    values: Mapping[str, Any] = read_json(path)
    try:
        score, known = EvaluationView.model_validate(values["score"]), bool(values["known"])
    except (ValidationError, KeyError) as error:
        raise StorageError(
            f"{path} to hold this growlm's scores",
            got=str(error).splitlines()[0],
            fix=f"removing {path.parent}: the baseline is then scored again",
        ) from None
    tasks = tuple(task_view(each.score) for each in marked(path.parent))
    found = task_scores(tasks)
    names = dict.fromkeys(task for task, _ in found)
    by_task = {
        task: {metric: each for (other, metric), each in found.items() if other == task}
        for task in names
    }
    return BaselineView(
        name=name,
        source=HERE,
        scores={task: {key: each.value for key, each in by_task[task].items()} for task in names},
        errors={
            task: {key: each.stderr for key, each in by_task[task].items() if each.stderr}
            for task in names
        },
        bits_per_byte={component_of(each): bits for each, bits in score.bits_per_byte.items()},
        bits_per_byte_stderr={
            component_of(each): error for each, error in score.bits_per_byte_stderr.items()
        },
        documents=plan.experiment.evaluate.documents if score.capped else None,
        context=score.context,
        remark="" if known else UNKNOWN,
        here=True,
    )
