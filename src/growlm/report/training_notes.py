"""Notes on the training: losses that went wrong, stages cut short, time against FLOPs."""

import math
from collections.abc import Sequence

import numpy as np

from growlm.base.units import format_seconds
from growlm.report.accounts import Account, accounts
from growlm.report.curves import last_loss, smooth, span_of
from growlm.report.view import RunView, StageView
from growlm.report.words import (
    code,
    count,
    flops,
    listing,
    number,
    plain,
    plural,
    share,
)

DIVERGED = 1.05
"""Last validation loss over the best from which a stage counts as diverged."""

OVERFIT_NATS = 0.1
"""Nats by which the training loss may lie under the validation loss."""

FRAGMENTED = 0.05
"""Share of reserved memory in no tensor that is worth saying."""

UTILISATION = 1.1
"""Ratio of two stages' FLOPs per second that is worth saying."""


def not_finite(view: RunView) -> tuple[str, ...]:
    """Say where a loss was not a number."""
    found = [
        f"{code(stage.name)} had a {kind} loss that is not finite, first at step {steps[0]:,}."
        for stage in view.stages
        for kind, points in (("training", stage.train), ("validation", stage.validation))
        if (steps := [point.step for point in points if not math.isfinite(point.loss)])
    ]
    meaning = "Such points are left out of the charts, and an end like that is no result."
    return (*found, meaning) if found else ()


WHYS = {
    "not finite": "had a loss or a gradient that is not finite",
    "spike": "had a loss or a gradient that stood out",
    "rolled back": "went before a roll-back",
}
"""Why a step was not taken, in words."""

STEPS_NAMED = 5
"""Steps of one kind that a note names."""


def skipped(view: RunView) -> tuple[str, ...]:
    """Say which steps were read and not learned."""
    found = [
        f"{plural(len(steps), 'step')} of {code(stage.name)} {WHYS.get(why, why)} and left no "
        f"trace in the weights: {_named(steps)} of {stage.steps:,}."
        for stage in view.stages
        for why, steps in stage.skipped.items()
    ]
    meaning = "What these steps read was not learned, and is no exposure."
    return (*found, meaning) if found else ()


def _named(steps: Sequence[int]) -> str:
    numbers = [f"{step:,}" for step in steps[:STEPS_NAMED]]
    more = len(steps) - len(numbers)
    return listing([*numbers, f"{more:,} more"] if more else numbers)


def diverged(view: RunView) -> tuple[str, ...]:
    """Say which stages ended worse than they had been, or were on the way there."""
    told = [_diverged(stage) or _rising(stage) for stage in view.stages]
    return tuple(text for text in told if text)


def _diverged(stage: StageView) -> str:
    losses = [point.loss for point in stage.validation if math.isfinite(point.loss)]
    if not losses or losses[-1] <= DIVERGED * min(losses):
        return ""
    return (
        f"The validation loss of {code(stage.name)} diverged: it was {number(min(losses))} at its "
        f"best and {number(losses[-1])} at its last, {share(losses[-1] / min(losses) - 1)} worse. "
        "Its last weights are not its best."
    )


def _rising(stage: StageView) -> str:
    """Return a sentence when the trend over the last quarter of a stage points up."""
    late = [
        (point.tokens, point.loss)
        for point in stage.validation
        if point.tokens >= 0.75 * stage.tokens and math.isfinite(point.loss)
    ]
    if len(late) < 3 or late[-1][1] <= late[0][1]:
        return ""
    x, y = np.array(late).T
    if float((x - x.mean()) @ (y - y.mean())) <= 0:
        return ""
    return (
        f"The validation loss of {code(stage.name)} rose over its last quarter, from "
        f"{number(late[0][1])} to {number(late[-1][1])}: it may have begun to diverge or to "
        "overfit."
    )


def overfitting(view: RunView) -> tuple[str, ...]:
    """Say where the training loss lies far under the validation loss."""
    return tuple(text for stage in view.stages if (text := _overfitting(stage)))


