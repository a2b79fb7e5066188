"""AdamW whose moments are held in fewer bits than it computes with."""

from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import Tensor

from growlm.optim.each import EachParameter
from growlm.optim.moments import (
    FIRST,
    SCALES,
    SECOND,
    Moments,
    before_the_first_step,
    chances,
    in_8_bits,
    in_16_bits,
    numbers,
)
from growlm.optim.sharded import is_sharded, local

ENTRIES = 1 << 22
"""Entries that are moved at once, but for a longer row: all that is computed with them is float32.
"""


class LeanAdamW(EachParameter):
    """AdamW (arXiv:1711.05101), each step in float32, with moments that are rounded after it.

    Every entry is rounded up or down by chance, so that a moment is right on average however slowly
    it moves. The step itself is taken with the moments as they were before they were rounded.
    """

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: float,
        betas: tuple[float, float],
        eps: float,
        moments: Moments,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": 0.0, "moments": moments}
        super().__init__(params, defaults)

    def _update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        """Move a parameter, some rows after the other; each rank moves the part it has."""
        state = self.state[parameter]
        if not state:
            state.update(before_the_first_step(parameter, group["moments"]))
        state["step"] += 1
        parts = {key: local(each) for key, each in state.items() if key != "step"}
        parts |= {"weight": local(parameter), "gradient": local(gradient)}
        rows = parts["weight"].shape[0]
        width = parameter.numel() // parameter.shape[0]
        many, first = max(ENTRIES // width, 1), _first_row(parameter)
        for start in range(0, rows, many):
            piece = {key: each[start : start + many] for key, each in parts.items()}
            _move(piece, group, state["step"], first=(first + start) * width)


def _move(piece: dict[str, Tensor], group: dict[str, Any], step: Tensor, *, first: int) -> None:
    """Move some rows and their moments, in place."""
    weight, gradient = piece["weight"], piece["gradient"]
    decays = dict(zip((FIRST, SECOND), group["betas"], strict=True))
    mean = numbers(FIRST, piece[FIRST], piece.get(SCALES[FIRST]))
    mean = mean.lerp(gradient.to(mean.dtype), 1 - decays[FIRST])
    square = numbers(SECOND, piece[SECOND], piece.get(SCALES[SECOND]))
    square = (decays[SECOND] * square).addcmul_(gradient, gradient, value=1 - decays[SECOND])
    chance = chances(weight, first=first, step=step)
    _hold(piece, FIRST, mean, chance)
    _hold(piece, SECOND, square, chance >> 16)
    weight.mul_(1 - group["lr"] * group["weight_decay"])
    # In float64, as 1 minus a decay near 1 has few digits left in float32.
    shares = {key: 1 - decay ** step.double() for key, decay in decays.items()}
    root = (square / shares[SECOND]).sqrt_().add_(group["eps"])
    weight.sub_((mean * (group["lr"] / shares[FIRST])).div_(root))


def _hold(piece: dict[str, Tensor], key: str, value: Tensor, chance: Tensor) -> None:
    """Put a moment back in the bits that it is held in."""
    held = piece[key]
    if held.dtype == torch.uint8:
        codes, scales = in_8_bits(key, value, chance)
        held.copy_(codes)
        piece[SCALES[key]].copy_(scales)
    elif held.dtype == torch.bfloat16:
        held.copy_(in_16_bits(value, chance))
    else:
        held.copy_(value)


def _first_row(parameter: Tensor) -> int:
    """Return which row of the whole parameter is this rank's first."""
    if not is_sharded(parameter):
        return 0
    parts = cast(Any, parameter)
    for dimension, placement in enumerate(parts.placements):
        if placement.is_shard():
            rows = -(-parameter.shape[0] // parts.device_mesh.size(dimension))
            return parts.device_mesh.get_local_rank(dimension) * rows
    return 0
