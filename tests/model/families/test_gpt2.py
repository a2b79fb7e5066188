"""GPT-2's layout: its matrices stand the other way round, and its scales are fixed."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from growlm.base.errors import CheckpointError
from growlm.model.config import GPTConfig
from growlm.model.families.family import misfits, read_config
from growlm.model.families.gpt2 import GPT2
from growlm.model.families.links import links, split


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("scale_attn_weights", False, "to be true; got false: attention that is not divided"),
        ("scale_attn_by_inverse_layer_idx", True, "to be false; got true: attention that is div"),
        ("add_cross_attention", True, "to be false; got true: an encoder"),
        ("activation_function", "relu", 'to be one of gelu_new, .*gelu; got "relu"'),
    ],
)
def test_what_ours_has_no_place_for_is_refused(
    their_values: Callable[..., dict[str, Any]], name: str, value: Any, words: str
) -> None:
    with pytest.raises(CheckpointError, match=f"config.json: expected {name} {words}"):
        read_config(GPT2, their_values("gpt2", **{name: value}))


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("gelu", "gelu"), ("gelu_new", "gelu-tanh"), ("gelu_pytorch_tanh", "gelu-tanh")],
)
def test_each_gelu_is_told_apart(
    their_values: Callable[..., dict[str, Any]], theirs: str, ours: str
) -> None:
    assert read_config(GPT2, their_values("gpt2", activation_function=theirs)).activation == ours


def test_what_the_published_config_leaves_out_is_what_gpt2_has() -> None:
    published = {
        "model_type": "gpt2",
        "n_ctx": 1024,
        "n_embd": 768,
        "n_head": 12,
        "n_layer": 12,
        "n_positions": 1024,
        "vocab_size": 50257,
        "layer_norm_epsilon": 1e-05,
        "attn_pdrop": 0.1,
        "resid_pdrop": 0.1,
    }
    config = read_config(GPT2, published)
    assert (config.mlp, config.activation, config.tied) == (3_072, "gelu-tanh", True)
    assert (config.vocab_size, config.padded_vocab_size) == (50_257, 50_304)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"positions": "alibi"}, 'positions="alibi" where it has "learned"'),
        ({"norm": "rmsnorm"}, 'norm="rmsnorm" where it has "layernorm"'),
        ({"kv_heads": 1}, "kv_heads=1 where it has 2"),
        ({"head_width": 6}, "head_width=6 where it has 8"),
        ({"parallel": True}, "parallel=true where it has false"),
        ({"mlp_bias": False}, "mlp_bias=false where it has true"),
        ({"norm_bias": False}, "norm_bias=false where it has true"),
        ({"activation": "swiglu"}, 'activation="swiglu" where it has "gelu-tanh"'),
    ],
)
def test_a_model_that_it_cannot_hold_is_refused_with_the_reason(
    held_config: Callable[..., GPTConfig], changes: dict[str, Any], reason: str
) -> None:
    (found,) = misfits(GPT2, held_config("gpt2", **changes))
    assert reason in found


def test_its_matrices_are_stored_with_inputs_first(held_config: Callable[..., GPTConfig]) -> None:
    every = {link.theirs: link for link in links(GPT2, held_config("gpt2"))}
    link = every["transformer.h.0.attn.c_attn.weight"]
    assert link.shape == (16, 48)
    joined = torch.arange(16.0 * 48).reshape(16, 48)
    parts = split(link, joined)
    assert torch.equal(parts["layers.0.attention.key.weight"], joined[:, 16:32].T)
    assert every["transformer.h.0.mlp.c_fc.weight"].shape == (16, 32)
    assert every["transformer.h.0.mlp.c_fc.bias"].shape == (32,)
    assert every["transformer.wpe.weight"].shape == (16, 16)
