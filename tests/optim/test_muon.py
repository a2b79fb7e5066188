"""Muon, against torch's, against the singular values, and by its state; AdamW for the rest."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from growlm.base.errors import CheckpointError
from growlm.model.config import GPTConfig
from growlm.model.gpt import GPT
from growlm.optim.adamw import AdamWSettings, adamw, load_state_tensors, set_lr, state_tensors
from growlm.optim.muon import COEFFICIENTS, MOMENTUM, ROUNDS, Muon, is_muons, muon, orthogonal

SETTINGS = AdamWSettings(peak_lr=0.01, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.3)
SHAPES = [(16, 16), (48, 16), (16, 40)]


def noise(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def set_gradients(model: GPT, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)


def stepped(model: GPT, optimizer: torch.optim.Optimizer, *seeds: int) -> dict[str, Tensor]:
    for seed in seeds:
        set_gradients(model, seed)
        optimizer.step()
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.fixture
def fresh(
    tiny_config: Callable[..., GPTConfig], tiny_model: Callable[..., GPT]
) -> Callable[..., GPT]:
    """Return a factory of equal models with grouped heads, so that matrices have many shapes."""
    return lambda **model: tiny_model(tiny_config(kv_heads=1, tied=False), **model)


@pytest.fixture
def _exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let torch's Muon, which works in bf16, work in what it is given."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)


def torchs(model: GPT, **changes: Any) -> torch.optim.Optimizer:
    matrices = [each for each in model.layers.parameters() if each.dim() == 2]
    options: dict[str, Any] = {"momentum": 0.9, "adjust_lr_fn": "match_rms_adamw", **changes}
    return torch.optim.Muon(matrices, lr=0.01, weight_decay=0.3, **options)


@pytest.mark.usefixtures("_exact")
def test_matrices_take_the_steps_of_torch(fresh: Callable[..., GPT]) -> None:
    ours, theirs = fresh(dtype=torch.float64), fresh(dtype=torch.float64)
    before = {name: each.clone() for name, each in ours.state_dict().items()}
    found = stepped(ours, muon(ours, SETTINGS, momentum=0.9), *range(5))
    expected = stepped(theirs, torchs(theirs), *range(5))
    moved = [name for name, tensor in found.items() if is_muons(name, tensor.shape)]
    assert len(moved) == 12
    for name in moved:
        torch.testing.assert_close(found[name], expected[name], rtol=0, atol=1e-12)
        assert (found[name] - before[name]).abs().max() > 1e-3


@pytest.mark.usefixtures("_exact")
@pytest.mark.parametrize(
    "change", [{"adjust_lr_fn": "original"}, {"momentum": 0.95}, {"nesterov": False}], ids=str
)
def test_another_length_momentum_or_lookahead_would_be_seen(
    fresh: Callable[..., GPT], change: dict[str, Any]
) -> None:
    ours, theirs = fresh(dtype=torch.float64), fresh(dtype=torch.float64)
    found = stepped(ours, muon(ours, SETTINGS, momentum=0.9), *range(3))
    other = stepped(theirs, torchs(theirs, **change), *range(3))
    name = "layers.0.mlp.up.weight"
    assert (found[name] - other[name]).abs().max() > 1e-4


def test_embeddings_head_and_vectors_take_the_steps_of_adamw(fresh: Callable[..., GPT]) -> None:
    ours, plain = fresh(), fresh()
    found = stepped(ours, muon(ours, SETTINGS, momentum=0.9), *range(3))
    expected = stepped(plain, adamw(plain, SETTINGS), *range(3))
    alike = {name for name, tensor in found.items() if torch.equal(tensor, expected[name])}
    assert {"embedding.weight", "head.weight", "layers.0.mlp.up.bias"} <= alike
    assert alike == {name for name, each in found.items() if not is_muons(name, each.shape)}


@pytest.mark.parametrize("shape", SHAPES)
def test_it_keeps_singular_vectors_and_takes_singular_values_through_the_quintic(
    shape: tuple[int, int],
) -> None:
    matrix = noise(*shape)
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    values = values / values.norm()
    for _ in range(ROUNDS):
        first, third, fifth = COEFFICIENTS
        values = first * values + third * values**3 + fifth * values**5
    found = orthogonal(matrix[None])[0]
    torch.testing.assert_close(found, left @ values.diag() @ right, rtol=0, atol=1e-10)


@pytest.mark.parametrize("shape", SHAPES)
def test_singular_values_of_a_step_are_near_one(shape: tuple[int, int]) -> None:
    left, values, right = torch.linalg.svd(noise(*shape), full_matrices=False)
    values = torch.logspace(-2, 0, len(values), dtype=torch.float64)
    matrix = left @ values.diag() @ right
    found = torch.linalg.svdvals(orthogonal(matrix[None])[0])
    assert found.min() >= 0.5
    assert found.max() <= 1.5
    assert torch.linalg.svdvals(matrix).min() < 0.02


@pytest.mark.parametrize("shape", SHAPES)
def test_matrices_together_become_what_each_becomes_alone(shape: tuple[int, int]) -> None:
    many = noise(5, *shape) * torch.logspace(-6, 6, 5, dtype=torch.float64)[:, None, None]
    alone = torch.cat([orthogonal(each[None]) for each in many])
    torch.testing.assert_close(orthogonal(many), alone, rtol=0, atol=1e-12)


def test_bf16_is_enough() -> None:
    matrix = noise(1, 48, 16)
    error = orthogonal(matrix.bfloat16()).double() - orthogonal(matrix)
    assert error.norm() / orthogonal(matrix).norm() < 0.02


def test_a_matrix_without_a_gradient_stays_and_one_of_nothing_only_decays(
    fresh: Callable[..., GPT],
) -> None:
    model = fresh(dtype=torch.float64)
    optimizer = muon(model, SETTINGS, momentum=0.9)
    before = {name: each.clone() for name, each in model.state_dict().items()}
    still, empty = "layers.0.mlp.up.weight", "layers.1.mlp.up.weight"
    model.get_parameter(empty).grad = torch.zeros_like(before[empty])
    optimizer.step()
    assert torch.equal(model.state_dict()[still], before[still])
    shrunk = before[empty] * (1 - SETTINGS.peak_lr * SETTINGS.weight_decay)
    torch.testing.assert_close(model.state_dict()[empty], shrunk, rtol=0, atol=1e-15)


def test_steps_are_as_long_as_those_of_adamw(fresh: Callable[..., GPT]) -> None:
    model = fresh(dtype=torch.float64)
    for group in (optimizer := muon(model, SETTINGS, momentum=0.9)).param_groups:
        group["weight_decay"] = 0.0
    before = {name: each.clone() for name, each in model.state_dict().items()}
    for name, after in stepped(model, optimizer, 0).items():
        if is_muons(name, after.shape):
            rms = (after - before[name]).square().mean().sqrt() / SETTINGS.peak_lr
            assert 0.14 < rms < 0.24, name


def test_many_matrices_at_once_and_few_at_once_come_to_the_same(
    fresh: Callable[..., GPT], monkeypatch: pytest.MonkeyPatch
) -> None:
    together, apart = fresh(dtype=torch.float64), fresh(dtype=torch.float64)
    found = stepped(together, muon(together, SETTINGS, momentum=0.9), *range(2))
    monkeypatch.setattr("growlm.optim.muon.ENTRIES", 1)
    expected = stepped(apart, muon(apart, SETTINGS, momentum=0.9), *range(2))
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, expected[name], rtol=0, atol=1e-12)


def test_a_rate_reaches_matrices_and_all_others(fresh: Callable[..., GPT]) -> None:
    model = fresh()
    optimizer = muon(model, SETTINGS, momentum=0.9)
    set_lr(optimizer, 0.0)
    before = {name: each.clone() for name, each in model.state_dict().items()}
    after = stepped(model, optimizer, 0)
    assert all(torch.equal(tensor, before[name]) for name, tensor in after.items())
    optimizer.zero_grad()
    assert all(each.grad is None for each in model.parameters())


def test_the_state_comes_back_by_name_and_training_goes_on_bit_for_bit(
    fresh: Callable[..., GPT],
) -> None:
    model, resumed = fresh(), fresh(seed=1)
    optimizer, other = (muon(each, SETTINGS, momentum=0.9) for each in (model, resumed))
    weights = stepped(model, optimizer, 0, 1, 2)
    saved = {name: tensor.clone() for name, tensor in state_tensors(model, optimizer).items()}
    resumed.load_state_dict(weights)
    load_state_tensors(resumed, other, saved)
    assert set(saved) == set(state_tensors(resumed, other))
    for name, tensor in weights.items():
        keys = (MOMENTUM,) if is_muons(name, tensor.shape) else ("step", "exp_avg", "exp_avg_sq")
        assert {key for key in saved if key.endswith(f".{name}")} == {
            f"{key}.{name}" for key in keys
        }
    expected, found = (stepped(*each, 3, 4) for each in ((model, optimizer), (resumed, other)))
    assert all(torch.equal(tensor, expected[name]) for name, tensor in found.items())


def test_without_its_momentum_it_would_not_go_on_alike(fresh: Callable[..., GPT]) -> None:
    model, resumed = fresh(), fresh(seed=1)
    optimizer, other = (muon(each, SETTINGS, momentum=0.9) for each in (model, resumed))
    resumed.load_state_dict(stepped(model, optimizer, 0, 1, 2))
    saved = state_tensors(model, optimizer).items()
    forgetful = {name: each for name, each in saved if not name.startswith(MOMENTUM)}
    load_state_tensors(resumed, other, forgetful)
    expected, found = (stepped(*each, 3) for each in ((model, optimizer), (resumed, other)))
    name = "layers.0.mlp.up.weight"
    assert (expected[name] - found[name]).abs().max() > 1e-4
    assert torch.equal(expected["embedding.weight"], found["embedding.weight"])


@pytest.mark.parametrize(
    ("build", "key", "name"),
    [
        (lambda model: muon(model, SETTINGS, momentum=0.9), "exp_avg", "layers.0.mlp.up.weight"),
        (lambda model: muon(model, SETTINGS, momentum=0.9), MOMENTUM, "layers.0.mlp_norm.weight"),
        (lambda model: adamw(model, SETTINGS), MOMENTUM, "layers.0.mlp.up.weight"),
    ],
)
def test_state_of_the_other_optimizer_is_refused(
    fresh: Callable[..., GPT], build: Callable[[GPT], Muon], key: str, name: str
) -> None:
    model = fresh()
    wrong = {f"{key}.{name}": torch.zeros_like(model.get_parameter(name))}
    with pytest.raises(CheckpointError, match=rf"state of this model's parameters; got {key}"):
        load_state_tensors(model, build(model), wrong)


def test_it_takes_what_a_closure_finds(fresh: Callable[..., GPT]) -> None:
    model, plain = fresh(), fresh()
    optimizer, other = (muon(each, SETTINGS, momentum=0.9) for each in (model, plain))

    def closure() -> float:
        set_gradients(model, 0)
        return 0.0

    optimizer.step(closure)
    expected = stepped(plain, other, 0)
    assert all(torch.equal(each, expected[name]) for name, each in model.state_dict().items())
