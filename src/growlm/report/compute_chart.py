"""The chart of validation loss against training compute: the picture of the ledger."""

import math
from collections.abc import Sequence
from typing import Any

import altair as alt

from growlm.report.accounts import Account, accounts
from growlm.report.channels import Row, Width, colour, dash, data, drawable, opacity, rounded
from growlm.report.curves import final_loss, validation_curve
from growlm.report.law import fit_law, merge
from growlm.report.ledger import SAME_COMPUTE
from growlm.report.palette import DOTTED
from growlm.report.view import RunView, StageView

HEIGHT = 340

LAST_SHARE = 5 / 6
"""Share of a curve, from its end, that is not cut off."""


def caption(view: RunView) -> str:
    """Return how to read the chart; only of what is there."""
    grown = any(stage.kind == "grown" for stage in view.stages)
    controls = any(stage.kind == "control" for stage in view.stages)
    charged = (
        "Solid: each stage, its parents' compute charged. Dotted: a grown stage with its parents "
        "free. Circles: ends of finished stages. "
    )
    dashed = (
        "Dashed: scratch controls, whose curves in mid-schedule are no results: only their ends "
        "(diamonds) enter the ledger. Savings are read along the horizontal rule. Grey: the law "
        "through the ends of the controls. "
    )
    parts = charged if grown else "Circles: ends of finished stages. "
    return parts + (dashed if controls else "") + "The start of training is cut off above."


_SUPERSCRIPTS = str.maketrans(
    "0123456789",
    "".join(
        map(
            chr,
            (
                0x2070,
                0xB9,
                0xB2,
                0xB3,
                0x2074,
                0x2075,
                0x2076,
                0x2077,
                0x2078,
                0x2079,
            ),
        )
    ),
)


def compute_chart(view: RunView, *, width: Width, legend: bool) -> alt.LayerChart | None:
    """Return the chart; None when nothing was validated yet."""
    power = _power(view)
    curves = [row for stage in view.stages for row in _rows(stage, power, free=False)]
    if not curves:
        return None
    grown = [stage for stage in view.stages if stage.kind == "grown" and stage.flops_before]
    free = [row for stage in grown for row in _rows(stage, power, free=True)]
    ends = [row for stage in view.stages for row in _ends(stage, power)]
    x = alt.X(
        "compute:Q",
        axis=alt.Axis(title=f"Training compute (10{_superscript(power)} FLOPs)", tickCount=6),
        scale=alt.Scale(domain=[0, _widest(view, power)], nice=False),
    )
    y = alt.Y(
        "loss:Q",
        axis=alt.Axis(title="Validation loss (nats per token)", tickCount=6),
        scale=alt.Scale(domain=_domain(curves), nice=False),
    )
    hue = colour(view.stages, legend=legend)
    base = alt.Chart(data(curves)).encode(x, y, hue, opacity=opacity(1.0))
    parts = [
        *_laws(view, power, x, y),
        base.mark_line(strokeWidth=2, clip=True).encode(dash(view.stages, legend=legend)),
        alt.Chart(data(free))
        .mark_line(strokeWidth=1.8, strokeDash=DOTTED, clip=True)
        .encode(x, y, hue, opacity=opacity(1.0)),
        *_end_marks(ends, x, y, hue),
        *_rules(accounts(view), y),
    ]
    return alt.LayerChart(layer=parts, width=width, height=HEIGHT)


def _superscript(power: int) -> str:
    return str(power).translate(_SUPERSCRIPTS)


