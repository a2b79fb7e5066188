"""The meter of symmetry: how far copies have moved apart since they were made."""

from collections.abc import Mapping

import torch
from torch import Tensor

from growlm.growth.depth import DepthPlan
from growlm.growth.maps import SpaceMap


@torch.no_grad()
def depth_distance(weights: Mapping[str, Tensor], depth: DepthPlan) -> float | None:
    """Return the mean relative distance of heard copies from the first copy of their source.

    ``|W_copy - W_first| / |W_first|`` over the matrices of each pair of layers; 0 for layers that
    are still the same, about 1.4 for layers that have nothing in common. None without copies.

    Args:
        weights: The child's, by name.
        depth: Where its layers came from.
    """
    first: dict[int, int] = {}
    distances: list[float] = []
    for layer, source in enumerate(depth.sources):
        if layer in depth.silent:
            continue
        if source in first:
            distances += _between(weights, first[source], layer)
        else:
            first[source] = layer
    return sum(distances) / len(distances) if distances else None


def _between(weights: Mapping[str, Tensor], one: int, other: int) -> list[float]:
    found: list[float] = []
    prefix = f"layers.{one}."
    for name, tensor in weights.items():
        if name.startswith(prefix) and tensor.dim() > 1:
            twin = weights[f"layers.{other}.{name.removeprefix(prefix)}"]
            found.append(_norm(twin - tensor) / max(_norm(tensor), 1e-30))
    return found


def _norm(tensor: Tensor) -> float:
    return float(tensor.double().square().sum()) ** 0.5


@torch.no_grad()
def unit_distance(rows: Tensor, map_: SpaceMap) -> float | None:
    """Return the largest difference between copied units' rows; exactly 0 means they never part.

    Args:
        rows: A matrix whose rows write the space.
        map_: The space's map.
    """
    first: dict[int, int] = {}
    found: list[float] = []
    for place, source in enumerate(map_.sources):
        if source is None:
            continue
        if source in first:
            found.append(float((rows[place] - rows[first[source]]).abs().max()))
        else:
            first[source] = place
    return max(found) if found else None
