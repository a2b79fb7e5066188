"""What the charts share: channels for stages, axes for tokens, and the highlighted stage."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import altair as alt

from growlm.report.palette import colours, dashes
from growlm.report.view import StageView

Row = Mapping[str, Any]
"""One datum of a chart."""

Width = int | Literal["container"]
"""Pixels, or as wide as the page gives."""

HIGHLIGHT = "highlight"
"""Name of the parameter that holds the stage to single out, empty for all."""

_PICKED = f"{HIGHLIGHT} === '' || datum.stage === {HIGHLIGHT}"
_TOKENS = "replace(format(datum.value, '~s'), 'G', 'B')"


def data(rows: Sequence[Row]) -> alt.InlineData:
    """Return rows as the data of a chart."""
    return alt.InlineData(values=[dict(row) for row in rows])


def rounded(value: float) -> float:
    """Return a value with the six significant digits that a chart can show.

    >>> rounded(3.14159265)
    3.14159
    """
    return float(f"{value:.6g}")


def drawable(*values: float) -> bool:
    """Return whether a point has a place on the chart."""
    return all(math.isfinite(value) for value in values)


def legend_of(*, shown: bool) -> alt.Legend | None:
    """Return the legend of the stages: a stroke each, dashed where the line is."""
    return alt.Legend(symbolType="stroke", symbolOpacity=1) if shown else None


def colour(stages: Sequence[StageView], *, legend: bool) -> alt.Color:
    """Return the colour channel: one colour a stage."""
    palette = colours(stages)
    scale = alt.Scale(domain=list(palette), range=list(palette.values()))
    return alt.Color("stage:N", title=None, scale=scale, sort=None, legend=legend_of(shown=legend))


def dash(stages: Sequence[StageView], *, legend: bool) -> alt.StrokeDash:
    """Return the stroke channel: controls are dashed."""
    strokes = dashes(stages)
    scale = alt.Scale(domain=list(strokes), range=list(strokes.values()))
    return alt.StrokeDash(
        "stage:N", title=None, scale=scale, sort=None, legend=legend_of(shown=legend)
    )


def opacity(full: float) -> Any:
    """Return the opacity channel: what is not singled out fades."""
    return alt.condition(_PICKED, alt.value(full), alt.value(full * 0.12))


def tokens_axis(title: str) -> alt.Axis:
    """Return an axis that counts tokens in K, M and B."""
    return alt.Axis(title=title, labelExpr=_TOKENS, tickCount=6)


def zoomable(specification: Mapping[str, Any]) -> dict[str, Any]:
    """Return a layered chart's specification that shift-scrolling and shift-dragging move."""
    zoom = {
        "name": "zoom",
        "bind": "scales",
        "select": {
            "type": "interval",
            "zoom": "wheel![event.shiftKey]",
            "translate": "[pointerdown[event.shiftKey], window:pointerup] > window:pointermove!",
        },
    }
    layers: list[dict[str, Any]] = [dict(layer) for layer in specification["layer"]]
    target = next(layer for layer in layers if "mark" in layer)
    target["params"] = [*target.get("params", []), zoom]
    return {**specification, "layer": layers}


def highlighted(chart: alt.TopLevelMixin) -> dict[str, Any]:
    """Return a chart's specification with the parameter its opacities read."""
    specification = chart.to_dict()
    own = specification.get("params", [])
    specification["params"] = [{"name": HIGHLIGHT, "value": ""}, *own]
    return specification
