"""The chart of perplexity against tokens, with the points of growth."""

import math
from collections.abc import Sequence
from typing import Any

import altair as alt

from growlm.report.channels import (
    Row,
    Width,
    colour,
    dash,
    data,
    drawable,
    opacity,
    rounded,
    tokens_axis,
)
from growlm.report.curves import SPAN_SHARE, CurvePoint, train_curve, validation_curve
from growlm.report.view import RunView, StageView
from growlm.report.words import ARROW

HEIGHT = 340
LINE_HEIGHT = 15
"""Pixels from one label of a growth point to the next."""

SHARE_CUT = 0.04
"""Share of a stage's tokens that may run off the top of the chart."""


def caption(view: RunView) -> str:
    """Return how to read the chart."""
    controls = any(stage.kind == "control" for stage in view.stages)
    dashed = "Dashed: scratch controls. " if controls else ""
    return (
        "Strong lines with points: validation. Faint lines: training, smoothed by an exponential "
        f"moving average with a span of {100 * SPAN_SHARE:g}% of the stage's logged steps. {dashed}"
        f"The scale is logarithmic, and the first {100 * SHARE_CUT:g}% of a stage may run off its "
        "top."
    )


def perplexity_chart(view: RunView, *, width: Width, legend: bool) -> alt.LayerChart | None:
    """Return the chart; None when nothing was measured yet."""
    train = [row for stage in view.stages for row in _rows(stage, train_curve(stage))]
    validation = [row for stage in view.stages for row in _rows(stage, validation_curve(stage))]
    growth = _growth(view)
    if not train and not validation:
        return None
    x = alt.X("tokens:Q", axis=tokens_axis("Training tokens, parents included"))
    low, high, top = _domain(train + validation, len(growth))
    y = alt.Y(
        "perplexity:Q",
        axis=alt.Axis(title="Perplexity per token", values=_ticks(low, high), format="~s"),
        scale=alt.Scale(type="log", domain=[low, top], nice=False),
    )
    stage_colour = colour(view.stages, legend=legend)
    lines = alt.Chart(data(validation)).encode(x, y, stage_colour)
    layers = [
        alt.Chart(data(train))
        .mark_line(strokeWidth=1, clip=True)
        .encode(x, y, stage_colour, opacity=opacity(0.4)),
        lines.mark_line(strokeWidth=2.2, clip=True).encode(
            dash(view.stages, legend=legend), opacity=opacity(1.0)
        ),
        lines.mark_point(size=20, filled=True, clip=True).encode(
            opacity=opacity(1.0), tooltip=_tooltip()
        ),
        *_marks(growth, view),
    ]
    return alt.LayerChart(layer=layers, width=width, height=HEIGHT)


def _rows(stage: StageView, curve: Sequence[CurvePoint]) -> list[Row]:
    return [
        {
            "stage": stage.name,
            "tokens": point.tokens,
            "perplexity": rounded(point.perplexity),
            "loss": rounded(point.loss),
            "share": rounded((point.tokens - stage.tokens_before) / max(stage.tokens, 1)),
        }
        for point in curve
        if drawable(point.loss, point.perplexity)
    ]


def _domain(rows: Sequence[Row], labels: int) -> tuple[float, float, float]:
    """Return the ends of the curves, and of an axis with room above them for the labels."""
    late = [row["perplexity"] for row in rows if row["share"] >= SHARE_CUT]
    values = late or [row["perplexity"] for row in rows]
    low, high = min(values) * 0.94, max(values) * 1.06
    room = min((LINE_HEIGHT * labels + 8) / HEIGHT, 0.5)
    return rounded(low), rounded(high), rounded(high * (high / low) ** (room / (1 - room)))


def _ticks(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 times the powers of ten between two values, finer on a short axis."""
    steps = (1, 2, 5) if high > 8 * low else (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [rounded(step * 10.0**power) for power in powers for step in steps]
    return [tick for tick in ticks if low <= tick <= high]


def _growth(view: RunView) -> list[Row]:
    """Return one row for each stage that grew and has begun."""
    grown = [stage for stage in view.stages if stage.kind == "grown"]
    return [
        {"stage": stage.name, "tokens": stage.tokens_before, "text": growth_label(stage)}
        for stage in grown
    ]


def growth_label(stage: StageView) -> str:
    """Return what happened where a stage grew."""
    certificate = stage.certificate
    if certificate is None:
        return f"{stage.name} grows from {stage.parent}"
    return f"{stage.name}: {certificate.layers_from} {ARROW} {certificate.layers_to} layers"


def _marks(growth: Sequence[Row], view: RunView) -> list[alt.Chart]:
    """Return a rule and a label for each point of growth, each label on its own line."""
    end = max((stage.tokens_before + stage.tokens for stage in view.stages), default=1)
    marks: list[alt.Chart] = []
    for at, row in enumerate(growth):
        base = alt.Chart(data([row])).encode(x=alt.X("tokens:Q"))
        right = row["tokens"] > 0.55 * end
        marks += [
            base.mark_rule(strokeDash=[3, 3], strokeWidth=1.2, clip=True),
            base.mark_text(
                align="right" if right else "left", baseline="top", dx=-6 if right else 6
            ).encode(text="text:N", y=alt.value(2 + LINE_HEIGHT * at)),
        ]
    return marks


def _tooltip() -> list[Any]:
    return [
        alt.Tooltip("stage:N", title="stage"),
        alt.Tooltip("tokens:Q", title="tokens, parents included", format=","),
        alt.Tooltip("perplexity:Q", title="validation perplexity", format=".4~g"),
        alt.Tooltip("loss:Q", title="validation loss (nats)", format=".4f"),
    ]
