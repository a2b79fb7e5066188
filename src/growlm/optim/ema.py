"""An exponential moving average of the weights, kept in fp32 beside them."""

from collections.abc import Mapping

import torch
from torch import Tensor

from growlm.base.errors import CheckpointError
from growlm.optim.sharded import local, sharded_like


class Ema:
    """The average of a stage's weights, in which a step weighs ``decay`` times the next one.

    It does not begin with the first weights, which a short stage would never forget, but with
    nothing, and is divided by the weights' sum, as Adam's moments are (arXiv:1412.6980, section 3):
    after k weights w_1 ... w_k it is the sum of d^(k-i) w_i over that of d^(k-i), where d is
    ``decay`` to the power of ``every``.
    """

    def __init__(self, weights: Mapping[str, Tensor], *, decay: float, every: int) -> None:
        """Begin one of which no weights are part yet.

        Args:
            weights: The model's, by name; it stays on their device, and in parts where they are.
            decay: Share that a step keeps.
            every: Steps between two weights that are taken in.
        """
        self.decay = decay
        self.every = every
        self.tensors = {
            name: torch.zeros_like(weight, dtype=torch.float32, requires_grad=False)
            for name, weight in weights.items()
        }

    @torch.no_grad()
    def update(self, weights: Mapping[str, Tensor], *, step: int) -> None:
        """Take in the weights after a step of the stage, if it is one of those that count."""
        if step % self.every:
            return
        kept, taken = self.decay**self.every, step // self.every
        # The first share is 1, so that what it began with does not matter.
        share = (1 - kept) / (1 - kept**taken)
        for name, weight in weights.items():
            local(self.tensors[name]).lerp_(local(weight).to(torch.float32), share)

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from what was saved, in place; of many ranks each keeps its part.

        Args:
            tensors: Whole ones.

        Raises:
            CheckpointError: It is the average of another model's weights, or none was saved.
        """
        wanted = {name: tuple(each.shape) for name, each in self.tensors.items()}
        found = {name: tuple(each.shape) for name, each in tensors.items()}
        if found != wanted:
            odd = min(name for name in wanted | found if wanted.get(name) != found.get(name))
            raise CheckpointError(
                "a moving average of this model's weights",
                got=f"{odd} of shape {found[odd]}" if odd in found else f"none of {odd}",
                fix="another checkpoint of the stage",
            )
        for name, own in self.tensors.items():
            local(own).copy_(local(sharded_like(tensors[name], own)))
