"""The state of a stage: everything that a resume needs, in one object."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from growlm.base.seeds import seed_for
from growlm.model.gpt import GPT
from growlm.optim.adamw import load_state_tensors, state_tensors
from growlm.optim.ema import Ema
from growlm.training.spikes import Watch


@dataclass(slots=True, kw_only=True)
class TrainState:
    """A stage in progress; ``step`` and ``cursor`` move with each step."""

    model: GPT
    optimizer: torch.optim.Optimizer
    step: int
    """Optimizer steps done in this stage, those that were not taken included."""
    cursor: int
    """Samples the sampler has emitted, over the whole lineage."""
    ema: Ema | None = None
    """The moving average of the weights, where one is kept."""
    watch: Watch = field(default_factory=Watch)
    """What decides whether a step is taken, and which were not."""

    def weights(self) -> dict[str, Tensor]:
        """Return the weights by name."""
        return dict(self.model.named_parameters())

    def optimizer_tensors(self) -> dict[str, Tensor]:
        """Return the optimizer's state by name."""
        return state_tensors(self.model, self.optimizer)

    def load(self, weights: Mapping[str, Tensor], optimizer: Mapping[str, Tensor]) -> None:
        """Copy weights and optimizer state in place."""
        self.model.load_state_dict(dict(weights))
        load_state_tensors(self.model, self.optimizer, optimizer)


def seed_dropout(seed: int, stage: str) -> None:
    """Start the stream that dropout draws from; it takes no generator of its own."""
    stream = torch.Generator().manual_seed(seed_for(seed, "dropout", stage))
    torch.set_rng_state(stream.get_state())
    if torch.cuda.is_available():
        torch.cuda.manual_seed_all(seed_for(seed, "dropout", stage, "cuda"))


def random_tensors() -> dict[str, Tensor]:
    """Return the state of every random stream that training draws from."""
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def restore_random(states: Mapping[str, Tensor]) -> None:
    """Put every random stream back where it was."""
    if "cpu" in states:
        torch.set_rng_state(states["cpu"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])
