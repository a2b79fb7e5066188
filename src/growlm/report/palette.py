"""How the charts look: one colour a stage, one theme for paper and one for dark screens."""

from collections.abc import Mapping, Sequence
from typing import Any

from growlm.report.view import StageView

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6BB1", "#7A7A7A")
"""Okabe and Ito's colours, without the black and the yellow that vanish on one background."""

SOLID = [1, 0]
DASHED = [7, 4]
DOTTED = [2, 3]

FONT = "Liberation Sans, Arial, Helvetica, sans-serif"


def colours(stages: Sequence[StageView]) -> dict[str, str]:
    """Return each stage's colour; they repeat after the last."""
    return {stage.name: COLOURS[at % len(COLOURS)] for at, stage in enumerate(stages)}


def dashes(stages: Sequence[StageView]) -> dict[str, list[int]]:
    """Return each stage's stroke: dashed for controls, solid for the rest."""
    return {stage.name: DASHED if stage.kind == "control" else SOLID for stage in stages}


def theme(*, ink: str, faint: str, grid: str, ground: str) -> Mapping[str, Any]:
    """Return the settings of all charts on one background.

    Args:
        ink: Colour of titles and labels.
        faint: Colour of lesser text and of rules.
        grid: Colour of grid lines.
        ground: Colour of the background.
    """
    words = {"font": FONT, "fontSize": 11, "fill": ink}
    return {
        "background": ground,
        "font": FONT,
        "view": {"stroke": None},
        "axis": {
            "labelColor": faint,
            "titleColor": ink,
            "titleFontWeight": "normal",
            "titleFontSize": 12,
            "labelFontSize": 11,
            "titlePadding": 8,
            "domainColor": grid,
            "tickColor": grid,
            "gridColor": grid,
            "labelOverlap": "greedy",
            "labelSeparation": 8,
        },
        "axisX": {"grid": False, "domain": True, "tickSize": 4},
        "axisY": {"domain": False, "ticks": False},
        "legend": {
            "orient": "top",
            "direction": "horizontal",
            "labelColor": ink,
            "labelFontSize": 12,
            "labelLimit": 260,
            "symbolSize": 260,
            "symbolStrokeWidth": 2.5,
            "columnPadding": 18,
            "offset": 12,
        },
        "title": {
            "anchor": "start",
            "frame": "group",
            "color": ink,
            "fontSize": 15,
            "subtitleColor": faint,
            "subtitleFontSize": 11.5,
            "subtitleLineHeight": 15,
            "subtitlePadding": 5,
            "offset": 12,
        },
        "header": {"title": None, "labelColor": ink},
        "text": words,
        "rule": {"color": faint},
    }


LIGHT = theme(ink="#1b1f24", faint="#57606a", grid="#e3e6ea", ground="#ffffff")
"""For the PNG and for light pages."""

DARK = theme(ink="#e6e9ed", faint="#9aa4af", grid="#2c333b", ground="#15191e")
"""For dark pages."""
