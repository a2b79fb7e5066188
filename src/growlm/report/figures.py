"""The log's figures: one definition of each makes the interactive page and the PNG."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import vl_convert

from growlm.report import byte_chart, compute_chart, perplexity_chart
from growlm.report.channels import Width, highlighted
from growlm.report.palette import LIGHT
from growlm.report.view import RunView

PNG_WIDTH = 860
"""Width of the plots of ``curves.png``."""

PNG_SCALE = 2.0
"""Pixels of the picture per unit of the plots."""

COLUMNS = 2
"""Small charts in a row of the picture."""


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
    found = [
        Figure(
            name="perplexity",
            title="Perplexity against tokens",
            caption=perplexity_chart.caption(view),
            charts=(perplexity,) if perplexity else (),
        ),
        Figure(
            name="compute",
            title="Validation loss against training compute",
            caption=compute_chart.caption(view),
            charts=(compute,) if compute else (),
        ),
        Figure(
            name="bits-per-byte",
            title="Bits per byte by context",
            caption=byte_chart.caption(view),
            charts=tuple(bits),
        ),
    ]
    return [figure for figure in found if figure.charts]


def png(view: RunView) -> bytes:
    """Return all figures as one picture."""
    return vl_convert.vegalite_to_png(picture(view), scale=PNG_SCALE, config=dict(LIGHT))


def picture(view: RunView) -> dict[str, Any]:
    """Return the Vega-Lite specification of all figures, one below the other."""
    small = (PNG_WIDTH - 70 * (COLUMNS - 1)) // COLUMNS
    found = figures(view, width=PNG_WIDTH, small_width=small, legend=True)
    parts = [_part(figure) for figure in found] or [_nothing()]
    whole = alt.vconcat(*parts, spacing=48).resolve_scale(
        color="independent", strokeDash="independent", shape="independent"
    )
    return highlighted(whole.properties(padding=24))


def _part(figure: Figure) -> alt.VConcatChart:
    title = alt.TitleParams(text=figure.title, subtitle=textwrap.wrap(figure.caption, width=150))
    rows = [figure.charts[at : at + COLUMNS] for at in range(0, len(figure.charts), COLUMNS)]
    return alt.vconcat(*map(_side_by_side, rows), title=title)


def _side_by_side(charts: Sequence[alt.LayerChart]) -> alt.HConcatChart:
    return alt.hconcat(*charts, spacing=40)


def _nothing() -> alt.LayerChart:
    text = alt.Chart(alt.InlineData(values=[{}])).mark_text(text="Nothing was trained yet.")
    return alt.LayerChart(layer=[text], width=PNG_WIDTH, height=120)
