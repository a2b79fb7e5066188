"""The accounts of a run: the ledger applied to each grown stage and its controls."""

from dataclasses import dataclass

from growlm.report.curves import final_loss
from growlm.report.law import Point
from growlm.report.ledger import (
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
    return tuple(
        _account(view, stage, loss) for stage in grown if (loss := final_loss(stage)) is not None
    )


def _account(view: RunView, stage: StageView, loss: float) -> Account:
    finished = [(other, final_loss(other)) for other in controls_of(view, stage)]
    ended = [(other, end) for other, end in finished if end is not None]
    points = tuple(
        Point(compute=other.flops_before + other.flops, loss=end) for other, end in ended
    )
    tokens = stage.tokens_before + stage.tokens
    return Account(
        stage=stage,
        loss=loss,
        controls=tuple(other for other, _ in ended),
        points=points,
        costs=tuple(
            Cost(convention=name, flops=flops, scratch=scratch_loss(points, compute=flops))
            for name, flops in conventions(view, stage)
        ),
        scratch=scratch_compute(points, loss=loss),
        same_tokens=scratch_loss(points, compute=tokens * stage.flops_per_token),
    )


def conventions(view: RunView, stage: StageView) -> tuple[tuple[str, float], ...]:
    """Return a grown stage's FLOPs by who pays for the parent.

    Charged in full, shared evenly by the children that this run grew from it, or free.
    """
    siblings = sum(other.kind == "grown" and other.parent == stage.parent for other in view.stages)
    shared = (
        f"parent shared by {siblings} children",
        stage.flops_before / max(siblings, 1) + stage.flops,
    )
    charged = ("parent charged", stage.flops_before + stage.flops)
    free = ("parent free", stage.flops)
    return (charged, shared, free) if siblings > 1 else (charged, free)
