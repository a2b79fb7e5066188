"""All that one stage will do, in numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from growlm.growth.plan import GrowthPlan
from growlm.model.config import GPTConfig
from growlm.model.cost import parameters, training_flops_per_token
from growlm.model.recompute import Checkpointing
from growlm.optim.schedule import Rewarm, Schedule
from growlm.recipe.grow import Grow
from growlm.recipe.optimizer import Optimizer
from growlm.recipe.sections import Ema
from growlm.training.spikes import SpikeRule

StageKind = Literal["scratch", "grown", "control"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a stage's first weights come from, and what they cost so far."""

    kind: StageKind
    config: GPTConfig
    parent: str | None
    """The parent stage's name."""
    parent_path: Path | None
    """The parent checkpoint's folder, when it is no stage of the recipe."""
    parent_slot: int | None
    """The shard slot that such a parent was trained with, if it was."""
    grow: Grow | None
    plan: GrowthPlan | None
    """Where every weight of a grown stage comes from."""
    spare_rows: int
    """New tokens of its tokenizer that take rows which the parent has to spare."""
    control_of: str | None
    control_compute: float | None
    tokens_before: int
    """Tokens that all parents together were trained on."""
    flops_before: float
    """FLOPs that all parents together took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How many steps a stage takes, and after which of them something happens."""

    steps: int
    validate_every: int
    """Steps between validations."""
    checkpoint_every: int
    """Steps between checkpoints to resume from."""
    keep: int
    """Checkpoints to resume from that are kept."""
    keep_every: int | None
    """Steps between checkpoints that are kept for good."""
    average_steps: tuple[int, ...]
    """Steps whose checkpoints go into the average; empty for none."""

    @property
    def checkpoint_steps(self) -> tuple[int, ...]:
        """Steps before the last after which a checkpoint is published."""
        regular = range(self.checkpoint_every, self.steps, self.checkpoint_every)
        return tuple(sorted({*regular, *self.kept_steps} - {self.steps}))

    @property
    def kept_steps(self) -> frozenset[int]:
        """Steps whose checkpoints stay when the stage is done."""
        every = self.keep_every or self.steps
        return frozenset({*range(every, self.steps, every), *self.average_steps})

    def validates(self, step: int) -> bool:
        """Return whether the model is validated after a step."""
        return step % self.validate_every == 0 or step == self.steps


@dataclass(frozen=True, slots=True, kw_only=True)
class StagePlan:
    """All that one stage will do, in numbers."""

    name: str
    origin: Origin
    pace: Pace
    context: int
    document_masking: bool
    """Whether a token sees only tokens of its own document."""
    batch_tokens: int
    micro_sequences: int
    activation_checkpointing: Checkpointing | Literal["budget"]
    """What a layer keeps for its backward pass."""
    activation_budget: float | None
    """With a budget: what all layers may keep, in bytes; or, up to 1, a share of everything."""
    optimizer: Optimizer
    schedule: Schedule
    rewarm: Rewarm | None
    """How much faster new parameters learn than old ones, where they do."""
    ema: Ema | None
    """The moving average of the weights, where there is one."""
    spikes: SpikeRule | None
    """Which steps are not taken, beside those that are not finite."""
    weights: Mapping[str, float]
    """Mixture weight by source; zeros are left out."""

    @property
    def config(self) -> GPTConfig:
        """The shape of the model."""
        return self.origin.config

    def steps_to_go_back_to(self, step: int) -> tuple[int, ...]:
        """Return the steps, up to one, whose checkpoints a roll-back may still ask for."""
        if self.spikes is None or self.spikes.roll_back_after is None:
            return ()
        planned = [each for each in self.pace.checkpoint_steps if each <= step]
        oldest = max((each for each in planned if each <= step - self.spikes.size), default=0)
        return tuple(each for each in planned if each >= oldest)

    @property
    def sequences(self) -> int:
        """Sequences in a batch."""
        return self.batch_tokens // self.context

    @property
    def tokens(self) -> int:
        """Tokens trained in this stage."""
        return self.pace.steps * self.batch_tokens

    @property
    def flops_per_token(self) -> float:
        """FLOPs of forward and backward per token."""
        return training_flops_per_token(self.config, context=self.context)

    @property
    def flops(self) -> float:
        """FLOPs of this stage."""
        return self.tokens * self.flops_per_token

    @property
    def parameters(self) -> int:
        """Parameters of this stage's model."""
        return parameters(self.config)
