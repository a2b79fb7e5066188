"""The log's tables of scores and overlap: subsets, thresholds, exposures, against the parent."""

from collections.abc import Callable, Iterator, Sequence

from growlm.report.contamination_view import ContaminationView, DoseView, SubsetView, ThresholdView
from growlm.report.frozen import MeanView
from growlm.report.words import (
    MINUS,
    NOTHING,
    PLUS_MINUS,
    code,
    number,
    plural,
    share,
    signed,
    table,
)

SHARES = frozenset({"acc", "acc_norm"})
"""Metrics that are shares of examples."""

VERDICTS = {
    "evidence": "evidence",
    "none": "none",
    "insufficient": "insufficient",
    "no overlap": "no overlap found",
    "not searched": "not searched",
}
"""How tables call what subsets say together."""

LINEAGES = {
    "known": "",
    "partial": "lineage partly unknown",
    "unknown": "unknown lineage",
}
"""What stands beside a score of a checkpoint whose data are not all known."""

RULE = (
    "Clean are examples of which no document holds a fifth of the letters, dirty those of which "
    "one holds four fifths. Z counts how many standard errors a part lies from all. Evidence: "
    f"clean and not dirty below {MINUS}2, not clean and dirty above 2 (Llama 2, arXiv:2307.09288); "
    "insufficient where a part has under 30 examples. Word for word only: no search of this kind "
    "sees a paraphrase, and what overlaps may simply be easier."
)

DOSES = (
    "An exposure is one training on all of an example's tokens, as the ledger counts. The gain is "
    "over the examples that were never trained on."
)

DIFFERENCE = (
    "Child less parent, on examples that the child alone was trained on, against those that "
    "neither was: what overlaps may be easier, but it is so for the parent too. That both groups "
    "would have gained the same is assumed. Evidence: above nothing by three standard errors."
)

THRESHOLDS = (
    "Without the examples of which a document holds such a share of the letters. The gain is all "
    "less the rest: what overlap may have brought."
)


def section(found: Sequence[ContaminationView]) -> str:
    """Return the whole section in Markdown, without its heading; nothing where nothing is known."""
    parts = (
        ("", RULE, subsets(found)),
        ("### Scores by overlap", THRESHOLDS, thresholds(found)),
        ("### Scores by exposures", DOSES, doses(found)),
        ("### Against the parent", DIFFERENCE, differences(found)),
    )
    bodies = ["\n\n".join(filter(None, part)) for part in parts if part[-1]]
    return "\n\n".join(bodies)


def subsets(found: Sequence[ContaminationView]) -> str:
    """Return the table of scores on all, clean, not clean, not dirty and dirty examples."""
    names = ("clean", "not clean", "not dirty", "dirty")
    header = ("Stage", "Task", "All", *map(str.capitalize, names), "Z", "Verdict", "Other examples")
    rows = [
        [
            *_named(each),
            _mean(each.everything, each) + _beside(each),
            *(_subset(each.subset(name), each) for name in names),
            " / ".join(number(part.z, 1) for part in each.subsets) or NOTHING,
            VERDICTS[each.verdict],
            _others(each),
        ]
        for each in found
    ]
    return table(header, rows, words=(0, 1, 8, 9))


def thresholds(found: Sequence[ContaminationView]) -> str:
    """Return the table of scores without what overlaps by so much."""
    header = ("Stage", "Task", "Left out", "Examples", "Score of the rest", "Gain", "Z")
    rows = [
        [*_named(each), _edge(edge), f"{edge.flagged:,}", *_threshold(edge, each)]
        for each in found
        for edge in _telling(each.thresholds)
    ]
    return table(header, rows, words=(0, 1, 2))


def _telling(found: Sequence[ThresholdView]) -> list[ThresholdView]:
    """Return the edges that leave something out; of those that leave out the same, the last."""
    highest = {edge.flagged: edge for edge in found}
    return [edge for edge in found if edge.flagged and highest[edge.flagged] is edge]


def doses(found: Sequence[ContaminationView]) -> str:
    """Return the table of scores, and of gains over the parent, by exposures."""
    header = ("Stage", "Task", "What", "Exposures", "Mean", "Examples")
    header = (*header, "Value", "Gain", "Gain per exposure")
    rows = [
        [*_named(each), what, *_dose(dose, each)]
        for each in found
        for what, some in (("score", each.doses), ("score less the parent's", each.gains))
        for dose in some
        if len(some) > 1
    ]
    return table(header, rows, words=(0, 1, 2, 3))


