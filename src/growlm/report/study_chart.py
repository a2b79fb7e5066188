"""The figure of a study: final loss against compute, arms against the law of the controls."""

import math
from collections.abc import Sequence
from typing import Any

import altair as alt
import vl_convert

from growlm.report.channels import Row, data, rounded, specified, unchecked
from growlm.report.figures import PNG_SCALE, PNG_WIDTH
from growlm.report.interval import Interval, interval
from growlm.report.law import Point, fit_law, merge
from growlm.report.ledger import SAME_COMPUTE
from growlm.report.palette import COLOURS, LIGHT
from growlm.report.study import Findings, Result

HEIGHT = 380
LABEL_PIXELS = 330
"""Room for an arm's name in the legend."""
STEPS = 60
"""Pieces that the curve of the law is drawn in."""

GREY = "#7a828c"
CONTROL = "from scratch"
HUES = COLOURS[:-1]
"""Of the arms: all but the last, which is grey too."""
SHAPES = ("circle", "square", "triangle-up", "cross")
"""Of the arms' marks: one for as many arms as there are hues, then the next."""


@unchecked()
def png(found: Findings, points: Sequence[Sequence[Point]]) -> bytes:
    """Return the figure as a picture.

    Args:
        found: What the study found.
        points: The best controls: by compute, and in it by seed.
    """
    return vl_convert.vegalite_to_png(
        specified(chart(found, points)), scale=PNG_SCALE, config=dict(LIGHT)
    )


def chart(found: Findings, points: Sequence[Sequence[Point]]) -> alt.LayerChart:
    """Return the figure: each arm with its parent charged and free, bars for its interval."""
    arms = [row for result in found.results for row in _arm(result)]
    controls = [row for group in points if (row := _control(group)) is not None]
    rows = [*arms, *controls]
    hue, shape = _marks([result.arm.name for result in found.results])
    x = alt.X(
        "compute:Q",
        scale=alt.Scale(type="log", nice=False, padding=24),
        axis=alt.Axis(title="Training compute (FLOPs, log scale)", format=".2e", tickCount=6),
    )
    losses = [row[key] for row in rows for key in ("low", "high")]
    ends: Any = [rounded(min(losses)), rounded(max(losses))] if losses else [0, 1]
    axis = alt.Axis(title="Final validation loss (nats per token)", tickCount=6)
    y = alt.Y("loss:Q", scale=alt.Scale(domain=ends, nice=False, padding=16, zero=False), axis=axis)
    base = alt.Chart(data(rows)).encode(x, hue)
    return alt.LayerChart(
        layer=[
            alt.Chart(data(_law(points))).mark_line(color=GREY, strokeWidth=2.5).encode(x, y),
            base.mark_rule(strokeWidth=1.6).encode(alt.Y("low:Q", axis=axis), alt.Y2("high:Q")),
            base.transform_filter("datum.mark == 'charged'")
            .mark_point(filled=True, size=110, opacity=1)
            .encode(y, shape),
            base.transform_filter("datum.mark == 'free'")
            .mark_point(filled=False, size=80, strokeWidth=2, opacity=1)
            .encode(y, shape),
            base.transform_filter("datum.mark == 'control'")
            .mark_point(filled=True, size=130, opacity=1)
            .encode(y, shape),
        ],
        width=PNG_WIDTH,
        height=HEIGHT,
        title=alt.Title(
            "Final validation loss against training compute",
            subtitle=[
                "Grey: training from scratch, and the law through it. Filled: arms with their "
                "parent charged. Hollow: the same with it free.",
                "Left of the grey line is saved compute. Bars: 95 % intervals over seeds.",
            ],
        ),
    )


def _marks(names: Sequence[str]) -> tuple[alt.Color, alt.Shape]:
    """Return the colours and shapes: no two arms share both, and scratch is a diamond."""
    colours = [HUES[at % len(HUES)] for at in range(len(names))]
    shapes = [SHAPES[at // len(HUES) % len(SHAPES)] for at in range(len(names))]
    domain = [*names, CONTROL]
    legend = alt.Legend(columns=3, symbolOpacity=1, labelLimit=LABEL_PIXELS)
    return (
        alt.Color(
            "stage:N",
            title=None,
            sort=None,
            scale=alt.Scale(domain=domain, range=[*colours, GREY]),
            legend=legend,
        ),
        alt.Shape(
            "stage:N",
            title=None,
            sort=None,
            scale=alt.Scale(domain=domain, range=[*shapes, "diamond"]),
            legend=legend,
        ),
    )


def _arm(result: Result) -> list[Row]:
    ends = {"charged": result.accounts[0], "free": result.accounts[-1]}
    return [
        _row(result.arm.name, each.flops.mean, result.loss, mark=mark)
        for mark, each in ends.items()
    ]


def _control(group: Sequence[Point]) -> Row | None:
    loss = interval([point.loss for point in group])
    return _row(CONTROL, group[0].compute, loss, mark="control") if loss is not None else None


def _row(name: str, compute: float, loss: Interval, *, mark: str) -> Row:
    low = loss.mean if loss.low is None else loss.low
    high = loss.mean if loss.high is None else loss.high
    return {
        "stage": name,
        "compute": rounded(compute),
        "loss": rounded(loss.mean),
        "low": rounded(low),
        "high": rounded(high),
        "mark": mark,
    }


def _law(points: Sequence[Sequence[Point]]) -> list[Row]:
    runs = merge([point for group in points for point in group], tolerance=SAME_COMPUTE)
    law = fit_law(runs)
    if law is None:
        return []
    first, last = math.log(runs[0].compute), math.log(runs[-1].compute)
    computes = [math.exp(first + (last - first) * at / STEPS) for at in range(STEPS + 1)]
    return [{"compute": rounded(at), "loss": rounded(law.loss(at))} for at in computes]
