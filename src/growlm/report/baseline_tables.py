"""The log's tables of published models beside the run: tasks, and bits per byte of components."""

from collections.abc import Sequence

from growlm.report.baselines import (
    NAMES,
    Own,
    Score,
    baseline_score,
    compares,
    compares_bits,
    own_rows,
    published,
)
from growlm.report.result_tables import CHECKPOINTS
from growlm.report.view import BaselineView, RunView
from growlm.report.words import (
    NOTHING,
    PLUS_MINUS,
    TIMES,
    code,
    listing,
    number,
    plain,
    short,
    signed,
    table,
)

STANDARD = (
    ("lambada_openai", "acc"),
    ("lambada_openai", "perplexity"),
    ("piqa", "acc"),
    ("hellaswag", "acc"),
)
"""What published tables hold of each model, by task and metric."""

METRICS = ("acc", "acc_norm", "perplexity")
"""What a table shows of a task, in this order."""


def tasks(view: RunView) -> str:
    """Return the table of scores of tasks, the run's and the published ones, and what to know."""
    own = [row for row in own_rows(view) if row.scores]
    if not own:
        return ""
    columns = _columns(own)
    ours = [
        [_name(row), *(_score(row.scores.get(each), each[1]) for each in columns), *_tail(row)]
        for row in own
    ]
    shown = [each for each in (*published(view), *view.baselines) if each.scores]
    verdicts = [compares(each, own) for each in shown]
    theirs = [
        [
            plain(each.name),
            *(_score(baseline_score(each, *column), column[1]) for column in columns),
            *_facts(each, verdict),
        ]
        for each, verdict in zip(shown, verdicts, strict=True)
    ]
    return _table([*map(_head, columns)], [*ours, *theirs]) + _known(shown, verdicts)


def components(view: RunView) -> str:
    """Return the table of bits per byte of components, and what to know of the published ones."""
    own = [row for row in own_rows(view) if row.bits]
    if not own:
        return ""
    names = [name for each in (*published(view), *view.baselines) for name in each.bits_per_byte]
    columns = tuple(dict.fromkeys(names))
    ours = [
        [_name(row), *(_bits(row.bits.get(each)) for each in columns), *_tail(row)] for row in own
    ]
    shown = [each for each in (*published(view), *view.baselines) if each.bits_per_byte]
    verdicts = [compares_bits(each, own, view.document_cap) for each in shown]
    theirs = [
        [
            plain(each.name),
            *(_published(each, column) for column in columns),
            *_facts(each, verdict),
        ]
        for each, verdict in zip(shown, verdicts, strict=True)
    ]
    return _table([*map(plain, columns)], [*ours, *theirs]) + _known(shown, verdicts)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return table(("Model", *heads, "Context", "Compares"), rows, words=(0, len(heads) + 2))


def _known(shown: Sequence[BaselineView], verdicts: Sequence[str]) -> str:
    """Return a list of what to know of the published rows, those that share it in one line."""
    lines: dict[str, list[str]] = {}
    for each, verdict in zip(shown, verdicts, strict=True):
        _, _, reasons = verdict.partition(": ")
        told = [plain(text) for text in (reasons, each.remark) if text]
        where = f"{'; '.join(told)}. Source: {plain(each.source)}."
        lines.setdefault(where.removeprefix(". "), []).append(plain(each.name))
    items = [f"- {listing(names)}: {where}" for where, names in lines.items()]
    return "\n\n" + "\n".join(items)


def _columns(own: Sequence[Own]) -> list[tuple[str, str]]:
    """Return the tasks and metrics to show: the published ones, and what the run has beside."""
    wanted = {*STANDARD, *(key for row in own for key in row.scores if key[1] in METRICS)}
    names = dict.fromkeys([*NAMES, *sorted(task for task, _ in wanted)])
    return [(task, metric) for task in names for metric in METRICS if (task, metric) in wanted]


def _head(column: tuple[str, str]) -> str:
    task, metric = column
    return f"{plain(NAMES.get(task, task))}, {plain(metric)}"


def _name(row: Own) -> str:
    return f"**{code(row.stage.name)}**, {CHECKPOINTS[row.evaluation.checkpoint]}"


def _tail(row: Own) -> list[str]:
    evaluation = row.evaluation
    return [f"{evaluation.context:,} ({evaluation.multiple}{TIMES})", "this run"]


def _facts(baseline: BaselineView, verdict: str) -> list[str]:
    context = NOTHING if baseline.context is None else f"{baseline.context:,}"
    return [context, plain(verdict.partition(":")[0])]


def _score(score: Score | None, metric: str) -> str:
    if score is None:
        return NOTHING
    percent = metric.startswith("acc")
    shown = number(100 * score.value, 2) if percent else short(score.value)
    if score.stderr is None:
        return shown
    error = number(100 * score.stderr, 2) if percent else signed(f"{score.stderr:.2g}")
    return f"{shown} {PLUS_MINUS} {error}"


def _bits(score: Score | None) -> str:
    if score is None:
        return NOTHING
    error = "" if score.stderr is None else f" {PLUS_MINUS} {number(score.stderr, 4)}"
    return number(score.value, 4) + error


def _published(baseline: BaselineView, component: str) -> str:
    value = baseline.bits_per_byte.get(component)
    if value is None:
        return NOTHING
    return _bits(Score(value=value, stderr=baseline.bits_per_byte_stderr.get(component)))
