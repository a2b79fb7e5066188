"""Published scores to stand beside a run's own, each with its source and what it compares with."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from growlm.report.view import BaselineView, EvaluationView, RunView, StageView, TaskView

EXAMPLES: Mapping[str, int] = {"lambada_openai": 5_153, "piqa": 1_838, "hellaswag": 10_042}
"""Examples of the tasks that published tables have, in full."""

NAMES = {"lambada_openai": "LAMBADA", "piqa": "PIQA", "hellaswag": "HellaSwag"}
"""What those tables call them."""

COMPONENTS = ("Pile CC", "OpenWebText2", "Pile Wikipedia", "ArXiv", "BookCorpus2")
"""The components of the Pile that those tables have, in bits per byte."""

_ROUGHLY = "roughly, on the same documents"
_SPELLINGS = {"commoncrawl": "cc", "wikipediaen": "wikipedia"}

_LOGS = "fattorib/ZeRO-transformer, logs/580.md, 760.md and 1B.md"
_XL = f"{_LOGS}, as the README of GPT-Neo has it"
_PILE = "Gao et al., arXiv:2101.00027"
_LEAK = "its log suspects that its text holds passages of LAMBADA"


def _tasks(
    name: str, scores: tuple[float, float, float, float], *, source: str = _LOGS, remark: str = ""
) -> BaselineView:
    """Return LAMBADA's accuracy and perplexity, then accuracies of PIQA and HellaSwag, in %."""
    lambada, perplexity, piqa, hellaswag = scores
    return BaselineView(
        name=name,
        source=source,
        scores={
            "lambada_openai": {"acc": lambada / 100, "perplexity": perplexity},
            "piqa": {"acc": piqa / 100},
            "hellaswag": {"acc": hellaswag / 100},
        },
        context=1_024,
        remark=remark,
    )


def _bits(
    name: str, bits: tuple[float, ...], *, source: str = _PILE, documents: int | None = None
) -> BaselineView:
    return BaselineView(
        name=name,
        source=source,
        bits_per_byte=dict(zip(COMPONENTS, bits, strict=True)),
        documents=documents,
        context=1_024,
    )


PUBLISHED: tuple[BaselineView, ...] = (
    _tasks("GPT2-M", (43.0, 18.26, 67.6, 33.31), remark="known from these logs alone"),
    _tasks("GPT-580M", (46.4, 14.08, 66.8, 33.33)),
    _tasks("GPT2-L", (47.6, 12.97, 70.3, 36.40), remark="known from these logs alone"),
    _tasks("GPT-760M", (58.0, 6.96, 70.08, 36.62), remark=_LEAK),
    _tasks("GPT-1.1B", (62.24, 5.74, 69.42, 38.52), remark=f"trained at context 512; {_LEAK}"),
    _tasks("GPT2-XL", (51.21, 10.63, 70.78, 40.03), source=_XL),
    _bits("GPT2-M", (0.9992, 1.0073, 1.0213, 1.2305, 1.0498)),
    _bits("GPT-580M", (0.9635, 0.9159, 0.9846, 1.3127, 1.0249), source=_LOGS, documents=3_000),
    _bits("GPT2-L", (0.9582, 0.9539, 0.9795, 1.1778, 1.0061)),
    _bits("GPT-760M", (0.9193, 0.8834, 0.9483, 1.2362, 0.9382), source=_LOGS, documents=3_000),
    _bits("GPT-1.1B", (0.9319, 0.8778, 0.9301, 1.2444, 0.9286), source=_LOGS, documents=3_000),
    _bits("GPT2-XL", (0.9355, 0.9171, 0.9655, 1.1381, 0.9783)),
)
"""GPT-2 and the models whose logs this one takes after, by size: tasks, then bits per byte."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A number with what it is worth."""

    value: float
    """Itself: a share in [0, 1], or a perplexity."""
    stderr: float | None
    """Its standard error; None where it cannot be known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """A checkpoint of the run, to stand in a table of baselines."""

    stage: StageView
    """Its stage."""
    evaluation: EvaluationView
    """Its scores at one context."""
    scores: Mapping[tuple[str, str], Score]
    """By task and metric."""
    bits: Mapping[str, Score]
    """Bits per byte, by the component that the source is called after."""


def own_rows(view: RunView) -> tuple[Own, ...]:
    """Return every scored checkpoint of a run that has scores of tasks or of components."""
    names = _components(view)
    found = [
        Own(
            stage=stage,
            evaluation=each,
            scores=task_scores(each.tasks),
            bits=_own_bits(each, names),
        )
        for stage in view.stages
        for each in stage.evaluations
    ]
    return tuple(own for own in found if own.scores or own.bits)


def task_scores(tasks: Sequence[TaskView]) -> dict[tuple[str, str], Score]:
    """Return the scores of tasks; the mean log-likelihood of a last word as a perplexity.

    The perplexity's standard error is the mean's by the slope of exp.
    """
    found: dict[tuple[str, str], Score] = {}
    for task in tasks:
        for metric, mean in task.scores.items():
            if metric != "log_likelihood_nats":
                found[task.task, metric] = Score(value=mean.value, stderr=mean.stderr)
            elif task.task.startswith("lambada"):
                value = math.exp(-mean.value) if mean.value > -700 else math.inf
                found[task.task, "perplexity"] = Score(value=value, stderr=value * mean.stderr)
    return found


def baseline_score(baseline: BaselineView, task: str, metric: str) -> Score | None:
    """Return a baseline's score; a published accuracy has the error of as many examples."""
    value = baseline.scores.get(task, {}).get(metric)
    if value is None:
        return None
    if baseline.here:
        return Score(value=value, stderr=baseline.errors.get(task, {}).get(metric))
    examples = EXAMPLES.get(task) if metric in {"acc", "acc_norm"} else None
    return Score(
        value=value, stderr=math.sqrt(value * (1 - value) / examples) if examples else None
    )


