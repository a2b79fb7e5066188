"""Tensors that lie in parts on many ranks: a rank's own part, a part like another, the whole."""

from collections.abc import Mapping
from typing import Any, cast

from torch import Tensor


def is_sharded(tensor: Tensor) -> bool:
    """Return whether a tensor lies in parts on many ranks; asking wakes nothing."""
    return hasattr(tensor, "device_mesh")


def local(tensor: Tensor) -> Tensor:
    """Return the part of a tensor that lies here, all of it where there is one process."""
    return cast(Any, tensor).to_local() if is_sharded(tensor) else tensor


def sharded_like(tensor: Tensor, other: Tensor | None) -> Tensor:
    """Return a whole tensor, which every rank has, in parts that lie as another's do.

    Args:
        tensor: It broadcasts to the other; a scalar stays as it is.
        other: In parts or not.
    """
    if other is None or not is_sharded(other) or tensor.dim() == 0:
        return tensor
    from torch.distributed.tensor import distribute_tensor

    parts = cast(Any, other)
    mesh, placements = parts.device_mesh, parts.placements
    # Each rank cuts its own part, so nothing is sent; a copy, so that the whole is not kept.
    full = tensor.detach().expand(other.shape)
    return distribute_tensor(full, mesh, placements, src_data_rank=None).clone()


def whole(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors whole: what lies in parts is put together in the first rank's main memory.

    All ranks must ask for the same tensors; the others send their parts, one tensor at a time,
    and get only what lies in no parts.
    """
    found: dict[str, Tensor] = {}
    for name, each in tensors.items():
        if not is_sharded(each):
            found[name] = each
            continue
        parts = cast(Any, each)
        together = parts.full_tensor()
        if parts.device_mesh.get_rank() == 0:
            found[name] = together.cpu()
    return found
