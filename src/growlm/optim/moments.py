"""Moments in fewer bits: bfloat16, or 8 bits and a scale for every block of a matrix's row."""

from collections.abc import Mapping
from functools import cache
from typing import Literal, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from growlm.base.errors import CheckpointError
from growlm.optim.sharded import is_sharded

Moments = Literal["float32", "bfloat16", "8bit"]
"""What AdamW's two moments are held in; with 8 bits, those of a matrix: a vector's stay float32."""

FIRST, SECOND = "exp_avg", "exp_avg_sq"
SCALES = {FIRST: "exp_avg_scale", SECOND: "exp_avg_sq_scale"}
"""The state that holds the scales of each moment's blocks."""

BLOCK = 256
"""Entries of a row that share a scale; a row's last block may have fewer."""

DECADES = 7
"""Powers of ten that the 8 bits reach down."""

COARSEST = {FIRST: 1, SECOND: 2}
"""Parts of the lowest of them; half of the first moment's codes are negative."""

ZERO = 127
"""The code of 0 among those of the first moment."""

LOW_BITS = 0xFFFF
"""What a float32 has more than a bfloat16; also, bits of chance for each rounding."""


ODD = (-0x61C88647, 0x2C1B3C6D, 0x7FEB352D, -0x7B935975)
"""Odd numbers that spread bits when they multiply."""


def before_the_first_step(parameter: Tensor, moments: Moments) -> dict[str, Tensor]:
    """Return a parameter's state with nothing in it; that of one in parts lies as it does."""
    state = {"step": torch.zeros((), dtype=torch.float32, device=parameter.device)}
    if moments == "8bit" and parameter.dim() == 2:
        for key in (FIRST, SECOND):
            state[key] = torch.zeros_like(parameter, dtype=torch.uint8).fill_(
                ZERO if key == FIRST else 0
            )
            state[SCALES[key]] = _scales_like(parameter)
        return state
    dtype = torch.bfloat16 if moments == "bfloat16" else parameter.dtype
    return state | {key: torch.zeros_like(parameter, dtype=dtype) for key in (FIRST, SECOND)}


def keys(parameter_dim: int, moments: Moments) -> tuple[str, ...]:
    """Return the names of the state that :func:`before_the_first_step` has."""
    scales = SCALES.values() if moments == "8bit" and parameter_dim == 2 else ()
    return ("step", FIRST, SECOND, *scales)


def scales_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return the shape of the scales of a matrix's blocks.

    >>> scales_shape((64, 600))
    (64, 3)
    """
    rows, columns = shape
    return rows, -(-columns // BLOCK)


def _scales_like(parameter: Tensor) -> Tensor:
    """Return a matrix's scales, all 0; each rank has those of its own rows."""
    shape = scales_shape(tuple(parameter.shape))
    if not is_sharded(parameter):
        return torch.zeros(shape, device=parameter.device)
    from torch.distributed.tensor import (
        DTensor,
        zeros,  # pyright: ignore[reportUnknownVariableType]
    )

    parts = cast(DTensor, parameter)
    return zeros(shape, device_mesh=parts.device_mesh, placements=parts.placements)


HERE = torch.device("cpu")


@cache
def levels(key: str, device: torch.device = HERE) -> Float[Tensor, "L"]:
    """Return what the codes of 8 bits stand for, over the scale of their block, from 0 to 1.

    The dynamic data type of Dettmers et al. (arXiv:2110.02861, after arXiv:1511.04561): each power
    of ten is parted evenly, twice as finely as the one below it. Here the last level is 1 itself.
    Codes of the first moment count from ``ZERO`` up and down; the second moment is held as its
    root, all of whose codes are positive, so that both reach equally far down.
    """
    coarsest = COARSEST[key]
    found = [
        10.0 ** (decade - DECADES) * (1.0 + 9.0 * (part + 0.5) / (coarsest << decade))
        for decade in range(DECADES)
        for part in range(coarsest << decade)
    ]
    return torch.tensor([0.0, *found[:-1], 1.0], device=device)


@cache
def _shares(key: str, device: torch.device) -> Float[Tensor, "L"]:
    """Return what every code stands for, over its block's scale, before it is squared."""
    known = levels(key, device)
    return torch.cat([-known.flip(0)[:-1], known]) if key == FIRST else known


