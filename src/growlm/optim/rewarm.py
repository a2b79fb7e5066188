"""Steps in which some entries, those that growth added, move farther than the others."""

from collections.abc import Sequence

import torch
from torch import Tensor

from growlm.optim.sharded import local

Entries = Sequence[tuple[Tensor, Tensor]]
"""Parameters, each with a mask that broadcasts to it and says which of its entries are meant; a
sharded one's is sharded alike."""


@torch.no_grad()
def step_farther(optimizer: torch.optim.Optimizer, entries: Entries, *, factor: float) -> None:
    """Take the optimizer's step, in which some entries move ``factor`` times as far.

    Steps of AdamW and of Muon are proportional to the learning rate, so that is the step they would
    take at ``factor`` times the rate. No other entry differs by a bit from the plain step.
    """
    farther = entries if factor != 1.0 else ()
    before = [local(parameter).clone() for parameter, _ in farther]
    optimizer.step()
    for (parameter, meant), start in zip(farther, before, strict=True):
        end = local(parameter)
        end.copy_(torch.where(local(meant), torch.lerp(start, end, factor), end))
