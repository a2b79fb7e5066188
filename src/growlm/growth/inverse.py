"""The way back: from the child of an exact growth to its parent."""

from collections.abc import Mapping

import torch
from torch import Tensor

from growlm.base.errors import GrowthError
from growlm.growth.apply import Grower
from growlm.growth.plan import GrowthPlan
from growlm.model.spaces import axes, split_name


def shrink_weights(child: Mapping[str, Tensor], plan: GrowthPlan) -> dict[str, Tensor]:
    """Return the weights of the parent that a child was grown from: the growth's left inverse.

    Silent layers and filled coordinates go; copies are put together again by the weights that
    undo the split, so that of a child that has just been grown nothing is lost.

    Args:
        child: Weights by name, of the plan's child.
        plan: An exact plan.

    Raises:
        GrowthError: The plan is not exact, so that there is no way back.
    """
    if plan.departures:
        raise GrowthError(
            "an exact growth, which can be taken back",
            got=plan.departures[0],
            fix="the parent's own checkpoint",
        )
    grower = Grower(plan)
    heard = [layer for layer in range(plan.depth.layers) if layer not in plan.depth.silent]
    weights: dict[str, Tensor] = {}
    for name, tensor in child.items():
        layer, inner = split_name(name)
        if layer is None:
            weights[name] = _gathered(grower, name, tensor)
        elif layer in heard:
            weights[f"layers.{heard.index(layer)}.{inner}"] = _gathered(grower, name, tensor)
    return weights


def _gathered(grower: Grower, name: str, tensor: Tensor) -> Tensor:
    """Return a tensor with the copies of each coordinate put together along every axis."""
    wide = tensor.double() / grower.scale(name)
    for dim, axis in enumerate(axes(name)):
        map_ = grower.plan.axis(axis.space)
        other = {"writes": map_.reads, "reads": map_.writes}.get(axis.role)
        copies = map_.copies
        weights = [
            0.0 if source is None else 1.0 / copies[source] if other is None else other[place]
            for place, source in enumerate(map_.sources)
        ]
        shape = [-1 if at == dim else 1 for at in range(wide.dim())]
        index = torch.tensor([0 if source is None else source for source in map_.sources])
        size = [map_.parent_size if at == dim else each for at, each in enumerate(wide.shape)]
        weighted = wide * torch.tensor(weights, dtype=torch.float64).view(shape)
        wide = torch.zeros(size, dtype=torch.float64).index_add_(dim, index, weighted)
    return wide.to(tensor.dtype)