def compares(baseline: BaselineView, own: Sequence[Own]) -> str:
    """Return whether a baseline's scores of tasks compare with the run's, and why not."""
    theirs = {(task, name) for task, found in baseline.scores.items() for name in found}
    ours = {key for row in own for key in row.scores}
    if not theirs & ours:
        return "no: no task and metric in common"
    if baseline.here:
        return _here(baseline, [row for row in own if row.scores])
    part = {
        (found.count, EXAMPLES[task.task])
        for row in own
        for task in row.evaluation.tasks
        for found in task.scores.values()
        if found.count != EXAMPLES.get(task.task, found.count) and task.task in baseline.scores
    }
    if part:
        count, whole = min(part)
        return f"no: ours are of {count:,} of {whole:,} examples"
    reasons = _contexts(baseline, [row for row in own if row.scores])
    return f"roughly: {'; '.join(reasons)}" if reasons else "yes"


def compares_bits(baseline: BaselineView, own: Sequence[Own], cap: int) -> str:
    """Return whether a baseline's bits per byte compare with the run's, and why not."""
    if not any(name in row.bits for row in own for name in baseline.bits_per_byte):
        return "no: no component in common"
    rows = [row for row in own if row.bits]
    if baseline.here:
        return _here(baseline, rows)
    capped = any(row.evaluation.capped for row in rows)
    theirs = "all of them" if baseline.documents is None else f"at most {baseline.documents:,}"
    differs = capped and baseline.documents != cap
    caps = [f"{theirs} were scored, of ours at most {cap:,}"] if differs else []
    reasons = [*caps, *_contexts(baseline, rows)]
    return "on the same documents" if not reasons else f"{_ROUGHLY}: {'; '.join(reasons)}"


def published(view: RunView) -> tuple[BaselineView, ...]:
    """Return the published rows that have something to stand beside: tasks, or components."""
    own = own_rows(view)
    shown = {
        "scores": any(row.scores for row in own),
        "bits_per_byte": any(name in COMPONENTS for row in own for name in row.bits),
    }
    return tuple(
        each for each in PUBLISHED if any(shown[key] and getattr(each, key) for key in shown)
    )


def _here(baseline: BaselineView, own: Sequence[Own]) -> str:
    """Return what to say of scores that were found on the same questions and documents."""
    if baseline.context in {row.evaluation.context for row in own}:
        return "run here"
    return f"run here: {_contexts(baseline, own)[0]}"


def _contexts(baseline: BaselineView, own: Sequence[Own]) -> list[str]:
    others = {row.evaluation.context for row in own} - {baseline.context}
    if baseline.context is None:
        return ["its context is not known"]
    return [f"scored at context {baseline.context:,}"] if others else []


def spelled(name: str) -> str:
    """Return a component's name as names are compared.

    >>> spelled("Pile Wikipedia"), spelled("pile-cc"), spelled("openwebtext2")
    ('wikipedia', 'cc', 'openwebtext2')
    """
    letters = "".join(each for each in name.lower() if each.isalnum()).removeprefix("pile")
    return _SPELLINGS.get(letters, letters)


def component_of(source: str) -> str:
    """Return the component that a source is called after, or the source's own name.

    >>> component_of("pile-wikipedia"), component_of("docs")
    ('Pile Wikipedia', 'docs')
    """
    return next((name for name in COMPONENTS if spelled(name) == spelled(source)), source)


def _components(view: RunView) -> dict[str, str]:
    """Return the component that each name stands for, as names are compared."""
    brought = [name for baseline in view.baselines for name in baseline.bits_per_byte]
    return {spelled(name): name for name in (*brought, *COMPONENTS)}


def _own_bits(evaluation: EvaluationView, names: Mapping[str, str]) -> dict[str, Score]:
    errors = evaluation.bits_per_byte_stderr
    return {
        names[spelled(source)]: Score(value=bits, stderr=errors.get(source))
        for source, bits in evaluation.bits_per_byte.items()
        if spelled(source) in names
    }