@cache
def _lines(key: str, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return, for each power of ten, the line from a share to the place of the level below it."""
    parts = COARSEST[key] * 2.0 ** torch.arange(DECADES)
    slopes = parts / 9.0 * 10.0 ** (DECADES - torch.arange(DECADES))
    starts = 0.5 + parts - COARSEST[key] - parts / 9.0
    return slopes.to(device), starts.to(device)


def numbers(key: str, held: Tensor, scales: Tensor | None) -> Tensor:
    """Return a moment as plain numbers.

    Args:
        key: Which moment.
        held: As it is held.
        scales: Of its blocks, where it is held in 8 bits.
    """
    if scales is None:
        return held.to(torch.promote_types(held.dtype, torch.float32))
    known = _shares(key, held.device)
    share = known.index_select(0, held.flatten().int()).view(held.shape)
    found = (_blocks(share) * scales[:, :, None]).flatten(1)[:, : held.shape[1]]
    return found if key == FIRST else found.square()


def in_8_bits(
    key: str, value_RC: Float[Tensor, "R C"], chance_RC: Int[Tensor, "R C"] | None
) -> tuple[UInt8[Tensor, "R C"], Float[Tensor, "R N"]]:
    """Return a matrix's moment in 8 bits, and the scales of its blocks.

    Args:
        key: Which moment.
        value_RC: It, as plain numbers.
        chance_RC: Low bits that decide which neighbour is taken; the nearer one without.
    """
    size_RC = value_RC.float().abs() if key == FIRST else value_RC.float().sqrt()
    blocks_RNE = _blocks(size_RC)
    scales_RN = blocks_RNE.amax(2)
    # A block of zeros has no scale; any will do.
    inverse_RN = 1.0 / torch.where(scales_RN > 0, scales_RN, torch.ones_like(scales_RN))
    share = (blocks_RNE * inverse_RN[:, :, None]).flatten(1)[:, : size_RC.shape[1]].flatten()
    known, lines = levels(key, share.device), _lines(key, share.device)
    decade = share.log10().add_(DECADES).clamp_(0, DECADES - 1).int()
    slope, start = (each.index_select(0, decade) for each in lines)
    below = (share * slope).add_(start).floor_().clamp_(0, len(known) - 2).int()
    low, high = known.index_select(0, below), known.index_select(0, below + 1)
    chance = 0.5 if chance_RC is None else (chance_RC.flatten() & LOW_BITS) / (LOW_BITS + 1)
    code_RC = (below + ((share - low) / (high - low) > chance)).view(size_RC.shape)
    if key == FIRST:
        code_RC = ZERO + code_RC * value_RC.sign().int()
    return code_RC.to(torch.uint8), scales_RN


def in_16_bits(value: Float[Tensor, "*S"], chance: Int[Tensor, "*S"]) -> Float[Tensor, "*S"]:
    """Return numbers as bfloat16, each rounded up or down so that it is itself on average.

    Rounded to nearest, a running mean whose steps are smaller than half of a bfloat16's last bit
    would stay where it is: with a decay of 0.999, the second moment would never come down.

    Args:
        value: In float32.
        chance: Its low bits decide.
    """
    bits = value.view(torch.int32) + (chance & LOW_BITS)
    return (bits & ~LOW_BITS).view(torch.float32).to(torch.bfloat16)


def chances(like: Tensor, *, first: int, step: Tensor) -> Int[Tensor, "*S"]:
    """Return 32 bits for every entry that look like chance.

    They are a function of the step and of the entry's place alone, so that there is no stream to
    save, and as many ranks as one round alike. Wellons' "lowbias32" mixes the bits
    (https://nullprogram.com/blog/2018/07/31/).

    Args:
        like: Rows of a tensor.
        first: The place of its first entry in the whole one.
        step: The parameter's count of steps.
    """
    place = torch.arange(like.numel(), dtype=torch.int32, device=like.device)
    # Sums and products wrap around, which is what mixes.
    bits = place.add_(first % (1 << 31)).mul_(ODD[0]).add_((step.long() * ODD[1]).to(torch.int32))
    bits ^= (bits >> 16) & 0xFFFF
    bits *= ODD[2]
    bits ^= (bits >> 15) & 0x1FFFF
    bits *= ODD[3]
    bits ^= (bits >> 16) & 0xFFFF
    return bits.view(like.shape)


def _blocks(rows_RC: Float[Tensor, "R C"]) -> Float[Tensor, "R N E"]:
    """Return rows in blocks, the last of each filled up with zeros."""
    missing = -rows_RC.shape[1] % BLOCK
    return F.pad(rows_RC, (0, missing)).view(len(rows_RC), -(-rows_RC.shape[1] // BLOCK), BLOCK)


def saved_moment(tensors: Mapping[str, Tensor], key: str, name: str) -> Tensor | None:
    """Return a moment of saved state as plain numbers, however it was held; None without one.

    Raises:
        CheckpointError: It is held in 8 bits, and the scales are missing.
    """
    held = tensors.get(f"{key}.{name}")
    if held is None or held.dtype != torch.uint8:
        return None if held is None else numbers(key, held, None)
    scales = tensors.get(f"{SCALES.get(key, key)}.{name}")
    if scales is None:
        raise CheckpointError(
            f"scales beside 8-bit moments of {name}",
            got="none",
            fix="the optimizer state as it was saved",
        )
    return numbers(key, held, scales)


def is_lean(tensors: Mapping[str, Tensor]) -> bool:
    """Return whether saved state holds moments in fewer bits than float32."""
    # Of 8 bits, vectors are held in float32 beside matrices, whose scales tell of them.
    if any(name.startswith(f"{SCALES[FIRST]}.") for name in tensors):
        return True
    first = next((name for name in tensors if name.startswith(f"{FIRST}.")), None)
    return first is not None and tensors[first].dtype == torch.bfloat16
