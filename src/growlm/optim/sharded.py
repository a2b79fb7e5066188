"""Tensors that lie in parts on many ranks: a rank's own part, a part like another, the whole."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
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


def on_whole(work: Callable[[Tensor], Tensor], tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return what work makes of whole tensors, as parts that lie where the tensors' own do.

    The work is shared out: each rank puts some of the tensors together, works on them, and sends
    the parts of the results back.

    Args:
        work: From tensors [B, ...] to as many of the same shape, each made of its own alone.
        tensors: Of one shape; in parts, or not where there is one process.
    """
    stacked = torch.stack([local(each) for each in tensors])
    if not is_sharded(tensors[0]):
        return [*work(stacked)]
    from torch.distributed.tensor import DTensor, Replicate, Shard

    first = cast(Any, tensors[0])
    mesh = first.device_mesh
    # In a stack, what was rows comes second.
    apart = [Shard(1) if each.is_shard() else each for each in first.placements]
    shared = [Shard(0) if each.is_shard() else each for each in first.placements]
    shape = torch.Size((len(tensors), *first.shape))
    parts = DTensor.from_local(
        stacked, mesh, apart, run_check=False, shape=shape, stride=_strides(shape)
    )
    if mesh.device_type == "cpu":  # gloo cannot send every rank something else
        parts = parts.redistribute(placements=[Replicate()] * mesh.ndim)
    own = parts.redistribute(placements=shared).to_local()
    done = DTensor.from_local(
        work(own), mesh, shared, run_check=False, shape=shape, stride=_strides(shape)
    )
    if mesh.device_type == "cpu":
        done = done.redistribute(placements=[Replicate()] * mesh.ndim)
    return [*done.redistribute(placements=apart).to_local()]


def _strides(shape: torch.Size) -> tuple[int, ...]:
    """Return the strides of a tensor that lies row by row."""
    return torch.empty(shape, device="meta").stride()
