"""The optimizer and schedule sections: how a stage steps, and its learning rate over the steps."""

from typing import Annotated, Literal

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from growlm.base.errors import RecipeError
from growlm.recipe.values import Beta, Section, Share, refusal


class Optimizer(Section, frozen=True):
    """AdamW, or Muon with AdamW for what it does not move."""

    kind: Literal["adamw", "muon"] = "adamw"
    """``muon`` moves the matrices inside the layers, and AdamW embeddings, head and vectors."""

    peak_lr: PositiveFloat
    """Learning rate at the top of the schedule."""

    betas: tuple[Beta, Beta] = (0.9, 0.95)
    """Decay of AdamW's two moments."""

    eps: PositiveFloat = 1e-8
    """Added to the root of AdamW's second moment."""

    momentum: Beta = 0.95
    """Decay of Muon's momentum."""

    moments: Literal["float32", "bfloat16", "8bit"] = "float32"
    """What AdamW's two moments are held in: 8, 4 or about 2 bytes a parameter. With 8 bits, those
    of vectors stay float32. Every step is computed in float32."""

    weight_decay: NonNegativeFloat = 0.1
    """On matrices only."""

    clip_norm: PositiveFloat | None = None
    """Largest norm of the whole gradient."""

    clip_value: PositiveFloat | None = None
    """Largest absolute value of each gradient entry."""

    z_loss: NonNegativeFloat = 0.0
    """Cost of a token's log^2 Z, Z being the sum of its exponentiated logits; no loss tells of it.
    """

    @model_validator(mode="after")
    def has_momentum(self) -> "Optimizer":
        """Refuse a momentum that nothing would have."""
        if self.kind != "muon" and "momentum" in self.model_fields_set:
            raise refusal(
                'to leave momentum out where its kind is not "muon": AdamW has betas instead',
                got=f"momentum = {self.momentum}",
                fix='kind = "muon", or betas',
            )
        return self

    @model_validator(mode="after")
    def of_whole_bits(self) -> "Optimizer":
        """Refuse fewer bits for what has no two moments."""
        if self.kind == "muon" and self.moments != "float32":
            raise refusal(
                'to leave moments out where its kind is "muon", whose momentum is float32',
                got=f'moments = "{self.moments}"',
                fix='kind = "adamw", or no moments',
            )
        return self


class Rewarm(Section, frozen=True):
    """A higher learning rate for what growth added."""

    factor: Annotated[float, Field(gt=1.0)] = 1.3
    """Learning rate of new parameters at their highest, over that of the others."""

    steps: PositiveInt = 250
    """Steps in which they rise to it; from there they come down to the others' minimum."""


class Cosine(Section, frozen=True):
    """Linear warm-up, then half a cosine down to a share of the peak."""

    kind: Literal["cosine"]
    """Which schedule."""

    warmup_steps: NonNegativeInt
    """Steps from 0 to the peak."""

    final_lr_share: Annotated[float, Field(ge=0.0, le=1.0)] = 0.1
    """Learning rate at the end, as a share of the peak."""

    rewarm: Rewarm | None = None
    """In a stage that grows: let new parameters learn faster than old ones for a while."""


class Linear(Section, frozen=True):
    """Linear warm-up, then a straight line down to a share of the peak."""

    kind: Literal["linear"]
    """Which schedule."""

    warmup_steps: NonNegativeInt
    """Steps from 0 to the peak."""

    final_lr_share: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """Learning rate at the end, as a share of the peak."""

    rewarm: Rewarm | None = None
    """In a stage that grows: let new parameters learn faster than old ones for a while."""


class WarmupStableDecay(Section, frozen=True):
    """Linear warm-up, a plateau, and a linear decay at the end."""

    kind: Literal["warmup-stable-decay"]
    """Which schedule."""

    warmup_steps: NonNegativeInt
    """Steps from 0 to the peak."""

    decay_share: Share = 0.2
    """Share of all steps that the decay takes."""

    final_lr_share: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """Learning rate at the end, as a share of the peak."""

    rewarm: Rewarm | None = None
    """In a stage that grows: let new parameters learn faster than old ones for a while."""


class Constant(Section, frozen=True):
    """Linear warm-up, then the peak to the end."""

    kind: Literal["constant"]
    """Which schedule."""

    warmup_steps: NonNegativeInt
    """Steps from 0 to the peak."""

    rewarm: Rewarm | None = None
    """In a stage that grows: let new parameters learn faster than old ones."""


class Resume(Section, frozen=True):
    """In a stage that grows: the parent's schedule, from the step where its loss was the child's.

    The child of an exact growth goes on from the parent's last step. The schedule is stretched so
    that it ends with this stage.
    """

    kind: Literal["resume"]
    """Which schedule."""

    warmup_steps: NonNegativeInt = 150
    """Steps from 0 to where the parent's schedule stood."""

    rewarm: Rewarm | None = None
    """Let new parameters learn faster than old ones for a while."""


Schedule = Annotated[
    Cosine | Linear | WarmupStableDecay | Constant | Resume, Field(discriminator="kind")
]


def check_begins_anew(schedule: Schedule, key: str) -> None:
    """Refuse what only a child can do: new parameters beside old ones, a parent's schedule.

    Args:
        schedule: Of a stage that does not grow.
        key: How messages call it.

    Raises:
        RecipeError: It is such a one.
    """
    if schedule.kind == "resume":
        raise RecipeError(
            f"{key}.kind to be one that begins anew, cosine, linear, warmup-stable-decay or "
            "constant, in a stage that does not grow",
            got="'resume', which goes on with a parent's",
            fix="cosine",
        )
    if schedule.rewarm is not None:
        raise RecipeError(
            f"{key}.rewarm in a stage that grows: it is for new parameters",
            got="a stage whose parameters are all new",
            fix="removing rewarm",
        )
