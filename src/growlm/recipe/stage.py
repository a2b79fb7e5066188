"""The stage section: one stretch of training at a fixed shape."""

from typing import Literal

from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator

from growlm.recipe.grow import Control, Grow
from growlm.recipe.model import Model
from growlm.recipe.optimizer import Optimizer, Schedule
from growlm.recipe.sections import Ema
from growlm.recipe.spikes import Spikes
from growlm.recipe.values import Budget, Name, Section, Tokens, check_one_of, refusal


class Stage(Section, frozen=True):
    """One stretch of training at a fixed shape."""

    name: Name
    """How commands and the log call it."""

    model: Model | None = None
    """Train this shape from scratch."""

    grow: Grow | None = None
    """Train a child grown from a parent."""

    control: Control | None = None
    """Train the shape of a grown stage from scratch, as its control."""

    context: PositiveInt
    """Tokens in a training sequence."""

    document_masking: bool = False
    """Let a token see only tokens of its own document, in training and in validation."""

    tokens: Tokens | None = None
    """Tokens to train on; a control takes them from its compute."""

    batch: Tokens
    """Tokens in a batch, that is, per optimizer step."""

    micro_batch: Tokens | None = None
    """Tokens in one forward pass; the largest part of the batch up to 16,384 when absent."""

    activation_checkpointing: Literal["none", "selective", "full", "budget"] = "none"
    """What a layer keeps for its backward pass: everything; products of matrices and what attention
    gives; or its input alone. The rest is computed again. With `budget`, as many layers as need be
    keep their input alone, and the others everything."""

    activation_budget: Budget | None = None
    """What all layers may keep of one micro-batch: bytes, or a share of what they keep with
    `none`."""

    optimizer: Optimizer
    """The optimizer."""

    schedule: Schedule
    """The learning rate over the steps."""

    ema: Ema | None = None
    """A moving average of the weights, if any."""
    spikes: Spikes | None = None
    """Which steps stand out so far that they are not taken; when absent, those alone whose loss or
    gradient is no finite number."""

    weights: dict[str, NonNegativeFloat] = Field(default_factory=dict[str, NonNegativeFloat])
    """Mixture weights by source, where they differ from the sources' own."""

    validate_every: Tokens | None = None
    """Tokens between validations; a twentieth of the stage when absent."""

    checkpoint_every: Tokens | None = None
    """Tokens between checkpoints to resume from; a tenth of the stage when absent."""

    keep: PositiveInt = 2
    """Checkpoints to resume from that are kept."""

    keep_every: Tokens | None = None
    """Tokens between checkpoints that are kept for good; none are when absent."""

    @model_validator(mode="after")
    def within_a_budget(self) -> "Stage":
        """Refuse a budget that nothing keeps to, or none where one is to be kept to."""
        asked = self.activation_checkpointing == "budget"
        if asked and self.activation_budget is None:
            raise refusal(
                'to have an activation_budget where its activation_checkpointing is "budget"',
                got="none",
                fix='activation_budget = 0.5, or "12GiB"',
            )
        if not asked and self.activation_budget is not None:
            raise refusal(
                'to leave activation_budget out where activation_checkpointing is not "budget"',
                got=f"activation_budget = {self.activation_budget:g}",
                fix='activation_checkpointing = "budget"',
            )
        return self

    @model_validator(mode="after")
    def one_origin(self) -> "Stage":
        """Refuse a stage whose weights come from nowhere, or from two places."""
        check_one_of(self, ("model", "grow", "control"))
        if self.control is None and self.tokens is None:
            raise refusal("to say how many tokens it trains on", got="nothing", fix="adding tokens")
        if self.control is not None and self.tokens is not None:
            raise refusal(
                "to leave tokens out: a control's compute decides them",
                got=f"tokens = {self.tokens}",
                fix="removing tokens",
            )
        return self
