"""The chart of perplexity against tokens, FLOPs or time, with the points of growth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from growlm.report.channels import (
    Row,
    Width,
    colour,
    dash,
    data,
    drawable,
    flattened,
    opacity,
    rounded,
)
from growlm.report.curves import (
    SPAN_SHARE,
    SPAN_SHARES,
    CurvePoint,
    train_curve,
    validation_curve,
)
from growlm.report.explore import (
    HORIZONTAL,
    SHARE_CUT,
    SMOOTHING,
    Control,
    axes,
    clock,
    controls,
    of_frame,
    parameters,
)
from growlm.report.view import RunView, StageView
from growlm.report.words import ARROW

HEIGHT = 340
LINE_HEIGHT = 15
"""Pixels from one label of a growth point to the next."""

_RIGHT = 0.55
"""Share of the shown stretch from which a label stands to the left of its mark."""

_LABELS = (
    f"{HORIZONTAL} === 'tokens' ? upper(replace(format(datum.value, '~s'), 'G', 'B'))"
    f" : {HORIZONTAL} === 'flops' && datum.value ? replace(format(datum.value, '.2~e'), '+', '')"
    " : format(datum.value, '~g')"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PerplexityChart:
    """The chart, and what a reader of the page can change about it."""

    chart: alt.LayerChart
    """The chart."""
    parameters: tuple[tuple[str, Any], ...]
    """What it reads, with the values that it opens with."""
    controls: tuple[Control, ...]
    """What a reader can change."""


def caption(view: RunView) -> str:
    """Return how to read the chart."""
    controls = any(stage.kind == "control" for stage in view.stages)
    dashed = "Dashed: scratch controls. " if controls else ""
    return (
        "Strong lines with points: validation. Faint lines: training, smoothed by an exponential "
        f"moving average, over {100 * SPAN_SHARE:g}% of a stage's logged steps unless another span "
        f"is chosen. {dashed}"
        f"The scale is logarithmic, and the first {100 * SHARE_CUT:g}% of a stage may run off its "
        "top."
    )


def perplexity_chart(view: RunView, *, width: Width, legend: bool) -> PerplexityChart | None:
    """Return the chart; None when nothing was measured yet."""
    size, unit = clock(
        max((each.seconds_before + each.seconds for each in view.stages), default=0.0)
    )
    train = [row for stage in view.stages for row in _train(stage, size)]
    validation = [
        row for stage in view.stages for row in _rows(stage, validation_curve(stage), size)
    ]
    if not train and not validation:
        return None
    growth = _growth(view, size)
    titles = axes([*train, *validation], unit)
    room = min((LINE_HEIGHT * len(growth) + 8) / HEIGHT, 0.5)
    x, y = _axes()
    stage_colour = colour(view.stages, legend=legend)
    training = flattened(train).transform_calculate(
        x=f"datum[{HORIZONTAL}]", perplexity=f"exp(datum['s' + {SMOOTHING}])"
    )
    lines = (
        flattened(validation)
        .transform_calculate(x=f"datum[{HORIZONTAL}]")
        .encode(x, y, stage_colour)
    )
    layers = [
        training.mark_line(strokeWidth=1, clip=True).encode(
            x, y, stage_colour, opacity=opacity(0.4)
        ),
        lines.mark_line(strokeWidth=2.2, clip=True).encode(
            dash(view.stages, legend=legend), opacity=opacity(1.0)
        ),
        lines.mark_point(size=20, filled=True, clip=True).encode(
            opacity=opacity(1.0), tooltip=_tooltip(titles, unit)
        ),
        *_marks(growth),
    ]
    return PerplexityChart(
        chart=alt.LayerChart(layer=layers, width=width, height=HEIGHT, title=_title()),
        parameters=parameters(train, validation, titles, room=room),
        controls=controls(titles),
    )


def _axes() -> tuple[alt.X, alt.Y]:
    """Return the channels of both axes, whose ends are those of the stretch that is shown."""
    ends = {
        "x": [alt.ExprRef(of_frame(f"x[{at}]")) for at in (0, 1)],
        "y": [alt.ExprRef(of_frame(f"y[{SMOOTHING}][{at}]")) for at in (0, 1)],
    }
    x = alt.X(
        "x:Q",
        axis=alt.Axis(title=None, labelExpr=_LABELS, tickCount=6),
        scale=alt.Scale(domain=ends["x"], nice=False, zero=False),
    )
    ticks = alt.ExprRef(of_frame(f"ticks[{SMOOTHING}]"))
    y = alt.Y(
        "perplexity:Q",
        axis=alt.Axis(title="Perplexity per token", values=ticks, format="~s"),
        scale=alt.Scale(type="log", domain=ends["y"], nice=False),
    )
    return x, y


def _title() -> alt.TitleParams:
    """Return the lower axis' title, which an axis could not change."""
    return alt.TitleParams(
        text=alt.ExprRef(f"frames[{HORIZONTAL}].title"),
        orient="bottom",
        anchor="middle",
        fontSize=12,
        fontWeight="normal",
        offset=10,
    )


