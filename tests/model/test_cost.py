"""What a shape costs, against the model that is built and the numbers that were published."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from growlm.model.config import GPTConfig
from growlm.model.cost import (
    layer_matrix_parameters,
    non_embedding_parameters,
    parameters,
    training_flops_per_token,
)
from growlm.model.gpt import GPT
from growlm.model.spaces import split_name

GRID = [
    {
        "positions": positions,
        "norm": norm,
        "linear_bias": bias,
        "norm_bias": bias != tied,
        "activation": activation,
        "tied": tied,
        "kv_heads": kv_heads,
    }
    for positions, norm, bias, activation, tied, kv_heads in itertools.product(
        ("alibi", "learned", "rotary", "none"),
        ("layernorm", "rmsnorm"),
        (True, False),
        ("gelu", "swiglu"),
        (True, False),
        (1, 2),
    )
]
OTHERS = [
    {
        "qkv_bias": qkv,
        "output_bias": output,
        "mlp_bias": mlp,
        "qk_norm": qk_norm,
        "norm_bias": qkv != output,
        "parallel": mlp != output,
        "activation": activation,
        "rotary_share": 0.5 if qk_norm else 1.0,
    }
    for qkv, output, mlp, qk_norm, activation in itertools.product(
        (True, False), (True, False), (True, False), (True, False), ("gelu-tanh", "swiglu")
    )
]

REFERENCE: dict[str, Any] = {
    "width": 1_536,
    "heads": 12,
    "kv_heads": 12,
    "head_width": 128,
    "mlp": 6_144,
    "context": 1_024,
    "vocab_size": 50_277,
    "padded_vocab_size": 50_304,
    "positions": "alibi",
}


@pytest.mark.parametrize(
    "changes", [*GRID, *OTHERS], ids=lambda changes: "-".join(map(str, changes.values()))
)
def test_the_formula_counts_what_is_built(
    tiny_config: Callable[..., GPTConfig], changes: dict[str, Any]
) -> None:
    config = tiny_config(head_width=10, **changes)
    counted = {name: tensor.numel() for name, tensor in GPT(config).named_parameters()}
    assert parameters(config) == sum(counted.values())
    outside = ("embedding.weight", "position.weight", "head.weight")
    assert non_embedding_parameters(config) == sum(
        size for name, size in counted.items() if split_name(name)[1] not in outside
    )


@pytest.mark.parametrize(
    ("layers", "millions", "matrices"),
    [(18, 587.2, 509.6), (24, 757.2, 679.5), (36, 1_097.2, 1_019.2)],
)
def test_the_published_models_have_their_published_size(
    tiny_config: Callable[..., GPTConfig], layers: int, millions: float, matrices: float
) -> None:
    config = tiny_config(**REFERENCE, layers=layers, linear_bias=True, norm_bias=True)
    assert round(parameters(config) / 1e6, 1) == millions
    assert round(layers * layer_matrix_parameters(config) / 1e6, 1) == matrices


@pytest.mark.parametrize(
    ("layers", "context", "billions"), [(18, 1_024, 3.691), (24, 1_024, 4.767), (36, 512, 6.749)]
)
def test_the_published_models_cost_what_their_ledger_says(
    tiny_config: Callable[..., GPTConfig], layers: int, context: int, billions: float
) -> None:
    config = tiny_config(**REFERENCE, layers=layers)
    assert round(training_flops_per_token(config, context=context) / 1e9, 3) == billions


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"kv_heads": 1},
        {"activation": "swiglu", "norm": "rmsnorm"},
        {"positions": "rotary", "tied": False},
        {"head_width": 24},
        {"positions": "none", "layers": 5},
        {"qk_norm": True, "parallel": True, "activation": "gelu-tanh"},
        {"positions": "rotary", "rotary_share": 0.5},
    ],
    ids=str,
)
def test_the_formula_counts_what_torch_counts(
    tiny_config: Callable[..., GPTConfig], changes: dict[str, Any]
) -> None:
    config = tiny_config(**changes)
    model = GPT(config)
    ids = torch.randint(0, config.vocab_size, (3, 16), generator=torch.Generator().manual_seed(0))
    # The counter does not know the fused attention of CPUs, only products of matrices.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        hidden = model(ids)
        (hidden @ model.head_weight.T).sum().backward()
    ours = training_flops_per_token(config, context=16, causal=1.0) * ids.numel()
    assert counter.get_total_flops() == ours


def test_the_causal_half_is_half_of_attention_alone(tiny_config: Callable[..., GPTConfig]) -> None:
    config = tiny_config()
    whole = training_flops_per_token(config, context=16, causal=1.0)
    half = training_flops_per_token(config, context=16)
    none = training_flops_per_token(config, context=16, causal=0.0)
    assert whole - half == half - none == 6 * config.layers * config.attention_width * 16
