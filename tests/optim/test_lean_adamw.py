"""AdamW with moments of fewer bits: how near it stays, and that it goes on bit for bit."""

from functools import cache
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from growlm.base.errors import CheckpointError
from growlm.optim import lean_adamw
from growlm.optim.adamw import AdamWSettings, adamw, load_state_tensors, state_tensors
from growlm.optim.lean_adamw import LeanAdamW
from growlm.optim.moments import Moments, numbers

BETAS = (0.9, 0.999)
"""The second is so near 1 that a moment rounded to nearest would not move."""

LEAN: tuple[Moments, ...] = ("bfloat16", "8bit")


def settings(moments: Moments, betas: tuple[float, float] = BETAS) -> AdamWSettings:
    return AdamWSettings(peak_lr=3e-3, betas=betas, eps=1e-8, weight_decay=0.1, moments=moments)


def steps(optimizer: torch.optim.Optimizer, model: nn.Module, *, first: int, many: int) -> None:
    """Take steps with gradients that follow from their number alone."""
    for step in range(first, first + many):
        stream = torch.Generator().manual_seed(step)
        for parameter in model.parameters():
            parameter.grad = 0.1 * torch.randn(parameter.shape, generator=stream)
        optimizer.step()


STEPS = 300


@cache
def losses(moments: Moments) -> Tensor:
    """Learn to say the next number of sequences that count in strides; return every loss."""
    stream = torch.Generator().manual_seed(0)
    model = nn.Sequential(
        nn.Embedding(61, 16), nn.Flatten(), nn.Linear(64, 64), nn.GELU(), nn.Linear(64, 61)
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.1 * torch.randn(parameter.shape, generator=stream))
    optimizer = adamw(model, settings(moments))
    found: list[Tensor] = []
    for _ in range(STEPS):
        start, stride = (torch.randint(1, most, (64, 1), generator=stream) for most in (61, 5))
        ids = (start + stride * torch.arange(5)) % 61
        loss = F.cross_entropy(model(ids[:, :4]), ids[:, 4])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        found.append(loss.detach())
    return torch.stack(found)


@pytest.mark.parametrize(("moments", "bound"), [("bfloat16", 2e-3), ("8bit", 2e-2)])
def test_losses_are_those_of_adamw_in_float32(moments: Moments, bound: float) -> None:
    wide, lean = (losses(each).view(10, -1).mean(1) for each in ("float32", moments))
    assert wide[-1] < 0.3 * wide[0]
    assert (lean / wide - 1).abs().max() < bound


def test_float32_moments_are_torchs_adamw() -> None:
    ours, theirs = (nn.Linear(24, 12) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    told: dict[str, Any] = {"lr": 1e-2, "betas": BETAS, "eps": 1e-6}
    lean = LeanAdamW(
        [{"params": [*ours.parameters()], "weight_decay": 0.1}], **told, moments="float32"
    )
    reference = torch.optim.AdamW(theirs.parameters(), weight_decay=0.1, **told)
    steps(lean, ours, first=0, many=20)
    steps(reference, theirs, first=0, many=20)
    torch.testing.assert_close(ours.weight, theirs.weight, rtol=0, atol=1e-6)


@pytest.mark.parametrize("moments", LEAN)
def test_a_moment_comes_down_though_its_steps_are_below_the_last_bit(moments: Moments) -> None:
    model = nn.Linear(64, 64, bias=False)
    optimizer = adamw(model, settings(moments))
    steps(optimizer, model, first=0, many=1)
    state = optimizer.state[model.weight]
    before = numbers("exp_avg_sq", state["exp_avg_sq"], state.get("exp_avg_sq_scale")).mean()
    for _ in range(100):
        model.weight.grad = torch.zeros_like(model.weight)
        optimizer.step()
    after = numbers("exp_avg_sq", state["exp_avg_sq"], state.get("exp_avg_sq_scale")).mean()
    assert float(after / before) == pytest.approx(BETAS[1] ** 100, rel=0.02)


@pytest.mark.parametrize("moments", LEAN)
def test_saved_state_goes_on_bit_for_bit(moments: Moments) -> None:
    model, resumed = (nn.Linear(300, 20) for _ in range(2))
    optimizer, other = (adamw(each, settings(moments)) for each in (model, resumed))
    steps(optimizer, model, first=0, many=3)
    saved = {name: each.clone() for name, each in state_tensors(model, optimizer).items()}
    resumed.load_state_dict(model.state_dict())
    load_state_tensors(resumed, other, saved)
    assert state_tensors(resumed, other).keys() == saved.keys()
    steps(optimizer, model, first=3, many=2)
    steps(other, resumed, first=3, many=2)
    assert torch.equal(model.weight, resumed.weight)
    assert torch.equal(model.bias, resumed.bias)


@pytest.mark.parametrize("moments", LEAN)
def test_rows_moved_a_few_at_a_time_are_moved_the_same(
    monkeypatch: pytest.MonkeyPatch, moments: Moments
) -> None:
    whole, parts = (nn.Linear(300, 20) for _ in range(2))
    parts.load_state_dict(whole.state_dict())
    steps(adamw(whole, settings(moments)), whole, first=0, many=2)
    monkeypatch.setattr(lean_adamw, "ENTRIES", 1000)
    steps(adamw(parts, settings(moments)), parts, first=0, many=2)
    assert torch.equal(whole.weight, parts.weight)
    assert torch.equal(whole.bias, parts.bias)


@pytest.mark.parametrize("before", ["float32", *LEAN])
@pytest.mark.parametrize("after", ["float32", *LEAN])
def test_state_saved_in_other_bits_is_taken_up_rounded(before: Moments, after: Moments) -> None:
    model, other = (nn.Linear(300, 20) for _ in range(2))
    first, second = adamw(model, settings(before)), adamw(other, settings(after))
    steps(first, model, first=0, many=2)
    load_state_tensors(other, second, state_tensors(model, first))
    wanted, found = first.state[model.weight], second.state[other.weight]
    assert found["step"] == 2.0
    for key in ("exp_avg", "exp_avg_sq"):
        plain, rounded = (
            numbers(key, state[key], state.get(f"{key}_scale")) for state in (wanted, found)
        )
        torch.testing.assert_close(rounded, plain, rtol=0.1, atol=float(0.01 * plain.abs().max()))


def test_codes_without_scales_are_refused() -> None:
    model = nn.Linear(300, 20)
    optimizer = adamw(model, settings("8bit"))
    steps(optimizer, model, first=0, many=1)
    saved = state_tensors(model, optimizer)
    del saved["exp_avg_scale.weight"]
    with pytest.raises(CheckpointError, match=r"exp_avg.weight of shape \(20, 300\) without its"):
        load_state_tensors(model, optimizer, saved)


def test_a_parameter_without_a_gradient_stays() -> None:
    model = nn.Linear(8, 8)
    before = model.weight.detach().clone()
    adamw(model, settings("8bit")).step()
    assert torch.equal(model.weight, before)
