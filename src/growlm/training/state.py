"""The state of a stage: everything that a resume needs, in one object."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from growlm.base.seeds import seed_for
from growlm.model.gpt import GPT
from growlm.optim.adamw import load_state_tensors, state_tensors
from growlm.optim.ema import Ema
from growlm.optim.sharded import sharded_like, whole
from growlm.training.parallel import ALONE, World
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
        """Return the weights by name; whole ones, which the first of many ranks alone gets."""
        return whole(dict(self.model.named_parameters()))

    def optimizer_tensors(self) -> dict[str, Tensor]:
        """Return the optimizer's state by name; whole, as the weights."""
        return whole(state_tensors(self.model, self.optimizer))

    def average(self) -> dict[str, Tensor]:
        """Return the moving average of the weights; whole, as the weights; empty without one."""
        return whole(self.ema.tensors) if self.ema else {}

    def parts(self) -> dict[str, dict[str, Tensor]]:
        """Return weights, optimizer state and moving average as they lie on the ranks."""
        return {
            "weights": dict(self.model.named_parameters()),
            "optimizer": state_tensors(self.model, self.optimizer),
            "ema": self.ema.tensors if self.ema else {},
        }

    def load(self, weights: Mapping[str, Tensor], optimizer: Mapping[str, Tensor]) -> None:
        """Copy weights and optimizer state in place; of many ranks each keeps its part."""
        own = dict(self.model.named_parameters())
        parts = {name: sharded_like(each, own.get(name)) for name, each in weights.items()}
        self.model.load_state_dict(parts)
        load_state_tensors(self.model, self.optimizer, optimizer)


def seed_dropout(seed: int, stage: str, *, rank: int = 0) -> None:
    """Start the stream that dropout draws from; it takes no generator of its own.

    Args:
        seed: The recipe's.
        stage: The stage's name.
        rank: Each has streams of its own, or all would drop the same of different sequences.
    """
    name = ("dropout", stage, str(rank)) if rank else ("dropout", stage)
    stream = torch.Generator().manual_seed(seed_for(seed, *name))
    torch.set_rng_state(stream.get_state())
    if torch.cuda.is_available():
        torch.cuda.manual_seed(seed_for(seed, *name, "cuda"))


def random_tensors(world: World = ALONE) -> dict[str, Tensor]:
    """Return the state of every random stream that training draws from, on all ranks.

    The first rank's go by the device's name, the others' by it and the rank's number.
    """
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return {
        _stream(device, rank): each
        for device, state in states.items()
        for rank, each in enumerate(world.each(state))
    }


def restore_random(states: Mapping[str, Tensor], *, rank: int = 0) -> None:
    """Put every random stream of a rank back where it was, if there was one."""
    if (name := _stream("cpu", rank)) in states:
        torch.set_rng_state(states[name])
    if (name := _stream("cuda", rank)) in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states[name])


def _stream(device: str, rank: int) -> str:
    return f"{device}.{rank}" if rank else device
