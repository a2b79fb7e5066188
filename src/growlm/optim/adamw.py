"""AdamW with decay on matrices only, and its state by parameter name."""

from collections.abc import Container, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from growlm.base.errors import CheckpointError
from growlm.optim.lean_adamw import LeanAdamW
from growlm.optim.moments import (
    FIRST,
    SCALES,
    SECOND,
    Moments,
    before_the_first_step,
    in_8_bits,
    keys,
    numbers,
    scales_shape,
)
from growlm.optim.scaled_adamw import FACTORS, ScaledAdamW
from growlm.optim.sharded import local, sharded_like

STATE = ("step", FIRST, SECOND)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdamWSettings:
    """Everything AdamW (Loshchilov and Hutter, arXiv:1711.05101) is told but the schedule."""

    peak_lr: float
    betas: tuple[float, float]
    eps: float
    weight_decay: float
    moments: Moments = "float32"
    """What the moments are held in."""


def adamw(
    model: nn.Module,
    settings: AdamWSettings,
    *,
    scaled: bool = False,
    without: Container[str] = (),
) -> torch.optim.Optimizer:
    """Return an AdamW: matrices decay; biases, gains and offsets do not.

    It is torch's fused one, unless its state has factors, or moments of fewer bits.

    Args:
        model: Its parameters, in their order.
        settings: Everything but the schedule.
        scaled: Whether state may hold factors for each entry, as exact growth needs; its moments
            are then float32.
        without: Names of parameters that something else moves.
    """
    moved = {name: each for name, each in model.named_parameters() if name not in without}
    groups = [
        {"params": list(members.values()), "weight_decay": decay}
        for members, decay in zip(
            groups_of(moved).values(),
            (settings.weight_decay, 0.0),
            strict=True,
        )
        if members
    ]
    told: dict[str, Any] = {
        "lr": settings.peak_lr,
        "betas": settings.betas,
        "eps": settings.eps,
    }
    if scaled:
        return ScaledAdamW(groups, **told)
    if settings.moments != "float32":
        return LeanAdamW(groups, **told, moments=settings.moments)
    return torch.optim.AdamW(groups, **told, fused=True)


def groups_of(parameters: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Return the parameters by their group, ``decayed`` or ``plain``, each in exactly one.

    Args:
        parameters: By name; those without data will do.
    """
    return {
        "decayed": {name: each for name, each in parameters.items() if each.dim() > 1},
        "plain": {name: each for name, each in parameters.items() if each.dim() <= 1},
    }


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of every group."""
    for group in optimizer.param_groups:
        group["lr"] = lr


def knows_flags(optimizer: torch.optim.Optimizer) -> bool:
    """Return whether ``unless`` can hold an optimizer back: a fused AdamW, and no kind of it."""
    return type(optimizer) is torch.optim.AdamW and all(
        group["fused"] for group in optimizer.param_groups
    )


@contextmanager
def unless(optimizer: torch.optim.Optimizer, refused: Tensor) -> Generator[None, None, None]:
    """Let fused AdamW's steps inside the block leave all as it is, if a flag on its device is set.

    Nobody waits to see it: the kernels read it, as they do for torch's gradient scaler.

    Args:
        optimizer: One that ``knows_flags``.
        refused: A flag, true or false.
    """
    held: Any = optimizer
    held.grad_scale, held.found_inf = None, refused.float()
    try:
        yield
    finally:
        del held.grad_scale, held.found_inf


def state_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the optimizer's state by ``KEY.NAME``, KEY one of its group's keys or ``FACTORS``.

    A parameter that has not been stepped yet has no entry.
    """
    keys = _keys(optimizer)
    return {
        f"{key}.{name}": optimizer.state[parameter][key]
        for name, parameter in model.named_parameters()
        for key in (*keys[parameter], *FACTORS)
        if key in optimizer.state[parameter]
    }


def _keys(optimizer: torch.optim.Optimizer) -> dict[Tensor, tuple[str, ...]]:
    """Return what state each parameter has: what its group says, or else AdamW's."""
    return {
        parameter: group.get("keys") or keys(parameter.dim(), group.get("moments", "float32"))
        for group in optimizer.param_groups
        for parameter in group["params"]
    }


@torch.no_grad()
def load_state_tensors(
    model: nn.Module, optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]
) -> None:
    """Put saved state under each parameter, by name; what is absent starts at zero.

    Moments that were saved in other bits than they are held in are rounded to the nearest number.

    Raises:
        CheckpointError: A tensor belongs to no parameter, or has another shape.
    """
    parameters, known = dict(model.named_parameters()), _keys(optimizer)
    _check(parameters, known, tensors)
    moments = {
        parameter: group.get("moments", "float32")
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    for name, parameter in parameters.items():
        state = optimizer.state[parameter]
        state.update(_nothing(known[parameter], parameter, moments[parameter]))
        for key, value in _saved(state, name, tensors):
            local(state[key]).copy_(local(sharded_like(value, state[key])))
        for key in FACTORS:
            if f"{key}.{name}" in tensors:
                factor = tensors[f"{key}.{name}"].to(parameter.device, parameter.dtype)
                state[key] = sharded_like(factor, parameter)


def _saved(
    state: Mapping[str, Tensor], name: str, tensors: Mapping[str, Tensor]
) -> Iterator[tuple[str, Tensor]]:
    """Yield a parameter's saved state, in the bits that it is to be held in."""
    for key, held in state.items():
        saved = tensors.get(f"{key}.{name}")
        if saved is None:
            continue
        if key not in SCALES or (saved.dtype == torch.uint8) == (held.dtype == torch.uint8):
            yield key, saved
            continue
        plain = numbers(key, saved, tensors.get(f"{SCALES[key]}.{name}"))
        if held.dtype == torch.uint8:
            codes, scales = in_8_bits(key, plain, None)
            yield from ((key, codes), (SCALES[key], scales))
        else:
            yield key, plain


def _nothing(keys: tuple[str, ...], parameter: Tensor, moments: Moments) -> dict[str, Tensor]:
    """Return state as it is before the first step."""
    state = before_the_first_step(parameter, moments)
    return {key: state[key] if key in state else torch.zeros_like(parameter) for key in keys}


def _check(
    parameters: Mapping[str, Tensor],
    known: Mapping[Tensor, tuple[str, ...]],
    tensors: Mapping[str, Tensor],
) -> None:
    for full_name, tensor in tensors.items():
        key, _, name = full_name.partition(".")
        wanted = _shapes(key, parameters[name], known) if name in parameters else []
        missing = tensor.dtype == torch.uint8 and f"{SCALES.get(key)}.{name}" not in tensors
        if tuple(tensor.shape) not in wanted or missing:
            shape = f"shape {tuple(tensor.shape)}" + (" without its scales" if missing else "")
            raise CheckpointError(
                "optimizer state of this model's parameters",
                got=f"{full_name} of {shape}",
                fix="the optimizer state that was saved with these weights",
            )


def _shapes(
    key: str, parameter: Tensor, known: Mapping[Tensor, tuple[str, ...]]
) -> list[tuple[int, ...]]:
    """Return the shapes that state of a parameter may have; none where it has no such state."""
    shape = tuple(parameter.shape)
    if key in SCALES.values():
        return [scales_shape(shape)] if FIRST in known[parameter] and len(shape) == 2 else []
    if key not in (*known[parameter], *FACTORS):
        return []
    return ([()] if key == "step" or key in FACTORS else []) + ([shape] if key != "step" else [])
