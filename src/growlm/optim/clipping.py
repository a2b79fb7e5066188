"""Clipping the gradient, where copies may count together as their source did."""

from collections.abc import Iterable, Mapping
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from growlm.optim.scaled_adamw import CLIP_WEIGHT, EPS_SCALE
from growlm.optim.sharded import is_sharded, local


@torch.no_grad()
def clip_gradients(
    parameters: Iterable[Tensor],
    optimizer: torch.optim.Optimizer,
    *,
    max_norm: float | None,
    max_value: float | None,
) -> Float[Tensor, ""]:
    """Limit the norm of the whole gradient, then each of its entries; return the norm before.

    Where the optimizer's state weighs entries, their squares count by these weights; where it
    scales their eps, their limit is scaled alike. So a child that is to follow its parent exactly
    has its parent's norm, and is clipped where its parent would be.

    Args:
        parameters: Their gradients are changed in place.
        optimizer: Its state holds weights and scales after exact growth.
        max_norm: Largest norm of the whole gradient, or no limit.
        max_value: Largest absolute value of a gradient entry, or no limit.
    """
    every = list(parameters)
    held = [
        (gradient, optimizer.state.get(each, {}))
        for each in every
        if (gradient := each.grad) is not None
    ]
    norm = _of_all_ranks(nn.utils.get_total_norm([_counted(*each) for each in held]))
    if max_norm is not None:
        nn.utils.clip_grads_with_norm_(every, max_norm, norm)
    if max_value is not None:
        for gradient, state in held:
            limit = max_value * local(state[EPS_SCALE]) if EPS_SCALE in state else max_value
            cast(Any, local(gradient)).clamp_(-limit, limit)
    return norm


def _of_all_ranks(norm: Tensor) -> Tensor:
    return cast(Any, norm).full_tensor() if is_sharded(norm) else norm


def _counted(gradient: Tensor, state: Mapping[str, Tensor]) -> Tensor:
    """Return a gradient whose squares count by their weights."""
    return gradient * state[CLIP_WEIGHT].sqrt() if CLIP_WEIGHT in state else gradient
