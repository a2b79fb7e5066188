"""Norm, MLP and layer, each against its formula."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from growlm.model.config import GPTConfig
from growlm.model.layers import MLP, Layer, Norm


def randn(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def randomized(module: nn.Module) -> None:
    module.double()
    for seed, parameter in enumerate(module.parameters()):
        parameter.data = randn(*parameter.shape, seed=seed + 1)


@pytest.mark.parametrize("norm_bias", [True, False])
@pytest.mark.parametrize("norm", ["layernorm", "rmsnorm"])
def test_a_norm_is_its_formula(
    *, tiny_config: Callable[..., GPTConfig], norm: str, norm_bias: bool
) -> None:
    module = Norm(tiny_config(norm=norm, norm_bias=norm_bias, norm_eps=0.1))
    randomized(module)
    x = randn(2, 3, 16)
    centred = x - x.mean(-1, keepdim=True) if norm == "layernorm" else x
    expected = centred / (centred.square().mean(-1, keepdim=True) + 0.1).sqrt() * module.weight
    if module.bias is not None:
        expected = expected + module.bias
    assert (module.bias is not None) is norm_bias
    torch.testing.assert_close(module(x), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("linear_bias", [True, False])
def test_the_gelu_mlp_is_exact_gelu_and_not_its_approximation(
    *, tiny_config: Callable[..., GPTConfig], linear_bias: bool
) -> None:
    module = MLP(tiny_config(linear_bias=linear_bias))
    randomized(module)
    x = randn(1, 5, 16)
    hidden = module.up(x)
    exact = module.down(hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2))))
    torch.testing.assert_close(module(x), exact, rtol=0, atol=1e-12)
    tanh = module.down(nn.functional.gelu(hidden, approximate="tanh"))
    assert (module(x) - tanh).abs().max() > 1e-4


def test_the_tanh_mlp_is_the_approximation_that_gpt2_uses(
    tiny_config: Callable[..., GPTConfig],
) -> None:
    module = MLP(tiny_config(activation="gelu-tanh"))
    randomized(module)
    x = randn(1, 5, 16)
    hidden = module.up(x)
    inner = math.sqrt(2 / math.pi) * (hidden + 0.044715 * hidden**3)
    expected = module.down(0.5 * hidden * (1 + torch.tanh(inner)))
    torch.testing.assert_close(module(x), expected, rtol=0, atol=1e-12)


def test_the_gated_mlp_multiplies_by_the_gate(tiny_config: Callable[..., GPTConfig]) -> None:
    module = MLP(tiny_config(activation="swiglu"))
    randomized(module)
    x = randn(1, 5, 16)
    assert module.gate is not None
    gate = module.gate(x)
    expected = module.down(gate / (1 + torch.exp(-gate)) * module.up(x))
    torch.testing.assert_close(module(x), expected, rtol=0, atol=1e-11)


def test_a_layer_adds_both_sub_layers_to_the_residual_stream(
    tiny_config: Callable[..., GPTConfig],
) -> None:
    layer = Layer(tiny_config(positions="none"))
    randomized(layer)
    x = randn(1, 5, 16)
    between = x + layer.attention(layer.attention_norm(x), None, None)
    expected = between + layer.mlp(layer.mlp_norm(between))
    assert torch.equal(layer(x, None, None), expected)


def test_a_parallel_layer_gives_both_sub_layers_its_input(
    tiny_config: Callable[..., GPTConfig],
) -> None:
    layer = Layer(tiny_config(positions="none", parallel=True))
    randomized(layer)
    x = randn(1, 5, 16)
    expected = (
        x + layer.attention(layer.attention_norm(x), None, None) + layer.mlp(layer.mlp_norm(x))
    )
    assert torch.equal(layer(x, None, None), expected)


def test_dropout_acts_in_training_only(tiny_config: Callable[..., GPTConfig]) -> None:
    layer = Layer(tiny_config(positions="none", dropout=0.5))
    randomized(layer)
    x = randn(1, 5, 16)
    assert not torch.equal(layer.train()(x, None, None), layer.train()(x, None, None))
    assert torch.equal(layer.eval()(x, None, None), layer.eval()(x, None, None))
