"""Applying a plan: what the child's weights are, and what the child computes and learns."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from growlm.growth.apply import child_config, child_names, grow_weights
from growlm.growth.depth import OPERATORS, DepthPlan, insert, interleave, stack
from growlm.growth.moments import grow_moments
from growlm.model.config import GPTConfig
from growlm.model.cost import parameters
from growlm.model.gpt import GPT
from growlm.model.loss import cross_entropy_sum
from growlm.model.spaces import is_layer_output, split_name
from growlm.optim.adamw import AdamWSettings, adamw, load_state_tensors, state_tensors

GRID = [
    {
        "positions": positions,
        "norm": norm,
        "linear_bias": bias,
        "norm_bias": bias,
        "activation": activation,
        "tied": tied,
        "kv_heads": 1 if tied else 2,
    }
    for positions, norm, bias, activation, tied in itertools.product(
        ("alibi", "learned", "rotary", "none"),
        ("layernorm", "rmsnorm"),
        (True, False),
        ("gelu", "swiglu"),
        (True, False),
    )
]
DTYPES = [torch.float64, torch.float32, torch.bfloat16]
SETTINGS = AdamWSettings(peak_lr=1e-3, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)


def loss_of(model: GPT, ids: Tensor) -> Tensor:
    return (
        cross_entropy_sum(
            model(ids[:, :-1]).flatten(0, 1),
            model.head_weight,
            ids[:, 1:].flatten(),
            vocab_size=model.config.vocab_size,
        )
        / ids[:, 1:].numel()
    )


def train(model: GPT, ids: Tensor, *, steps: int) -> torch.optim.Optimizer:
    optimizer = adamw(model, SETTINGS)
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of(model, ids).backward()
        optimizer.step()
    return optimizer


@pytest.mark.parametrize("operator", OPERATORS)
def test_every_weight_is_its_source_or_a_silent_output(
    tiny_config: Callable[..., GPTConfig], tiny_model: Callable[..., GPT], operator: str
) -> None:
    parent = tiny_model(tiny_config(layers=2, positions="learned", tied=False)).state_dict()
    plan = OPERATORS[operator](2, 5)
    child = grow_weights(parent, plan)
    for name, tensor in child.items():
        layer, inner = split_name(name)
        source = parent[name if layer is None else f"layers.{plan.sources[layer]}.{inner}"]
        expected = torch.zeros_like(source) if is_silent(plan, name) else source
        assert torch.equal(tensor, expected), name


def is_silent(plan: DepthPlan, name: str) -> bool:
    return split_name(name)[0] in plan.silent and is_layer_output(name)


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("tied", [True, False])
def test_the_child_is_a_whole_model_of_its_shape(
    *,
    tiny_config: Callable[..., GPTConfig],
    tiny_model: Callable[..., GPT],
    operator: str,
    tied: bool,
) -> None:
    parent = tiny_model(tiny_config(layers=3, tied=tied))
    plan = OPERATORS[operator](3, 5)
    child = grow_weights(parent.state_dict(), plan)
    config = child_config(parent.config, plan)
    assert config == tiny_config(layers=5, tied=tied)
    assert ("head.weight" in child) is not tied
    assert sum(tensor.numel() for tensor in child.values()) == parameters(config)
    GPT(config).load_state_dict(child)


@pytest.mark.parametrize("operator", OPERATORS)
def test_parent_and_child_share_no_storage(
    tiny_config: Callable[..., GPTConfig], tiny_model: Callable[..., GPT], operator: str
) -> None:
    parent = tiny_model(tiny_config()).state_dict()
    before = {name: tensor.clone() for name, tensor in parent.items()}
    child = grow_weights(parent, OPERATORS[operator](2, 6))
    places = [tensor.data_ptr() for tensor in (*parent.values(), *child.values())]
    assert len(set(places)) == len(places)
    for tensor in child.values():
        tensor.fill_(7.0)
    assert all(torch.equal(parent[name], before[name]) for name in parent)


def test_growing_draws_nothing(
    tiny_config: Callable[..., GPTConfig], tiny_model: Callable[..., GPT]
) -> None:
    parent = tiny_model(tiny_config()).state_dict()
    state = torch.get_rng_state()
    first, second = (grow_weights(parent, insert(2, 5)) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("changes", GRID, ids=lambda changes: "-".join(map(str, changes.values())))
@torch.no_grad()
def test_insert_moves_no_bit_of_any_logit(
    *,
    tiny_config: Callable[..., GPTConfig],
    tiny_model: Callable[..., GPT],
    grown: Callable[..., GPT],
    some_ids: Callable[..., Tensor],
    changes: dict[str, Any],
    dtype: torch.dtype,
) -> None:
    parent = tiny_model(tiny_config(**changes), dtype=dtype)
    child = grown(parent, insert(2, 5))
    ids = some_ids(2, 16)
    logits = parent.logits(ids)
    assert logits.isfinite().all()
    assert (logits - child.logits(ids)).abs().max() == 0.0


@pytest.mark.parametrize("layers", [2, 3, 4, 9])
@torch.no_grad()
def test_insert_is_exact_for_any_number_of_layers(
    *,
    tiny_config: Callable[..., GPTConfig],
    tiny_model: Callable[..., GPT],
    grown: Callable[..., GPT],
    some_ids: Callable[..., Tensor],
    layers: int,
) -> None:
    parent, ids = tiny_model(tiny_config(layers=2)), some_ids(1, 16)
    assert torch.equal(grown(parent, insert(2, layers)).logits(ids), parent.logits(ids))


@pytest.mark.parametrize("operator", [interleave, stack])
@torch.no_grad()
def test_copies_that_are_heard_change_the_function(
    *,
    tiny_config: Callable[..., GPTConfig],
    tiny_model: Callable[..., GPT],
    grown: Callable[..., GPT],
    some_ids: Callable[..., Tensor],
    operator: Callable[[int, int], DepthPlan],
) -> None:
    parent, ids = tiny_model(tiny_config()), some_ids(1, 16)
    child = grown(parent, operator(2, 4))
    assert (child.logits(ids) - parent.logits(ids)).abs().max() > 1e-3


def test_without_its_silent_layers_an_inserted_child_is_its_parent(
    tiny_config: Callable[..., GPTConfig], tiny_model: Callable[..., GPT]
) -> None:
    parent = tiny_model(tiny_config(layers=3)).state_dict()
    plan = insert(3, 7)
    heard = [layer for layer in range(7) if layer not in plan.silent]
    back: dict[str, Tensor] = {}
    for name, tensor in grow_weights(parent, plan).items():
        layer, inner = split_name(name)
        if layer is None:
            back[name] = tensor
        elif layer in heard:
            back[f"layers.{heard.index(layer)}.{inner}"] = tensor
    assert set(back) == set(parent)
    assert all(torch.equal(back[name], parent[name]) for name in parent)


def test_a_weight_outside_the_layers_goes_to_the_child_once() -> None:
    assert list(child_names("norm.weight", insert(2, 5))) == [("norm.weight", None)]


def test_a_layers_weight_goes_to_each_of_its_copies() -> None:
    assert list(child_names("layers.0.mlp.up.bias", stack(2, 5))) == [
        ("layers.0.mlp.up.bias", 0),
        ("layers.2.mlp.up.bias", 2),
        ("layers.4.mlp.up.bias", 4),
    ]


@pytest.mark.parametrize("activation", ["gelu", "swiglu"])
def test_a_silent_layer_learns_at_its_outputs_first(
    *,
    tiny_config: Callable[..., GPTConfig],
    tiny_model: Callable[..., GPT],
    grown: Callable[..., GPT],
    some_ids: Callable[..., Tensor],
    activation: str,
) -> None:
    plan = insert(2, 4)
    child = grown(tiny_model(tiny_config(activation=activation), dtype=torch.float64), plan)
    loss_of(child, some_ids(2, 17)).backward()
    for name, parameter in child.named_parameters():
        assert parameter.grad is not None
        in_silence = split_name(name)[0] in plan.silent
        # A key's bias shifts every score of a query alike, so its gradient is zero anywhere.
        if in_silence and not is_layer_output(name):
            assert not parameter.grad.any(), name
        elif not name.endswith("key.bias"):
            assert parameter.grad[:61].any(), name


def test_a_silent_layer_is_alive_and_parts_from_its_neighbour(
    tiny_config: Callable[..., GPTConfig],
    tiny_model: Callable[..., GPT],
    grown: Callable[..., GPT],
    some_ids: Callable[..., Tensor],
) -> None:
    plan = insert(1, 3)
    assert plan.silent == (1, 2)
    child = grown(tiny_model(tiny_config(layers=1), dtype=torch.float64), plan)
    first = {name: tensor.clone() for name, tensor in child.state_dict().items()}
    train(child, some_ids(4, 17), steps=20)
    state = child.state_dict()
    for inner in ("attention.value.weight", "attention.output.weight", "mlp.up.weight"):
        one, two = state[f"layers.1.{inner}"], state[f"layers.2.{inner}"]
        assert (one - first[f"layers.1.{inner}"]).abs().max() > 1e-3
        assert (one - two).abs().max() > 1e-4


def test_a_layer_of_zeros_only_would_be_dead(
    tiny_config: Callable[..., GPTConfig],
    tiny_model: Callable[..., GPT],
    grown: Callable[..., GPT],
    some_ids: Callable[..., Tensor],
) -> None:
    child = grown(tiny_model(tiny_config(linear_bias=False)), insert(2, 3))
    silent = child.layers[1]
    with torch.no_grad():
        for parameter in silent.parameters():
            if parameter.dim() > 1:
                parameter.zero_()
    loss_of(child, some_ids(2, 17)).backward()
    assert all(
        parameter.grad is not None and not parameter.grad.any()
        for parameter in silent.parameters()
        if parameter.dim() > 1
    )


def test_with_copied_moments_the_old_layers_take_the_parents_own_next_step(
    tiny_config: Callable[..., GPTConfig],
    tiny_model: Callable[..., GPT],
    grown: Callable[..., GPT],
    some_ids: Callable[..., Tensor],
) -> None:
    """Law C: the gradients of the old layers are unchanged, so their whole step is."""
    parent = tiny_model(tiny_config(layers=2), dtype=torch.float64)
    parent_optimizer = train(parent, some_ids(4, 17), steps=3)
    plan = insert(2, 4)
    child = grown(parent, plan)
    child_optimizer = adamw(child, SETTINGS)
    state = state_tensors(parent, parent_optimizer)
    load_state_tensors(child, child_optimizer, grow_moments(state, plan, mode="copy"))
    before = {name: tensor.clone() for name, tensor in child.state_dict().items()}
    fresh_ids = some_ids(6, 17).flip(0)
    for model, optimizer in ((parent, parent_optimizer), (child, child_optimizer)):
        optimizer.zero_grad()
        loss_of(model, fresh_ids).backward()
        optimizer.step()
    heard = [layer for layer in range(4) if layer not in plan.silent]
    for name, tensor in parent.state_dict().items():
        layer, inner = split_name(name)
        ours = name if layer is None else f"layers.{heard[layer]}.{inner}"
        assert (child.state_dict()[ours] - tensor).abs().max() <= 1e-14, name
        assert not torch.equal(tensor, before[ours]), name
    # A new layer's first update is one learning rate long, whatever its gradient.
    first = child.state_dict()["layers.1.mlp.down.weight"].abs()
    torch.testing.assert_close(first, torch.full_like(first, 1e-3), rtol=1e-2, atol=0)
