"""AdamW, against its formula and against torch's; and its state by name."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from growlm.base.errors import CheckpointError
from growlm.model.config import GPTConfig
from growlm.model.gpt import GPT
from growlm.optim.adamw import (
    AdamWSettings,
    adamw,
    knows_flags,
    load_state_tensors,
    set_lr,
    state_tensors,
    unless,
)
from growlm.optim.scaled_adamw import FACTORS

SETTINGS = AdamWSettings(peak_lr=0.01, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.3)


@pytest.fixture
def model(tiny_config: Callable[..., GPTConfig], tiny_model: Callable[..., GPT]) -> GPT:
    return tiny_model(tiny_config(layers=1), dtype=torch.float64)


def set_gradients(model: GPT, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)


def weights(model: GPT) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def by_the_formula(model: GPT, *, lrs: list[float]) -> dict[str, Tensor]:
    """Take the paper's steps (algorithm 2) on copies of the weights, in the open."""
    (beta1, beta2), theirs = SETTINGS.betas, weights(model)
    first = {name: torch.zeros_like(tensor) for name, tensor in theirs.items()}
    second = {name: torch.zeros_like(tensor) for name, tensor in theirs.items()}
    for step, lr in enumerate(lrs, start=1):
        set_gradients(model, step)
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None
            decay = SETTINGS.weight_decay if parameter.dim() > 1 else 0.0
            first[name] = beta1 * first[name] + (1 - beta1) * parameter.grad
            second[name] = beta2 * second[name] + (1 - beta2) * parameter.grad**2
            mean, square = first[name] / (1 - beta1**step), second[name] / (1 - beta2**step)
            update = mean / (square.sqrt() + SETTINGS.eps) + decay * theirs[name]
            theirs[name] = theirs[name] - lr * update
    return theirs


def test_three_steps_are_those_of_the_paper(model: GPT) -> None:
    lrs = [0.01, 0.004, 0.0]
    expected = by_the_formula(model, lrs=lrs)
    optimizer = adamw(model, SETTINGS)
    for step, lr in enumerate(lrs, start=1):
        set_gradients(model, step)
        set_lr(optimizer, lr)
        optimizer.step()
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], rtol=0, atol=1e-13)


def test_steps_are_those_of_torch_unfused(
    tiny_config: Callable[..., GPTConfig], tiny_model: Callable[..., GPT]
) -> None:
    ours, theirs = (tiny_model(tiny_config(), dtype=torch.float64) for _ in range(2))
    matrices = [each for each in theirs.parameters() if each.dim() > 1]
    vectors = [each for each in theirs.parameters() if each.dim() < 2]
    reference = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.3}, {"params": vectors, "weight_decay": 0.0}],
        lr=0.01,
        betas=(0.8, 0.95),
        eps=1e-6,
        foreach=False,
        fused=False,
    )
    optimizer = adamw(ours, SETTINGS)
    for step in range(5):
        set_gradients(ours, step)
        set_gradients(theirs, step)
        optimizer.step()
        reference.step()
    for name, tensor in ours.state_dict().items():
        torch.testing.assert_close(tensor, theirs.state_dict()[name], rtol=0, atol=1e-13)


def test_matrices_decay_and_vectors_do_not(model: GPT) -> None:
    before = weights(model)
    optimizer = adamw(model, SETTINGS)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    shrunk = 1 - SETTINGS.peak_lr * SETTINGS.weight_decay
    for name, tensor in model.state_dict().items():
        factor = shrunk if tensor.dim() > 1 else 1.0
        torch.testing.assert_close(tensor, factor * before[name], rtol=0, atol=1e-15)


def test_every_parameter_is_in_exactly_one_group(model: GPT) -> None:
    held = [id(each) for group in adamw(model, SETTINGS).param_groups for each in group["params"]]
    assert sorted(held) == sorted(map(id, model.parameters()))