def _train(stage: StageView, size: float) -> list[Row]:
    """Return a stage's training losses by every smoothing, ``s0`` and so on."""
    curves = [train_curve(stage, share=share) for share in SPAN_SHARES]
    return [
        {
            **_place(stage, points[0], size),
            **{f"s{at}": rounded(point.loss) for at, point in enumerate(points)},
        }
        for points in zip(*curves, strict=True)
        if drawable(*(point.loss for point in points), points[0].perplexity)
    ]


def _rows(stage: StageView, curve: Sequence[CurvePoint], size: float) -> list[Row]:
    return [
        {
            **_place(stage, point, size),
            "perplexity": rounded(point.perplexity),
            "loss": rounded(point.loss),
        }
        for point in curve
        if drawable(point.loss, point.perplexity)
    ]


def _place(stage: StageView, point: CurvePoint, size: float) -> dict[str, Any]:
    """Return where a point stands on each axis, and how much of its stage was done."""
    return {
        "stage": stage.name,
        "tokens": point.tokens,
        "flops": rounded(point.flops),
        "time": rounded(point.seconds / size),
        "share": round((point.tokens - stage.tokens_before) / max(stage.tokens, 1), 3),
    }


def _growth(view: RunView, size: float) -> list[Row]:
    """Return one row for each stage that grew and has begun."""
    grown = [stage for stage in view.stages if stage.kind == "grown"]
    return [
        {
            "stage": stage.name,
            "tokens": stage.tokens_before,
            "flops": rounded(stage.flops_before),
            "time": rounded(stage.seconds_before / size),
            "text": growth_label(stage),
        }
        for stage in grown
    ]


def growth_label(stage: StageView) -> str:
    """Return what happened where a stage grew."""
    certificate = stage.certificate
    if certificate is None:
        return f"{stage.name} grows from {stage.parent}"
    return f"{stage.name}: {certificate.layers_from} {ARROW} {certificate.layers_to} layers"


def _marks(growth: Sequence[Row]) -> list[alt.Chart]:
    """Return a rule and a label for each point of growth, each label on its own line."""
    marks: list[alt.Chart] = []
    turn = f"lerp([{of_frame('x[0]')}, {of_frame('x[1]')}], {_RIGHT})"
    for at, row in enumerate(growth):
        base = (
            alt.Chart(data([row]))
            .transform_calculate(x=f"datum[{HORIZONTAL}]")
            .encode(x=alt.X("x:Q"))
        )
        marks.append(base.mark_rule(strokeDash=[3, 3], strokeWidth=1.2, clip=True))
        sides: Any = {"<=": {"align": "left", "dx": 6}, ">": {"align": "right", "dx": -6}}
        marks += [
            base.transform_filter(f"datum.x {test} {turn} && datum.x >= {of_frame('x[0]')}")
            .mark_text(baseline="top", **place)
            .encode(text="text:N", y=alt.value(2 + LINE_HEIGHT * at))
            for test, place in sides.items()
        ]
    return marks


def _tooltip(titles: Mapping[str, str], unit: str) -> list[Any]:
    places = {
        "tokens": alt.Tooltip("tokens:Q", title="tokens", format=","),
        "flops": alt.Tooltip("flops:Q", title="FLOPs", format=".3~e"),
        "time": alt.Tooltip("time:Q", title=unit, format=".3~r"),
    }
    return [
        alt.Tooltip("stage:N", title="stage"),
        alt.Tooltip("perplexity:Q", title="validation perplexity", format=".4~g"),
        alt.Tooltip("loss:Q", title="validation loss (nats)", format=".4f"),
        *(places[name] for name in titles),
    ]
