"""Validation: the loss on held-out windows, source by source."""

from collections.abc import Mapping

import torch
from jaxtyping import Int
from torch import Tensor

from growlm.model.gpt import GPT
from growlm.training.step import batch_loss_sum


@torch.no_grad()
def validation_losses(
    model: GPT, windows: Mapping[str, Int[Tensor, "B T_plus_1"]], *, micro_sequences: int
) -> dict[str, float]:
    """Return each source's loss in nats per token.

    Args:
        model: Put into eval mode; ``train_step`` takes it back.
        windows: Token ids by source; each row is a sequence and its next token.
        micro_sequences: Sequences in one forward pass.
    """
    model.eval()
    # Compiled layers are specialised for training; a graph of their own would not pay here.
    with torch.compiler.set_stance("force_eager"):
        return {
            name: _loss_sum(model, ids, micro_sequences) / ids[:, 1:].numel()
            for name, ids in windows.items()
        }


def _loss_sum(model: GPT, ids: Int[Tensor, "B T_plus_1"], micro_sequences: int) -> float:
    parts = torch.split(ids, micro_sequences)
    return sum((float(batch_loss_sum(model, part)) for part in parts), start=0.0)


def mixed_loss(losses: Mapping[str, float], weights: Mapping[str, float]) -> float:
    """Return the mean of the sources' losses by their mixture weights.

    >>> mixed_loss({"docs": 2.0, "code": 4.0}, {"docs": 3.0, "code": 1.0})
    2.5
    """
    total = sum(weights[name] for name in losses)
    return sum(loss * weights[name] for name, loss in losses.items()) / total
