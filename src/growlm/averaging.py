"""Averages of checkpoints: weights in, their uniform mean out."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from growlm.base.errors import CheckpointError


def uniform_average(weights: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return the mean of several checkpoints' weights (Izmailov et al., arXiv:1803.05407).

    Sums run in fp64, over sorted values, so the order of the checkpoints does not show.

    Raises:
        CheckpointError: The checkpoints differ in names or shapes, or there are fewer than two.
    """
    if len(weights) < 2:
        raise CheckpointError(
            "at least two checkpoints to average", got=str(len(weights)), fix="naming more"
        )
    for other in weights[1:]:
        _same_shape(weights[0], other)
    return {name: _mean([each[name] for each in weights]) for name in weights[0]}


def _mean(tensors: Sequence[Tensor]) -> Tensor:
    stacked = torch.stack([tensor.double() for tensor in tensors])
    return stacked.sort(dim=0).values.mean(0).to(tensors[0].dtype)


def _same_shape(first: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in first.items()}
    others = {name: tuple(tensor.shape) for name, tensor in other.items()}
    if shapes != others:
        odd = min(name for name in shapes | others if shapes.get(name) != others.get(name))
        raise CheckpointError(
            "checkpoints of one shape",
            got=f"{odd} of {shapes.get(odd)} and {others.get(odd)}",
            fix="checkpoints of one stage",
        )
