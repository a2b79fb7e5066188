"""What a reader of the page can change about the curves: the axis, the stretch, the smoothing."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from growlm.report.channels import Row, rounded
from growlm.report.curves import SPAN_SHARE, SPAN_SHARES, perplexity

HORIZONTAL = "horizontal"
"""Name of the parameter that holds the axis."""

SINCE = "since"
"""Name of the parameter that holds the stretch, by its place in ``STARTS``."""

SMOOTHING = "smoothing"
"""Name of the parameter that holds the smoothing, by its place in ``SPAN_SHARES``."""

FRAMES = "frames"
"""Name of the parameter that holds the ends of both axes for each choice."""

STARTS = {0.0: "all of it", 0.5: "the last half", 0.75: "the last quarter", 0.9: "the last tenth"}
"""Where the shown stretch begins, as a share of the axis, and what it is called."""

SHARE_CUT = 0.04
"""Share of a stage's tokens that may run off the top of the chart."""

_CLOCK = ((2 * 3600.0, 3600.0, "hours"), (120.0, 60.0, "minutes"))
"""From how many seconds on time is told in which unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """One thing that a reader can change."""

    parameter: str
    """The charts' parameter that it sets."""
    label: str
    """What it is called."""
    choices: Mapping[str, str]
    """Each value of the parameter, as JSON, and what it is called."""
    chosen: int
    """The place of the choice that the page opens with."""
    slider: bool
    """Whether the choices stand in an order that a slider shows."""
    redraws: bool
    """Whether a stretch that the reader zoomed to means nothing after a change."""


def clock(seconds: float) -> tuple[float, str]:
    """Return the seconds in the unit that tells a time of training best, and its name.

    >>> clock(90.0), clock(7_200.0)
    ((1.0, 'seconds'), (3600.0, 'hours'))
    """
    return next(
        ((size, name) for least, size, name in _CLOCK if seconds >= least), (1.0, "seconds")
    )


def axes(rows: Sequence[Row], unit: str) -> dict[str, str]:
    """Return the axes that the rows can be drawn along, by their column, with their titles."""
    titles = {
        "tokens": "Training tokens, parents included",
        "flops": "Training FLOPs, parents included",
        "time": f"Time of training in {unit}, parents in this run included",
    }
    return {name: title for name, title in titles.items() if _most(rows, name) > 0}


def controls(titles: Mapping[str, str]) -> tuple[Control, ...]:
    """Return what a reader can change about curves with such axes."""
    short = {"tokens": "tokens", "flops": "FLOPs", "time": "time"}
    return (
        Control(
            parameter=HORIZONTAL,
            label="Along",
            choices={f'"{name}"': short[name] for name in titles},
            chosen=0,
            slider=False,
            redraws=True,
        ),
        Control(
            parameter=SINCE,
            label="Show",
            choices={str(at): name for at, name in enumerate(STARTS.values())},
            chosen=0,
            slider=False,
            redraws=True,
        ),
        Control(
            parameter=SMOOTHING,
            label="Training loss smoothed over",
            choices={str(at): _span(share) for at, share in enumerate(SPAN_SHARES)},
            chosen=SPAN_SHARES.index(SPAN_SHARE),
            slider=True,
            redraws=False,
        ),
    )


def _span(share: float) -> str:
    return f"{100 * share:g}% of its steps" if share else "nothing"


def parameters(
    train: Sequence[Row], validation: Sequence[Row], titles: Mapping[str, str], *, room: float
) -> tuple[tuple[str, Any], ...]:
    """Return the parameters of the curves with the values that a page opens with.

    Args:
        train: Points of the training curves: each axis, ``share`` of the stage done, and the loss
            by every smoothing, ``s0`` and so on.
        validation: Points of the validation curves: the same, with one ``loss``.
        titles: Titles of the axes, by their column.
        room: Share of the chart's height to be kept free on top.
    """
    found = {
        name: {
            "title": title,
            "stretches": [_stretch(train, validation, name, at, room=room) for at in STARTS],
        }
        for name, title in titles.items()
    }
    return (
        (HORIZONTAL, next(iter(titles), "tokens")),
        (SINCE, 0),
        (SMOOTHING, SPAN_SHARES.index(SPAN_SHARE)),
        (FRAMES, found),
    )


def of_frame(what: str) -> str:
    """Return the expression of an entry of the frame that is shown."""
    return f"{FRAMES}[{HORIZONTAL}].stretches[{SINCE}].{what}"


def _stretch(
    train: Sequence[Row], validation: Sequence[Row], axis: str, start: float, *, room: float
) -> dict[str, Any]:
    """Return the ends of the lower axis, and by smoothing those of the upright one, with ticks."""
    most = _most([*train, *validation], axis)
    shown = [row for row in train if row[axis] >= start * most]
    losses = [(row["share"], row["loss"]) for row in validation if row[axis] >= start * most]
    spans = [
        _span_of([*losses, *((row["share"], row[f"s{at}"]) for row in shown)])
        for at in range(len(SPAN_SHARES))
    ]
    return {
        "x": [rounded(start * most), rounded(1.01 * most)],
        "y": [[low, rounded(high * (high / low) ** (room / (1 - room)))] for low, high in spans],
        "ticks": [ticks(low, high) for low, high in spans],
    }


def _span_of(losses: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the perplexities between which losses lie, but for those of a stage's beginning."""
    late = [loss for share, loss in losses if share >= SHARE_CUT]
    values = late or [loss for _, loss in losses]
    return rounded(perplexity(min(values)) * 0.94), rounded(perplexity(max(values)) * 1.06)


def _most(rows: Sequence[Row], axis: str) -> float:
    return max((float(row[axis]) for row in rows), default=0.0)


def ticks(low: float, high: float) -> list[float]:
    """Return round values between two, more of them on a short axis.

    >>> ticks(9.0, 90.0), ticks(9.0, 13.0)
    ([10.0, 20.0, 50.0], [9.0, 10.0, 12.0])
    """
    steps = (1, 2, 5) if high > 8 * low else (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [rounded(step * 10.0**power) for power in powers for step in steps]
    return [tick for tick in found if low <= tick <= high]
