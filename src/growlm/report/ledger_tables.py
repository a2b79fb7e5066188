"""The log's tables of the ledger: compute by stage, equal loss, equal compute, break-even."""

import math

from growlm.base.units import format_seconds
from growlm.report.accounts import Account, accounts
from growlm.report.ledger import ScratchCompute, ScratchLoss, saving
from growlm.report.view import RunView, StageView
from growlm.report.words import (
    NOTHING,
    code,
    count,
    flops,
    number,
    share,
    table,
)

BASES = {
    "fit": "power law with a floor",
    "power": "power law",
    "line": "straight line in log-log",
    "bound": "bound only",
    "control": "a control run",
    "none": "nothing to compare with",
}
"""How tables call what a comparison rests on."""


def compute(view: RunView) -> str:
    """Return the table of compute and time by stage, with the sum of the whole run."""
    header = (
        "Stage",
        "Tokens",
        "FLOPs per token",
        "FLOPs",
        "FLOPs of its parents",
        "Together",
        "Wall-clock",
        "FLOPs per second",
    )
    rows = [_compute(stage) for stage in view.stages]
    spent = math.fsum(stage.flops for stage in view.stages)
    seconds = math.fsum(stage.seconds for stage in view.stages)
    whole = ["All stages", "", "", flops(spent), "", "", format_seconds(seconds), ""]
    return table(header, [*rows, whole] if rows else [])


def _compute(stage: StageView) -> list[str]:
    return [
        code(stage.name),
        count(stage.tokens),
        flops(stage.flops_per_token),
        flops(stage.flops),
        flops(stage.flops_before),
        flops(stage.flops_before + stage.flops),
        format_seconds(stage.seconds),
        flops(stage.flops / stage.seconds) if stage.seconds > 0 else NOTHING,
    ]


def equal_loss(view: RunView) -> str:
    """Return the table of savings at the grown stages' final loss."""
    header = (
        "Grown stage",
        "Account",
        "Its FLOPs",
        "FLOPs from scratch",
        "Saved",
        "Speed-up",
        "From",
    )
    rows = [
        [
            code(account.stage.name),
            cost.convention,
            flops(cost.flops),
            *_savings(cost.flops, account.scratch),
        ]
        for account in accounts(view)
        for cost in account.costs
        if account.scratch.basis != "none"
    ]
    return table(header, rows, words=(0, 1, 6))


def _savings(grown: float, scratch: ScratchCompute) -> list[str]:
    basis = BASES[scratch.basis] + (", extrapolated" if scratch.extrapolated else "")
    if scratch.estimate is not None:
        gain = saving(grown, scratch=scratch.estimate)
        return [flops(scratch.estimate), share(gain.saved), share(gain.speedup), basis]
    return [*bounded(grown, scratch), basis]


def bounded(grown: float, scratch: ScratchCompute) -> list[str]:
    """Return the scratch compute, what was saved, and the speed-up, as far as they are bounded."""
    words = [("more than", scratch.lower), ("at most", scratch.upper)]
    cells: list[list[str]] = [[], [], []]
    for word, limit in words:
        if limit is None:
            continue
        gain = saving(grown, scratch=limit)
        for cell, shown in zip(
            cells, (flops(limit), share(gain.saved), share(gain.speedup)), strict=True
        ):
            cell.append(f"{word} {shown}")
    return [", ".join(cell) for cell in cells]


def equal_compute(view: RunView) -> str:
    """Return the table of final losses at equal compute, and at equal tokens."""
    header = (
        "Grown stage",
        "Compared at",
        "Its loss",
        "Loss from scratch",
        "Better by (nats)",
        "From",
    )
    rows = [row for account in accounts(view) if account.points for row in _matches(account)]
    return table(header, rows, words=(0, 1, 5))


def _matches(account: Account) -> list[list[str]]:
    compared = [(f"equal compute, {cost.convention}", cost.scratch) for cost in account.costs]
    compared.append(("equal tokens, parents included", account.same_tokens))
    return [
        [code(account.stage.name), name, number(account.loss, 4), *_match(account.loss, scratch)]
        for name, scratch in compared
    ]


def _match(loss: float, scratch: ScratchLoss) -> list[str]:
    basis = BASES[scratch.basis] + (", extrapolated" if scratch.extrapolated else "")
    if scratch.loss is None:
        return [NOTHING, NOTHING, basis]
    return [number(scratch.loss, 4), number(scratch.loss - loss, 4), basis]


def break_even(view: RunView) -> str:
    """Return the table of the tokens within which each control had to be matched."""
    header = (
        "Grown stage",
        "Control",
        "Its tokens",
        "Break-even tokens",
        "Tokens of the grown stage",
        "Final loss, grown",
        "Control",
    )
    rows = [
        [
            code(account.stage.name),
            code(control.name),
            count(control.tokens),
            count(account.break_even_tokens(control)),
            count(account.stage.tokens),
            number(account.loss, 4),
            number(point.loss, 4),
        ]
        for account in accounts(view)
        for control, point in zip(account.controls, account.points, strict=True)
    ]
    return table(header, rows, words=(0, 1))
