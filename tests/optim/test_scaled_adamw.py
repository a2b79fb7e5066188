"""AdamW with factors: torch's own where there are none, and a follower's where there are."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from growlm.optim.scaled_adamw import ScaledAdamW

SETTINGS: dict[str, Any] = {"lr": 1e-2, "betas": (0.9, 0.95), "eps": 1e-6}


def steps(optimizer: torch.optim.Optimizer, parameter: nn.Parameter, gradients: Tensor) -> Tensor:
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
    return parameter.detach()


@pytest.fixture
def start() -> Tensor:
    return torch.randn(5, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.fixture
def gradients() -> Tensor:
    return torch.randn(20, 5, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def test_without_factors_it_is_torchs_adamw(start: Tensor, gradients: Tensor) -> None:
    ours, theirs = (nn.Parameter(start.clone()) for _ in range(2))
    mine = ScaledAdamW([{"params": [ours], "weight_decay": 0.1}], **SETTINGS)
    reference = torch.optim.AdamW([theirs], weight_decay=0.1, **SETTINGS)
    difference = steps(mine, ours, gradients) - steps(reference, theirs, gradients)
    assert difference.abs().max() <= 1e-14


def test_an_entry_with_its_factors_follows_the_one_it_came_from(
    start: Tensor, gradients: Tensor
) -> None:
    value, factor = 0.25, 3.0
    parent, child = nn.Parameter(start.clone()), nn.Parameter(value * start)
    first = ScaledAdamW([{"params": [parent], "weight_decay": 0.1}], **SETTINGS)
    second = ScaledAdamW([{"params": [child], "weight_decay": 0.1}], **SETTINGS)
    second.state[child] = {
        "step": torch.zeros(()),
        "exp_avg": torch.zeros_like(start),
        "exp_avg_sq": torch.zeros_like(start),
        "lr_scale": torch.tensor(value),
        "decay_scale": torch.tensor(1 / value),
        "eps_scale": torch.tensor(factor),
    }
    moved = steps(first, parent, gradients)
    followed = steps(second, child, factor * gradients)
    assert (value * moved - followed).abs().max() <= 1e-14
    assert (moved - start).abs().max() > 0.05


def test_a_parameter_without_a_gradient_stays(start: Tensor) -> None:
    parameter = nn.Parameter(start.clone())
    ScaledAdamW([parameter], **SETTINGS).step()
    assert torch.equal(parameter.detach(), start)
