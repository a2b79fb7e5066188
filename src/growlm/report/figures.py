"""The log's figures: one definition of each makes the interactive page and the PNG."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import vl_convert

from growlm.report import byte_chart, compute_chart, overlap_chart, perplexity_chart
from growlm.report.channels import Width, named, specified, unchecked
from growlm.report.curves import last_loss, perplexity as perplexity_of
from growlm.report.explore import Control
from growlm.report.palette import LIGHT
from growlm.report.view import RunView
from growlm.report.words import count, flops, number, short

PNG_WIDTH = 860
"""Width of the plots of ``curves.png``."""

PNG_SCALE = 2.0
"""Pixels of the picture per unit of the plots."""

COLUMNS = 2
"""Small charts in a row of the picture."""

STILL_WIDTH = PNG_WIDTH
"""Width of a large plot of the page's pictures for print."""

SMALL_WIDTH = (PNG_WIDTH - 70 * (COLUMNS - 1)) // COLUMNS
"""Width of its small plots."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """Charts under one title."""

    name: str
    """Its name in the page."""
    title: str
    """What it shows."""
    caption: str
    """How to read it, plain text."""
    charts: tuple[alt.LayerChart, ...]
    """Its charts, side by side where there is room."""
    alternative: str
    """What it shows, in words, for those who do not see it."""
    parameters: tuple[tuple[str, Any], ...] = ()
    """What its charts read, with the values that the page opens with."""
    controls: tuple[Control, ...] = ()
    """What a reader of the page can change about it."""


def figures(view: RunView, *, width: Width, small_width: Width, legend: bool) -> list[Figure]:
    """Return the figures that have something to show.

    Args:
        view: The run.
        width: Of the large charts.
        small_width: Of the charts that stand side by side.
        legend: Whether the charts carry their own legend.
    """
    perplexity = perplexity_chart.perplexity_chart(view, width=width, legend=legend)
    compute = compute_chart.compute_chart(view, width=width, legend=legend)
    bits = byte_chart.byte_charts(view, width=small_width)
    overlap = overlap_chart.overlap_charts(view.stages, view.contamination, width=small_width)
    found = [
        Figure(
            name="perplexity",
            title="Perplexity while training",
            caption=perplexity_chart.caption(view),
            charts=(perplexity.chart,) if perplexity else (),
            alternative=f"Perplexity falls while training. {ends(view)}",
            parameters=perplexity.parameters if perplexity else (),
            controls=perplexity.controls if perplexity else (),
        ),
        Figure(
            name="compute",
            title="Validation loss against training compute",
            caption=compute_chart.caption(view),
            charts=(compute,) if compute else (),
            alternative=f"Validation loss falls with training compute. {compute_ends(view)}",
        ),
        Figure(
            name="bits-per-byte",
            title="Bits per byte by context",
            caption=byte_chart.caption(view),
            charts=tuple(bits),
            alternative="The table of bits per byte above, drawn: a chart for each source, a line "
            "for each stage.",
        ),
        Figure(
            name="overlap",
            title="Scores without the examples that overlap",
            caption=overlap_chart.CAPTION,
            charts=tuple(overlap),
            alternative="The table of thresholds above, drawn: a chart for each task and metric, a "
            "line for each stage.",
        ),
    ]
    return [figure for figure in found if figure.charts]


@unchecked()
def png(view: RunView) -> bytes:
    """Return all figures as one picture."""
    return vl_convert.vegalite_to_png(picture(view), scale=PNG_SCALE, config=dict(LIGHT))


def picture(view: RunView) -> dict[str, Any]:
    """Return the Vega-Lite specification of all figures, one below the other."""
    found = figures(view, width=PNG_WIDTH, small_width=SMALL_WIDTH, legend=True)
    parts = [_titled(figure) for figure in found] or [_nothing()]
    read = [each for figure in found for each in figure.parameters]
    return _whole({"vconcat": parts, "spacing": 48, "padding": 24, "resolve": _RESOLVED}, read)


def still(figure: Figure) -> str:
    """Return one figure as an SVG picture, for print and where no script runs."""
    specification = _whole({**_part(figure), "resolve": _RESOLVED}, figure.parameters)
    return vl_convert.vegalite_to_svg(specification, config=dict(LIGHT))


_RESOLVED = {"scale": dict.fromkeys(("color", "strokeDash", "shape"), "independent")}
"""Charts beside each other share neither colours nor strokes nor marks."""


def _titled(figure: Figure) -> dict[str, Any]:
    lines = textwrap.wrap(figure.caption, width=150)
    return {**_part(figure), "title": {"text": figure.title, "subtitle": lines}}


def _part(figure: Figure) -> dict[str, Any]:
    """Return a figure's charts in rows."""
    charts = [specified(chart) for chart in figure.charts]
    rows = [charts[at : at + COLUMNS] for at in range(0, len(charts), COLUMNS)]
    return {"vconcat": [{"hconcat": row, "spacing": 40} for row in rows]}


def _whole(specification: dict[str, Any], parameters: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return a specification whose data and parameters stand at its top."""
    found: dict[str, Any] = {}
    parts = _gathered(specification, found)
    return {**parts, "datasets": found, "params": named(parameters)}


def _gathered(part: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """Return a part without what only the top may hold; its data go into ``found``."""
    found.update(part.get("datasets", {}))
    kept = {key: value for key, value in part.items() if key not in _TOP}
    for key in ("vconcat", "hconcat"):
        if key in kept:
            kept[key] = [_gathered(each, found) for each in kept[key]]
    return kept


_TOP = ("datasets", "config", "$schema")
"""What only the top of a specification may hold."""


def ends(view: RunView) -> str:
    """Return where each stage's curve ends, in words."""
    told = [
        f"{stage.name} ends at {short(perplexity_of(loss))} after "
        f"{count(stage.tokens_before + stage.validation[-1].tokens)} tokens"
        for stage in view.stages
        if (loss := last_loss(stage)) is not None
    ]
    return f"{'; '.join(told)}." if told else ""


def compute_ends(view: RunView) -> str:
    """Return at which compute each stage's validation loss ends, in words."""
    told = [
        f"{stage.name} ends at {number(loss)} nats after "
        f"{flops(stage.flops_before + stage.validation[-1].tokens * stage.flops_per_token)} FLOPs"
        for stage in view.stages
        if (loss := last_loss(stage)) is not None
    ]
    return f"{'; '.join(told)}." if told else ""


def _nothing() -> dict[str, Any]:
    return {
        "data": {"values": [{}]},
        "mark": {"type": "text", "text": "Nothing was trained yet."},
        "width": PNG_WIDTH,
        "height": 120,
    }
