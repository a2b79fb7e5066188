"""The charts of scores against overlap, one for each task and metric."""

from collections.abc import Sequence

import altair as alt

from growlm.report.channels import Row, Width, colour, data, drawable, opacity, rounded
from growlm.report.contamination_view import ContaminationView
from growlm.report.view import StageView

HEIGHT = 220

CAPTION = (
    "The score of the examples that are left where those are taken out of which a document holds "
    "such a share of the letters or more; bars are standard errors. A line that rises to the right "
    "says that what overlaps scores better. At 1, nothing is left out."
)

ANYTHING = 0.02
"""Where the edge stands that leaves out whatever overlaps at all."""


def overlap_charts(
    stages: Sequence[StageView], found: Sequence[ContaminationView], *, width: Width
) -> list[alt.LayerChart]:
    """Return one chart for each task and metric with examples that overlap."""
    names = dict.fromkeys((each.task, each.metric) for each in found)
    charts = [
        _chart(stages, [each for each in found if (each.task, each.metric) == name], width)
        for name in names
    ]
    return [chart for chart in charts if chart is not None]


def _chart(
    stages: Sequence[StageView], found: Sequence[ContaminationView], width: Width
) -> alt.LayerChart | None:
    rows = [row for each in found if each.verdict != "no overlap" for row in _rows(each)]
    if not rows:
        return None
    x = alt.X(
        "edge:Q",
        axis=alt.Axis(title="Left out from this share on", values=[0, 0.2, 0.4, 0.6, 0.8, 1]),
        scale=alt.Scale(domain=[0, 1], nice=False),
    )
    y = alt.Y(
        "score:Q", axis=alt.Axis(title=found[0].metric, tickCount=5), scale=alt.Scale(zero=False)
    )
    base = alt.Chart(data(rows)).encode(x, y, colour(stages, legend=False))
    bars = base.mark_rule().encode(alt.Y("low:Q"), alt.Y2("high:Q"), opacity=opacity(0.5))
    lines = base.mark_line(strokeWidth=1.6).encode(opacity=opacity(0.85))
    points = base.mark_point(filled=True, size=50).encode(
        opacity=opacity(1.0),
        tooltip=[
            alt.Tooltip("stage:N", title="stage"),
            alt.Tooltip("edge:Q", title="left out from", format=".2f"),
            alt.Tooltip("flagged:Q", title="left out", format=","),
            alt.Tooltip("score:Q", title="score of the rest", format=".4f"),
        ],
    )
    heading = alt.TitleParams(text=found[0].task, fontSize=13, offset=6)
    return alt.LayerChart(layer=[lines, bars, points], width=width, height=HEIGHT, title=heading)


def _rows(each: ContaminationView) -> list[Row]:
    means = [(max(edge.edge, ANYTHING), edge.flagged, edge.rest) for edge in each.thresholds]
    means += [(1.0, 0, each.everything)] if means else []
    return [
        {
            "stage": each.stage,
            "edge": edge,
            "flagged": flagged,
            "score": rounded(mean.value),
            "low": rounded(mean.value - mean.stderr),
            "high": rounded(mean.value + mean.stderr),
        }
        for edge, flagged, mean in means
        if mean is not None and drawable(mean.value)
    ]
