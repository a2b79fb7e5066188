"""Notes on scores and overlap: what a reader must know before comparing a score."""

from growlm.report.view import RunView
from growlm.report.words import code, listing


def unknown_lineage(view: RunView) -> tuple[str, ...]:
    """Say of which scores nobody knows whether their examples were trained on."""
    names = dict.fromkeys(
        code(each.stage) for each in view.contamination if each.known == "unknown"
    )
    some = dict.fromkeys(code(each.stage) for each in view.contamination if each.known == "partial")
    told: list[str] = []
    if names:
        told.append(
            f"Unknown lineage: nobody knows whether {listing(list(names))} was trained on what it "
            "is scored on. No score of it is a clean one."
        )
    if some:
        told.append(
            f"Not all that {listing(list(some))} was trained on was searched for what it is scored "
            "on."
        )
    return tuple(told)


def evident(view: RunView) -> tuple[str, ...]:
    """Say which scores overlap shows in, and which are the ones to quote instead."""
    return tuple(
        f"{code(each.stage)} scores better on what overlaps with its training text: quote "
        f"{code(each.task)}, {code(each.metric)}, on clean examples only."
        for each in view.contamination
        if "evidence" in (each.verdict, each.difference.verdict if each.difference else None)
    )
