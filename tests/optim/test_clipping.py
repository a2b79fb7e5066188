"""Clipping: torch's own where nothing is weighted, and a follower's where entries are."""

import pytest
import torch
from torch import Tensor, nn

from growlm.optim.clipping import clip_gradients
from growlm.optim.scaled_adamw import CLIP_WEIGHT, EPS_SCALE, ScaledAdamW


@pytest.fixture
def parameters() -> list[nn.Parameter]:
    stream = torch.Generator().manual_seed(3)
    made = [nn.Parameter(torch.zeros(shape)) for shape in ((4, 3), (3,), (2,))]
    for each in made[:2]:
        each.grad = torch.randn(each.shape, generator=stream)
    return made


def plain(parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters)


def gradients(parameters: list[nn.Parameter]) -> list[Tensor]:
    return [each.grad.clone() for each in parameters if each.grad is not None]


@pytest.mark.parametrize("limit", [0.1, 1e3])
def test_without_weights_a_norm_is_clipped_as_torch_does(
    parameters: list[nn.Parameter], limit: float
) -> None:
    others = [nn.Parameter(torch.zeros_like(each)) for each in parameters]
    for each, other in zip(parameters, others, strict=True):
        other.grad = None if each.grad is None else each.grad.clone()
    found = clip_gradients(parameters, plain(parameters), max_norm=limit, max_value=None)
    assert found == nn.utils.clip_grad_norm_(others, limit)
    for ours, theirs in zip(gradients(parameters), gradients(others), strict=True):
        assert torch.equal(ours, theirs)


def test_without_scales_every_entry_has_the_same_limit(parameters: list[nn.Parameter]) -> None:
    before = gradients(parameters)
    clip_gradients(parameters, plain(parameters), max_norm=None, max_value=0.5)
    for ours, free in zip(gradients(parameters), before, strict=True):
        assert torch.equal(ours, free.clamp(-0.5, 0.5))


def test_without_limits_nothing_changes(parameters: list[nn.Parameter]) -> None:
    before = gradients(parameters)
    clip_gradients(parameters, plain(parameters), max_norm=None, max_value=None)
    for ours, free in zip(gradients(parameters), before, strict=True):
        assert torch.equal(ours, free)


def scaled(parameter: nn.Parameter, **state: Tensor) -> ScaledAdamW:
    optimizer = ScaledAdamW([parameter], lr=0.1, betas=(0.9, 0.95), eps=1e-8)
    optimizer.state[parameter] = state
    return optimizer


def test_squares_count_by_their_weights() -> None:
    parameter = nn.Parameter(torch.zeros(2))
    parameter.grad = torch.tensor([3.0, 4.0])
    optimizer = scaled(parameter, **{CLIP_WEIGHT: torch.tensor([1.0, 4.0])})
    found = clip_gradients([parameter], optimizer, max_norm=1.0, max_value=None)
    assert found == torch.tensor(9.0 + 4 * 16.0).sqrt()
    expected = torch.tensor([3.0, 4.0]) / found
    torch.testing.assert_close(parameter.grad, expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("scale", [torch.tensor(0.5), torch.tensor([0.5, 2.0])])
def test_an_entrys_limit_is_scaled_as_its_eps_is(scale: Tensor) -> None:
    parameter = nn.Parameter(torch.zeros(2))
    parameter.grad = torch.tensor([-3.0, 4.0])
    optimizer = scaled(parameter, **{EPS_SCALE: scale})
    clip_gradients([parameter], optimizer, max_norm=None, max_value=1.0)
    limits = scale.expand(2)
    assert torch.equal(parameter.grad, torch.stack([-limits[0], limits[1]]))
