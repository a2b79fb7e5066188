"""The charts of bits per byte against context, one for each source."""

import math
from collections.abc import Sequence

import altair as alt

from growlm.report.channels import Row, Width, colour, dash, data, drawable, opacity, rounded
from growlm.report.view import EvaluationView, RunView, StageView

HEIGHT = 240

SHAPES = {"final": "circle", "average": "triangle-up", "ema": "diamond", "grown": "square"}
"""The mark of each kind of checkpoint."""

_NAMES = {
    "final": "circles: the end of the stage",
    "average": "triangles: the average of its last checkpoints",
    "ema": "diamonds: the moving average of its weights",
    "grown": "squares: straight after growth, untrained",
}


def caption(view: RunView) -> str:
    """Return how to read the charts; only of the checkpoints that were scored."""
    kinds = {score.checkpoint for stage in view.stages for score in stage.evaluations}
    marks = ", ".join(text for kind, text in _NAMES.items() if kind in kinds)
    return (
        f"Held-out documents, lower is better; {marks}. Each source has its own scale, and the "
        "context is the longest stretch of text the model may look back on."
    )


def byte_charts(view: RunView, *, width: Width) -> list[alt.LayerChart]:
    """Return one chart for each source that has a score."""
    charts = [_chart(view, source.name, width=width) for source in view.sources]
    return [chart for chart in charts if chart is not None]


def _chart(view: RunView, source: str, *, width: Width) -> alt.LayerChart | None:
    rows = [
        row
        for stage in view.stages
        for score in stage.evaluations
        for row in _rows(stage, score, source)
    ]
    if not rows:
        return None
    contexts = sorted({row["context"] for row in rows})
    x = alt.X(
        "context:Q",
        axis=alt.Axis(title="Context (tokens)", values=contexts, format="d"),
        scale=alt.Scale(type="log", base=2, domain=_domain(contexts), nice=False),
    )
    y = alt.Y(
        "bits:Q",
        axis=alt.Axis(title="Bits per byte", tickCount=5),
        scale=alt.Scale(domain=_range([row["bits"] for row in rows]), nice=False),
    )
    base = alt.Chart(data(rows)).encode(x, y, colour(view.stages, legend=False))
    lines = base.mark_line(strokeWidth=1.6).encode(
        dash(view.stages, legend=False), detail="checkpoint:N", opacity=opacity(0.85)
    )
    points = base.mark_point(filled=True, size=60).encode(
        shape=alt.Shape(
            "checkpoint:N",
            legend=None,
            scale=alt.Scale(domain=list(SHAPES), range=list(SHAPES.values())),
        ),
        opacity=opacity(1.0),
        tooltip=[
            alt.Tooltip("stage:N", title="stage"),
            alt.Tooltip("checkpoint:N", title="checkpoint"),
            alt.Tooltip("context:Q", title="context", format=","),
            alt.Tooltip("bits:Q", title="bits per byte", format=".4f"),
        ],
    )
    heading = alt.TitleParams(text=source, fontSize=13, offset=6)
    return alt.LayerChart(layer=[lines, points], width=width, height=HEIGHT, title=heading)


def _rows(stage: StageView, score: EvaluationView, source: str) -> list[Row]:
    bits = score.bits_per_byte.get(source, math.nan)
    if not drawable(bits):
        return []
    return [
        {
            "stage": stage.name,
            "checkpoint": score.checkpoint,
            "context": score.context,
            "bits": rounded(bits),
        }
    ]


def _range(bits: Sequence[float]) -> list[float]:
    low, high = min(bits), max(bits)
    margin = max(0.08 * (high - low), 0.005 * abs(high), 1e-6)
    return [rounded(low - margin), rounded(high + margin)]


def _domain(contexts: Sequence[int]) -> list[float]:
    return [contexts[0] / 1.12, contexts[-1] * 1.12]
