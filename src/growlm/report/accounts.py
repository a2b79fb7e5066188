"""The accounts of a run: the ledger applied to each grown stage and its controls."""

from collections.abc import Sequence
from dataclasses import dataclass

from growlm.report.curves import final_loss
from growlm.report.law import Point
from growlm.report.ledger import (
    SAME_COMPUTE,
    ScratchCompute,
    ScratchLoss,
    break_even_tokens,
    scratch_compute,
    scratch_loss,
)
from growlm.report.view import RunView, StageView


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """The compute of a grown stage under one convention."""

    convention: str
    """Who pays for the parent, in words."""
    flops: float
    """FLOPs."""
    scratch: ScratchLoss
    """What training from scratch reaches with as much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What can be said of one finished grown stage."""

    stage: StageView
    """The grown stage."""
    loss: float
    """Its final validation loss, nats per token."""
    controls: tuple[StageView, ...]
    """Its finished controls."""
    points: tuple[Point, ...]
    """Their compute and final loss, in the same order."""
    best: tuple[Point, ...]
    """The best of each compute, which is what all else is compared with."""
    costs: tuple[Cost, ...]
    """Its compute: parent charged first, parent free last; shared between them if it is."""
    scratch: ScratchCompute
    """What training from scratch needs for the same loss."""
    same_tokens: ScratchLoss
    """What training from scratch reaches with as many tokens, those of the parents included."""

    @property
    def charged(self) -> Cost:
        """The compute with the parent charged in full."""
        return self.costs[0]

    @property
    def free(self) -> Cost:
        """The compute with the parent free."""
        return self.costs[-1]

    def break_even_tokens(self, control: StageView) -> float:
        """Return the tokens within which the child had to match a control to save compute."""
        return break_even_tokens(
            scratch_tokens=float(control.tokens),
            base_flops=self.stage.flops_before,
            child_flops_per_token=self.stage.flops_per_token,
        )


def controls_of(view: RunView, stage: StageView) -> tuple[StageView, ...]:
    """Return the controls of a grown stage, finished or not."""
    return tuple(other for other in view.stages if other.control_of == stage.name)


def accounts(view: RunView) -> tuple[Account, ...]:
    """Return the account of each grown stage that is finished."""
    grown = [stage for stage in view.stages if stage.kind == "grown"]
    found = [
        account(stage, controls_of(view, stage), children=children_of(view, stage))
        for stage in grown
    ]
    return tuple(each for each in found if each is not None)


def account(stage: StageView, controls: Sequence[StageView], *, children: int) -> Account | None:
    """Return the account of a grown stage against some controls; None if it is not finished.

    Args:
        stage: The grown stage.
        controls: What it is compared with; those that are not finished are left out.
        children: How many share its parent, between charged and free.
    """
    loss = final_loss(stage)
    if loss is None:
        return None
    finished = [(other, final_loss(other)) for other in controls]
    ended = [(other, end) for other, end in finished if end is not None]
    points = tuple(
        Point(compute=other.flops_before + other.flops, loss=end) for other, end in ended
    )
    best = best_of(points)
    tokens = stage.tokens_before + stage.tokens
    return Account(
        stage=stage,
        loss=loss,
        controls=tuple(other for other, _ in ended),
        points=points,
        best=best,
        costs=tuple(
            Cost(convention=name, flops=flops, scratch=scratch_loss(best, compute=flops))
            for name, flops in conventions(stage, children=children)
        ),
        scratch=scratch_compute(best, loss=loss),
        same_tokens=scratch_loss(best, compute=tokens * stage.flops_per_token),
    )


def best_of(points: Sequence[Point]) -> tuple[Point, ...]:
    """Return the best of the points of each compute, in its order.

    Controls of one compute differ in learning rate or schedule: tuning means that the best counts.
    """
    found: list[Point] = []
    for point in sorted(points, key=lambda point: (point.compute, point.loss)):
        if found and point.compute <= found[-1].compute * (1 + SAME_COMPUTE):
            found[-1] = min(found[-1], point, key=lambda each: each.loss)
        else:
            found.append(point)
    return tuple(found)


def children_of(view: RunView, stage: StageView) -> int:
    """Return how many children this run grew from a grown stage's parent."""
    return sum(other.kind == "grown" and other.parent == stage.parent for other in view.stages)


def conventions(stage: StageView, *, children: int) -> tuple[tuple[str, float], ...]:
    """Return a grown stage's FLOPs by who pays for the parent.

    Charged in full, shared evenly by some children, or free.
    """
    shared = (
        f"parent shared by {children} children",
        stage.flops_before / max(children, 1) + stage.flops,
    )
    charged = ("parent charged", stage.flops_before + stage.flops)
    free = ("parent free", stage.flops)
    return (charged, shared, free) if children > 1 else (charged, free)
