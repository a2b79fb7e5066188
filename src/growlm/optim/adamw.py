"""AdamW with decay on matrices only, and its state by parameter name."""

from collections.abc import Container, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from growlm.base.errors import CheckpointError
from growlm.optim.scaled_adamw import FACTORS, ScaledAdamW
from growlm.optim.sharded import local, sharded_like

MOMENTS = ("exp_avg", "exp_avg_sq")
STATE = ("step", *MOMENTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdamWSettings:
    """Everything AdamW (Loshchilov and Hutter, arXiv:1711.05101) is told but the schedule."""

    peak_lr: float
    betas: tuple[float, float]
    eps: float
    weight_decay: float


def adamw(
    model: nn.Module,
    settings: AdamWSettings,
    *,
    scaled: bool = False,
    without: Container[str] = (),
) -> torch.optim.Optimizer:
    """Return a fused AdamW: matrices decay; biases, gains and offsets do not.

    Args:
        model: Its parameters, in their order.
        settings: Everything but the schedule.
        scaled: Whether state may hold factors for each entry, as exact growth needs.
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
    if scaled:
        return ScaledAdamW(groups, lr=settings.peak_lr, betas=settings.betas, eps=settings.eps)
    return torch.optim.AdamW(
        groups,
        lr=settings.peak_lr,
        betas=settings.betas,
        eps=settings.eps,
        fused=True,
    )


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
        parameter: group.get("keys", STATE)
        for group in optimizer.param_groups
        for parameter in group["params"]
    }


@torch.no_grad()
def load_state_tensors(
    model: nn.Module, optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]
) -> None:
    """Put saved state under each parameter, by name; what is absent starts at zero.

    Raises:
        CheckpointError: A tensor belongs to no parameter, or has another shape.
    """
    parameters, keys = dict(model.named_parameters()), _keys(optimizer)
    _check(parameters, keys, tensors)
    for name, parameter in parameters.items():
        state = optimizer.state[parameter]
        for key in keys[parameter]:
            state[key] = _nothing(key, parameter)
            if f"{key}.{name}" in tensors:
                local(state[key]).copy_(local(sharded_like(tensors[f"{key}.{name}"], parameter)))
        for key in FACTORS:
            if f"{key}.{name}" in tensors:
                factor = tensors[f"{key}.{name}"].to(parameter.device, parameter.dtype)
                state[key] = sharded_like(factor, parameter)


def _nothing(key: str, parameter: Tensor) -> Tensor:
    """Return state as it is before the first step."""
    if key == "step":
        return torch.zeros((), dtype=torch.float32, device=parameter.device)
    return torch.zeros_like(parameter, memory_format=torch.preserve_format)


def _check(
    parameters: Mapping[str, Tensor],
    keys: Mapping[Tensor, tuple[str, ...]],
    tensors: Mapping[str, Tensor],
) -> None:
    for full_name, tensor in tensors.items():
        key, _, name = full_name.partition(".")
        wanted: list[tuple[int, ...]] = []
        if name in parameters and key in (*keys[parameters[name]], *FACTORS):
            wanted += [()] if key == "step" or key in FACTORS else []
            wanted += [tuple(parameters[name].shape)] if key != "step" else []
        if tuple(tensor.shape) not in wanted:
            raise CheckpointError(
                "optimizer state of this model's parameters",
                got=f"{full_name} of shape {tuple(tensor.shape)}",
                fix="the optimizer state that was saved with these weights",
            )
