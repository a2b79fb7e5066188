"""What the charts share: their data, channels for stages, and what moves in the page."""

import math
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import altair as alt
from altair.utils import schemapi

from growlm.report.palette import colours, dashes
from growlm.report.view import StageView

Row = Mapping[str, Any]
"""One datum of a chart."""

Width = int | Literal["container"]
"""Pixels, or as wide as the page gives."""

HIGHLIGHT = "highlight"
"""Name of the parameter that holds the stage to single out, empty for all."""

_PICKED = f"{HIGHLIGHT} === '' || datum.stage === {HIGHLIGHT}"


def data(rows: Sequence[Row]) -> alt.InlineData:
    """Return rows as the data of a chart."""
    return alt.InlineData(values=[dict(row) for row in rows])


def columns(rows: Sequence[Row]) -> alt.InlineData:
    """Return rows as lists, one row a stage: a tenth of the text, for ``flattened`` to undo."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        own = found.setdefault(row["stage"], {"stage": row["stage"]})
        for name, value in row.items():
            if name != "stage":
                own.setdefault(name, []).append(value)
    return alt.InlineData(values=[*found.values()])


def flattened(rows: Sequence[Row]) -> alt.Chart:
    """Return a chart of rows that hold the same columns, which its specification holds once."""
    names: list[str | alt.FieldName] = [name for row in rows[:1] for name in row if name != "stage"]
    return alt.Chart(columns(rows)).transform_flatten(names or ["stage"])


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


def explorable(specification: Mapping[str, Any]) -> dict[str, Any]:
    """Return a layered chart's specification that answers to its reader.

    Shift-scrolling and shift-dragging move it, and the validation nearest to the pointer tells its
    numbers, wherever on the chart the pointer is.
    """
    layers: list[dict[str, Any]] = [dict(layer) for layer in specification["layer"]]
    for layer, parameter in (
        (next(layer for layer in layers if "mark" in layer), _ZOOM),
        (next((layer for layer in layers if _kind(layer) == "point"), None), _NEAREST),
    ):
        if layer is not None:
            layer["params"] = [*layer.get("params", []), parameter]
    return {**specification, "layer": layers}


def _kind(layer: Mapping[str, Any]) -> str:
    mark: Any = layer.get("mark", {})
    return str(mark.get("type", ""))


_ZOOM = {
    "name": "zoom",
    "bind": "scales",
    "select": {
        "type": "interval",
        "zoom": "wheel![event.shiftKey]",
        "translate": "[pointerdown[event.shiftKey], window:pointerup] > window:pointermove!",
    },
}
_NEAREST = {
    "name": "nearest",
    "select": {"type": "point", "on": "pointerover", "nearest": True, "clear": "pointerout"},
}


@contextmanager
def unchecked() -> Generator[None]:
    """Draw without holding every part against the schema of Vega-Lite, which takes seconds.

    Altair does so to find mistakes in a program; those in this one are found by its tests.
    """
    with schemapi.debug_mode(arg=False):
        yield


def specified(chart: alt.LayerChart) -> dict[str, Any]:
    """Return a chart's specification, held against the schema unless that is left out."""
    return chart.to_dict(validate=schemapi.DEBUG_MODE)


def highlighted(
    chart: alt.LayerChart, parameters: Sequence[tuple[str, Any]] = ()
) -> dict[str, Any]:
    """Return a chart's specification with the parameters that it reads."""
    return {**specified(chart), "params": named(parameters)}


def named(parameters: Sequence[tuple[str, Any]]) -> list[dict[str, Any]]:
    """Return parameters as a specification holds them, after the one for the chosen stage."""
    return [{"name": name, "value": value} for name, value in ((HIGHLIGHT, ""), *parameters)]