def test_the_state_comes_back_by_name_and_training_goes_on_bit_for_bit(
    tiny_config: Callable[..., GPTConfig], tiny_model: Callable[..., GPT]
) -> None:
    model = tiny_model(tiny_config())
    optimizer = adamw(model, SETTINGS)
    for step in range(3):
        set_gradients(model, step)
        optimizer.step()
    saved = {name: tensor.clone() for name, tensor in state_tensors(model, optimizer).items()}
    resumed = tiny_model(tiny_config(), seed=1)
    resumed.load_state_dict(weights(model))
    resumed_optimizer = adamw(resumed, SETTINGS)
    load_state_tensors(resumed, resumed_optimizer, saved)
    loaded = state_tensors(resumed, resumed_optimizer)
    assert set(loaded) == set(saved)
    assert len(saved) == 3 * len(list(model.parameters()))
    assert all(torch.equal(loaded[name], saved[name]) for name in saved)
    for each, its_optimizer in ((model, optimizer), (resumed, resumed_optimizer)):
        set_gradients(each, 9)
        its_optimizer.step()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_what_was_not_saved_starts_from_nothing(model: GPT) -> None:
    fresh, loaded = adamw(model, SETTINGS), adamw(model, SETTINGS)
    load_state_tensors(model, loaded, {})
    before = weights(model)
    set_gradients(model, 0)
    fresh.step()
    expected = weights(model)
    model.load_state_dict(before)
    loaded.step()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in weights(model).items())


def test_the_state_of_an_optimizer_that_never_stepped_is_empty(model: GPT) -> None:
    assert state_tensors(model, adamw(model, SETTINGS)) == {}


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("exp_avg.norm.weight", (15,)),
        ("step.norm.weight", (1,)),
        ("exp_avg.layers.7.mlp.up.weight", (32, 16)),
        ("momentum.norm.weight", (16,)),
        ("nameless", (16,)),
    ],
)
def test_state_of_another_model_is_refused(model: GPT, name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(CheckpointError) as caught:
        load_state_tensors(model, adamw(model, SETTINGS), {name: torch.zeros(shape)})
    assert caught.value.got == f"{name} of shape {shape}"
    assert caught.value.expected == "optimizer state of this model's parameters"


@pytest.mark.parametrize("key", FACTORS)
def test_factors_of_each_entry_are_part_of_the_state(model: GPT, key: str) -> None:
    name = "layers.0.mlp.up.weight"
    optimizer = adamw(model, SETTINGS, scaled=True)
    factor = torch.rand(model.state_dict()[name].shape, dtype=torch.float64)
    load_state_tensors(
        model, optimizer, {f"{key}.{name}": factor, f"{key}.norm.weight": factor[0, 0]}
    )
    found = state_tensors(model, optimizer)
    assert torch.equal(found[f"{key}.{name}"], factor)
    assert torch.equal(found[f"{key}.norm.weight"], factor[0, 0])
    with pytest.raises(CheckpointError, match=f"{key}.norm.weight of shape"):
        load_state_tensors(model, optimizer, {f"{key}.norm.weight": factor})


def test_a_step_whose_flag_is_set_leaves_weights_and_moments_as_they_are(model: GPT) -> None:
    optimizer = adamw(model, SETTINGS)
    assert knows_flags(optimizer)

    def after(*, refused: bool) -> dict[str, Tensor]:
        for parameter in model.parameters():
            parameter.grad = torch.full_like(parameter, torch.nan if refused else 0.5)
        with unless(optimizer, torch.tensor(refused)):
            optimizer.step()
        held = {**model.state_dict(), **state_tensors(model, optimizer)}
        return {name: each.clone() for name, each in held.items()}

    first, second, third = (after(refused=each) for each in (False, True, False))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not any(torch.equal(first[name], third[name]) for name in first)


def test_an_optimizer_of_another_kind_knows_no_flags(model: GPT) -> None:
    assert not knows_flags(adamw(model, SETTINGS, scaled=True))
    assert not knows_flags(torch.optim.AdamW(model.parameters(), fused=False))
