"""Validation: the loss on held-out windows, source by source."""

from collections.abc import Mapping

import torch

from growlm.model.gpt import GPT
from growlm.training.parallel import ALONE, World
from growlm.training.step import Batch, batch_loss_sum


@torch.no_grad()
def validation_losses(
    model: GPT, windows: Mapping[str, Batch], *, micro_sequences: int, world: World = ALONE
) -> dict[str, float]:
    """Return each source's loss in nats per token.

    Args:
        model: Put into eval mode; ``train_step`` takes it back.
        windows: Held-out sequences by source.
        micro_sequences: Sequences in one forward pass of a process.
        world: The ranks that share the windows; each is given all of them.
    """
    model.eval()
    # Compiled layers are specialised for training; a graph of their own would not pay here.
    with torch.compiler.set_stance("force_eager"):
        losses = {
            name: _loss_sum(model, batch.share(world), micro_sequences, world)
            for name, batch in windows.items()
        }
    world.part(model)
    sums = world.sum(torch.tensor(list(losses.values()), dtype=torch.float64))
    return {
        name: float(total) / windows[name].targets for name, total in zip(losses, sums, strict=True)
    }


def _loss_sum(model: GPT, batch: Batch, micro_sequences: int, world: World) -> float:
    total = 0.0
    for part in batch.split(micro_sequences):
        world.pulse.beat("validates")
        total += float(batch_loss_sum(model, part))
    return total


def mixed_loss(losses: Mapping[str, float], weights: Mapping[str, float]) -> float:
    """Return the mean of the sources' losses by their mixture weights.

    >>> mixed_loss({"docs": 2.0, "code": 4.0}, {"docs": 3.0, "code": 1.0})
    2.5
    """
    total = sum(weights[name] for name in losses)
    return sum(loss * weights[name] for name, loss in losses.items()) / total