def _power(view: RunView) -> int:
    """Return the power of a thousand that makes the largest compute a short number."""
    most = max((stage.flops_before + stage.flops for stage in view.stages), default=0.0)
    return 3 * int(math.log10(most) // 3) if most >= 1 else 0


def _widest(view: RunView, power: int) -> float:
    """Return the end of the x axis, with room for the last mark."""
    most = max(stage.flops_before + stage.flops for stage in view.stages)
    return rounded(1.03 * most / 10.0**power)


def _row(stage: StageView, compute: float, loss: float, *, account: str) -> Row:
    return {
        "stage": stage.name,
        "compute": rounded(compute),
        "loss": rounded(loss),
        "account": account,
    }


def _rows(stage: StageView, power: int, *, free: bool) -> list[Row]:
    unpaid = stage.flops_before if free else 0.0
    account = "parents free" if free else "parents charged"
    return [
        _row(stage, (point.flops - unpaid) / 10.0**power, point.loss, account=account)
        for point in validation_curve(stage)
        if drawable(point.flops, point.loss)
    ]


def _ends(stage: StageView, power: int) -> list[Row]:
    loss = final_loss(stage)
    if loss is None:
        return []
    charged = (stage.flops_before + stage.flops) / 10.0**power
    kind = "control" if stage.kind == "control" else "end"
    rows: list[Row] = [{**_row(stage, charged, loss, account="parents charged"), "mark": kind}]
    if stage.kind == "grown" and stage.flops_before:
        free = _row(stage, stage.flops / 10.0**power, loss, account="parents free")
        rows.append({**free, "mark": "free"})
    return rows


def _domain(rows: Sequence[Row]) -> list[float]:
    """Return the ends of the y axis: the start of each curve may be cut off."""
    late: list[float] = []
    for name in {row["stage"] for row in rows}:
        curve = [row["loss"] for row in rows if row["stage"] == name]
        late += curve[math.ceil(len(curve) * (1 - LAST_SHARE)) :] or curve
    low, high = min(late), max(late)
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    return [rounded(low - 2 * margin), rounded(high + margin)]


def _end_marks(rows: Sequence[Row], x: alt.X, y: alt.Y, hue: alt.Color) -> list[alt.Chart]:
    filled = [row for row in rows if row["mark"] != "free"]
    hollow = [row for row in rows if row["mark"] == "free"]
    shape = alt.Shape(
        "mark:N",
        legend=None,
        scale=alt.Scale(domain=["control", "end"], range=["diamond", "circle"]),
    )
    tooltip = [
        alt.Tooltip("stage:N", title="stage"),
        alt.Tooltip("account:N", title="account"),
        alt.Tooltip("compute:Q", title="compute", format=".4~g"),
        alt.Tooltip("loss:Q", title="final validation loss (nats)", format=".4f"),
    ]
    solid = alt.Chart(data(filled)).mark_point(filled=True, size=130, clip=True)
    ring = alt.Chart(data(hollow)).mark_point(filled=False, size=90, strokeWidth=2, clip=True)
    return [
        solid.encode(x, y, hue, shape, opacity=opacity(1.0), tooltip=tooltip),
        ring.encode(x, y, hue, opacity=opacity(1.0), tooltip=tooltip),
    ]


def _laws(view: RunView, power: int, x: alt.X, y: alt.Y) -> list[alt.Chart]:
    """Return the fitted law of each grown stage's controls, drawn between them only."""
    charts: list[alt.Chart] = []
    for account in accounts(view):
        runs = merge(account.best, tolerance=SAME_COMPUTE)
        law = fit_law(runs)
        if law is None:
            continue
        first, last = runs[0].compute, runs[-1].compute
        computes = [first * (last / first) ** (step / 40) for step in range(41)]
        rows = [
            {"compute": rounded(at / 10.0**power), "loss": rounded(law.loss(at))} for at in computes
        ]
        mark = alt.Chart(data(rows)).mark_line(
            color="#8a8f96", strokeWidth=5, opacity=0.3, clip=True
        )
        charts.append(mark.encode(x, y))
    return charts


def _rules(finished: Sequence[Account], y: alt.Y) -> list[alt.Chart]:
    """Return a rule at each grown stage's final loss: the lowest is named below, others above."""
    charts: list[alt.Chart] = []
    answered = sorted((each for each in finished if each.controls), key=lambda each: each.loss)
    for at, account in enumerate(answered):
        row = {"loss": rounded(account.loss), "text": f"final loss of {account.stage.name}"}
        base = alt.Chart(data([row])).encode(y)
        place: Any = {"baseline": "bottom", "dy": -4} if at else {"baseline": "top", "dy": 4}
        charts += [
            base.mark_rule(strokeDash=[3, 3], strokeWidth=1.2, clip=True),
            base.mark_text(align="left", **place).encode(
                text="text:N", x=alt.value(6 + 170 * max(at - 1, 0))
            ),
        ]
    return charts