def _overfitting(stage: StageView) -> str:
    validation = last_loss(stage)
    if validation is None or not stage.train:
        return ""
    train = smooth([point.loss for point in stage.train], span=span_of(len(stage.train)))[-1]
    if not OVERFIT_NATS < validation - train < math.inf:
        return ""
    return (
        f"{code(stage.name)} ended with a training loss of {number(train)} (smoothed), "
        f"{number(validation - train)} nats under its validation loss of {number(validation)}: it "
        "has begun to learn its training text by heart, or the held-out text is of another kind."
    )


def unfinished(view: RunView) -> tuple[str, ...]:
    """Say which stages are not finished."""
    return tuple(
        f"{code(stage.name)} is not finished{_progress(stage)}; "
        + (
            f"it does not enter the ledger of {code(stage.control_of or '')}."
            if stage.kind == "control"
            else "its numbers are those of a schedule cut short."
        )
        for stage in view.stages
        if not stage.complete
    )


def _progress(stage: StageView) -> str:
    done = stage.train[-1].step if stage.train else 0
    return f" ({done:,} of {stage.steps:,} steps)"


def notices(view: RunView) -> tuple[str, ...]:
    """Repeat what the trainer wanted said."""
    return tuple(
        f"{code(stage.name)}: {plain(text)}" for stage in view.stages for text in stage.notices
    )


def memory(view: RunView) -> tuple[str, ...]:
    """Say where a GPU's memory was short, or held in pieces that nothing fitted."""
    return tuple(text for stage in view.stages if (text := _memory(stage)))


def _memory(stage: StageView) -> str:
    found = stage.memory
    if found is None or not found.peak_reserved_bytes or found.peak_allocated_bytes is None:
        return ""
    gap = 1 - found.peak_allocated_bytes / found.peak_reserved_bytes
    if found.retries:
        return (
            f"{code(stage.name)} ran short of GPU memory {found.retries:,} times: each time the "
            "allocator gave back what it kept and waited for the GPU. A smaller micro_batch, or "
            "activation_checkpointing, gives it room."
        )
    if gap > FRAGMENTED:
        return (
            f"{share(gap)} of the GPU memory that {code(stage.name)} reserved was in no tensor, "
            "even when it was fullest."
        )
    return ""


def utilisation(view: RunView) -> tuple[str, ...]:
    """Say where time and FLOPs tell different stories."""
    rates = {
        stage.name: stage.flops / stage.seconds
        for stage in view.stages
        if stage.complete and stage.seconds > 0
    }
    if len(rates) < 2 or max(rates.values()) <= UTILISATION * min(rates.values()):
        return ()
    slow, fast = min(rates, key=lambda name: rates[name]), max(rates, key=lambda name: rates[name])
    times = [text for account in accounts(view) if (text := _time(view, account))]
    return (
        f"The ledger counts FLOPs, not hours. {code(slow)} ran at {flops(rates[slow])} FLOPs per "
        f"second and {code(fast)} at {flops(rates[fast])}: small models keep a machine less busy, "
        "so a saving in FLOPs is not the same saving in time.",
        *times,
    )


def _time(view: RunView, account: Account) -> str:
    """Return the wall-clock of a grown stage and its parents, beside its controls'."""
    line = lineage(view, account.stage)
    if line is None or not account.controls:
        return ""
    together = format_seconds(math.fsum(stage.seconds for stage in line))
    controls = [
        f"{code(control.name)} took {format_seconds(control.seconds)} for "
        f"{count(control.tokens)} tokens"
        for control in account.controls
    ]
    names = listing([code(stage.name) for stage in line])
    return f"On the clock, {names} took {together} together; {listing(controls)}."


def lineage(view: RunView, stage: StageView) -> list[StageView] | None:
    """Return a stage's parents, first one first, and itself; None when one is not of this run."""
    known = {other.name: other for other in view.stages}
    line = [stage]
    while line[0].parent is not None:
        parent = known.get(line[0].parent)
        if parent is None or parent in line:
            return None
        line.insert(0, parent)
    return line
