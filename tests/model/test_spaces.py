"""The table of spaces: every weight of every variant is declared."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from growlm.base.errors import GrowthError
from growlm.model.config import GPTConfig
from growlm.model.gpt import GPT
from growlm.model.spaces import axes, is_layer_output, split_name

VARIANTS = [
    {
        "positions": positions,
        "activation": activation,
        "linear_bias": bias,
        "tied": tied,
        "qk_norm": qk_norm,
    }
    for positions, activation, bias, tied, qk_norm in itertools.product(
        ("alibi", "learned"), ("gelu", "swiglu"), (True, False), (True, False), (True, False)
    )
]

OUTPUTS = {
    "attention.output.weight",
    "attention.output.bias",
    "mlp.down.weight",
    "mlp.down.bias",
}


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_every_weight_is_declared_with_as_many_axes_as_it_has(
    tiny_config: Callable[..., GPTConfig], variant: dict[str, Any]
) -> None:
    # Every space gets a size of its own, so that a wrong declaration cannot fit by chance.
    config = tiny_config(
        **variant, heads=6, kv_heads=2, head_width=5, width=24, mlp=40, context=11, layers=1
    )
    sizes = {
        "resid": 24,
        "query": 30,
        "key": 10,
        "value": 10,
        "attended": 30,
        "head_width": 5,
        "mlp": 40,
        "vocab": 64,
        "place": 11,
    }
    for name, tensor in GPT(config).named_parameters():
        assert len(axes(name)) == tensor.dim(), name
        for axis, size in zip(axes(name), tensor.shape, strict=True):
            assert sizes[axis.space] == size, name


def test_a_layer_adds_the_outputs_of_its_two_sub_layers_and_nothing_else(
    tiny_config: Callable[..., GPTConfig],
) -> None:
    names = [name for name, _ in GPT(tiny_config(activation="swiglu")).named_parameters()]
    outputs = {name for name in names if is_layer_output(name)}
    assert outputs == {f"layers.{layer}.{inner}" for layer in (0, 1) for inner in OUTPUTS}


def test_a_name_is_split_at_its_layer() -> None:
    assert split_name("layers.12.mlp_norm.bias") == (12, "mlp_norm.bias")
    assert split_name("head.weight") == (None, "head.weight")


@pytest.mark.parametrize("name", ["layers.0.mlp.gate_up.weight", "lm_head.weight"])
def test_a_weight_that_is_not_declared_is_refused(name: str) -> None:
    with pytest.raises(GrowthError, match=r"table of spaces; got '.*'\. Try a checkpoint that"):
        axes(name)
