"""What the log does not show: each limit follows from what the run lacks, and only then stands."""

from collections.abc import Callable, Mapping
from pathlib import PurePosixPath

from growlm.report.accounts import controls_of
from growlm.report.baselines import EXAMPLES
from growlm.report.growth_notes import TUNED_RATES
from growlm.report.view import RunView, StageView
from growlm.report.words import code, count, listing, plural


def _chance(view: RunView) -> str:
    if not view.stages:
        return ""
    return (
        f"every stage ran once, with seed {view.seed}. `growlm log` on several runs at once shows "
        "their spread."
    )


def _saving(view: RunView) -> str:
    bare = [stage for stage in _grown(view) if not controls_of(view, stage)]
    if not bare:
        return ""
    return f"no scratch control answers {_names(bare)}."


def _tuning(view: RunView) -> str:
    few = [
        stage
        for stage in _grown(view)
        if (controls := controls_of(view, stage))
        and len({max((point.lr for point in each.train), default=0.0) for each in controls})
        < TUNED_RATES
    ]
    if not few:
        return ""
    return f"the controls of {_names(few)} tried fewer than {TUNED_RATES} peak learning rates."


def _need(view: RunView) -> str:
    grown = _grown(view)
    if not grown:
        return ""
    return "no run here goes on with the parent at its own size for as much compute."


def _sizes(view: RunView) -> str:
    grown = _grown(view)
    if not grown:
        return ""
    told = [
        f"{count(each.certificate.parent_parameters)} to {count(each.certificate.child_parameters)}"
        for each in grown
        if each.certificate is not None
    ]
    sizes = f" from {listing(told)} parameters" if told else ""
    return f"this is {plural(len(grown), 'growth')}{sizes}."


def _lineage(view: RunView) -> str:
    unknown = dict.fromkeys(
        name for stage in view.stages if stage.exposure for name in stage.exposure.unknown
    )
    outside = [
        stage.parent
        for stage in view.stages
        if stage.parent and stage.parent not in {each.name for each in view.stages}
    ]
    names = [*unknown, *(PurePosixPath(path).name for path in dict.fromkeys(outside))]
    if not names:
        return ""
    shown = listing([code(name) for name in dict.fromkeys(names)])
    told = "nobody knows what " if unknown else "this run did not train "
    end = " was trained on: scores may rest on text that it has read." if unknown else "."
    return f"{told}{shown}{end}"


def _unsearched(view: RunView) -> str:
    finished = [stage for stage in view.stages if stage.complete]
    bare = [
        stage
        for stage in finished
        if stage.exposure is None or stage.exposure.unsearched or not stage.exposure.benchmarks
    ]
    if not bare:
        return ""
    return f"the training text of {_names(bare)} was not searched, or not all of it."


def _published(view: RunView) -> str:
    scored = {
        task.task for stage in view.stages for each in stage.evaluations for task in each.tasks
    }
    if not view.stages or scored & set(EXAMPLES):
        return ""
    return "no task that published models were scored on was run here."


def _other_text(view: RunView) -> str:
    if not any(score.bits_per_byte for stage in view.stages for score in stage.evaluations):
        return ""
    return (
        "the held-out documents come from the sources that were trained on, so bits per byte tell "
        "of these kinds of text alone."
    )


def _errors(view: RunView) -> str:
    bare = [
        stage
        for stage in view.stages
        if any(each.bits_per_byte and not each.bits_per_byte_stderr for each in stage.evaluations)
    ]
    if not bare:
        return ""
    return "bits per byte stand without standard errors."


def _unfinished(view: RunView) -> str:
    late = [stage for stage in view.stages if not stage.complete]
    return f"{_names(late)} {'is' if len(late) == 1 else 'are'} not finished." if late else ""


LIMITS: Mapping[str, Callable[[RunView], str]] = {
    "Where this ends": _unfinished,
    "What chance does": _chance,
    "Whether growing saved anything": _saving,
    "Whether better controls would do as well": _tuning,
    "Whether a larger model was needed": _need,
    "Whether it holds at other sizes": _sizes,
    "What the models had read before": _lineage,
    "Whether benchmarks stand in the training text": _unsearched,
    "How it stands beside published models": _published,
    "How it reads other text": _other_text,
    "Whether small differences between scores mean anything": _errors,
}
"""Every question that a run can leave open, with the function that says why it does."""


def not_shown(view: RunView) -> tuple[tuple[str, str], ...]:
    """Return the questions that a run leaves open, each with the reason, Markdown."""
    told = [(question, why(view)) for question, why in LIMITS.items()]
    return tuple((question, reason) for question, reason in told if reason)


def _grown(view: RunView) -> list[StageView]:
    return [stage for stage in view.stages if stage.kind == "grown"]


def _names(stages: list[StageView]) -> str:
    return listing([code(stage.name) for stage in stages])