def differences(found: Sequence[ContaminationView]) -> str:
    """Return the table of differences in differences against the parent."""
    header = ("Stage", "Task", "Parent", "Trained on", "Not trained on", "Difference", "Z")
    rows = [row for each in found for row in _difference(each)]
    return table((*header, "Verdict"), rows, words=(0, 1, 2, 7))


def _difference(each: ContaminationView) -> Iterator[list[str]]:
    found = each.difference
    if found is None or each.parent is None or each.parent_known is None:
        return
    beside = LINEAGES[each.parent_known]
    yield [
        *_named(each),
        code(each.parent) + (f", parent's {beside}" if beside else ""),
        f"{_mean(found.exposed, each)} ({plural(found.exposed.count, 'example')})",
        f"{_mean(found.unexposed, each)} ({plural(found.unexposed.count, 'example')})",
        _pair(found.value, found.stderr, each),
        _ratio(found.value, found.stderr),
        VERDICTS[found.verdict],
    ]


def _named(each: ContaminationView) -> tuple[str, str]:
    checkpoint = "" if each.checkpoint == "final" else f", {code(each.checkpoint)}"
    return code(each.stage) + checkpoint, f"{code(each.task)}, {code(each.metric)}"


def _beside(each: ContaminationView) -> str:
    words = LINEAGES[each.known]
    return f" ({words})" if words else ""


def _others(each: ContaminationView) -> str:
    names = ("short_hit", "short_miss", "boilerplate", "undetermined", "untestable")
    told = [f"{each.labels[name]:,} {name}" for name in names if each.labels.get(name)]
    if each.answered is not None:
        told.append(f"{each.answered.count:,} with their answer: {_mean(each.answered, each)}")
    return "; ".join(told).replace("_", " ") or NOTHING


def _subset(found: SubsetView | None, each: ContaminationView) -> str:
    if found is None or found.mean is None:
        return NOTHING
    return f"{_mean(found.mean, each)} ({found.mean.count:,})"


def _edge(found: ThresholdView) -> str:
    return f"{found.edge:g} or more" if found.edge else "anything"


def _threshold(found: ThresholdView, each: ContaminationView) -> list[str]:
    if found.rest is None or found.gain is None or found.gain_stderr is None:
        return [NOTHING] * 3
    gain = _pair(found.gain, found.gain_stderr, each)
    return [_mean(found.rest, each), gain, _ratio(found.gain, found.gain_stderr)]


def _dose(found: DoseView, each: ContaminationView) -> list[str]:
    gain, per = NOTHING, NOTHING
    if found.gain is not None and found.gain_stderr is not None:
        alone = found.mean.count == 1
        gain = _formatted(each)(found.gain) if alone else _pair(found.gain, found.gain_stderr, each)
    if found.gain_per_exposure is not None:
        per = _formatted(each)(found.gain_per_exposure)
    return [
        _range(found),
        number(found.exposures, 2),
        f"{found.mean.count:,}",
        _mean(found.mean, each),
        gain,
        per,
    ]


def _range(found: DoseView) -> str:
    if found.above is None:
        return "never"
    if found.most == float("inf"):
        return f"more than {found.above:g}"
    return f"{found.above:g} to {found.most:g}" if found.above else f"up to {found.most:g}"


def _formatted(each: ContaminationView) -> Callable[[float], str]:
    return share if each.metric in SHARES else number


def _mean(found: MeanView, each: ContaminationView) -> str:
    """Return a mean; of one example, nobody knows its error."""
    if found.count == 1:
        return _formatted(each)(found.value)
    return _pair(found.value, found.stderr, each)


def _pair(value: float, stderr: float, each: ContaminationView) -> str:
    """Return a value with its standard error, a share with its in percentage points."""
    error = f"{100 * stderr:.1f}" if each.metric in SHARES else number(stderr)
    return f"{_formatted(each)(value)} {PLUS_MINUS} {signed(error)}"


def _ratio(value: float, stderr: float) -> str:
    return number(value / stderr, 1) if stderr else NOTHING
