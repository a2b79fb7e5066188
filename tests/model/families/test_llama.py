"""Llama's layout and its look-alikes': what each of their configs decides."""

from collections.abc import Callable
from typing import Any

import pytest

from growlm.base.errors import CheckpointError
from growlm.model.config import GPTConfig
from growlm.model.families.family import misfits, read_config
from growlm.model.families.llama import LLAMA, MISTRAL, QWEN2, QWEN3
from growlm.model.families.table import FAMILIES


@pytest.mark.parametrize("model_type", ["llama", "mistral", "qwen2", "qwen3"])
@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("hidden_act", "gelu", 'to be one of silu, swish; got "gelu"'),
        ("partial_rotary_factor", 0.5, "to be 1.0; got 0.5: rotary positions in a part"),
        ("rope_parameters.partial_rotary_factor", 0.5, "to be 1.0; got 0.5: rotary positions in"),
        ("rms_norm_eps", "1e-6", 'to be a number; got "1e-6"'),
    ],
)
def test_what_ours_has_no_place_for_is_refused(
    *,
    their_values: Callable[..., dict[str, Any]],
    model_type: str,
    name: str,
    value: Any,
    words: str,
) -> None:
    with pytest.raises(CheckpointError, match=f"config.json: expected {name} {words}"):
        read_config(FAMILIES[model_type], their_values(model_type, **{name: value}))


@pytest.mark.parametrize(
    ("model_type", "name", "value"),
    [
        ("mistral", "sliding_window", 4096),
        ("qwen2", "use_sliding_window", True),
        ("qwen3", "use_sliding_window", True),
    ],
)
def test_a_sliding_window_is_refused(
    their_values: Callable[..., dict[str, Any]], model_type: str, name: str, value: Any
) -> None:
    with pytest.raises(CheckpointError, match=f"{name} to be .*: a sliding window of attention"):
        read_config(FAMILIES[model_type], their_values(model_type, **{name: value}))


def test_a_mistral_that_does_not_speak_of_its_window_has_one(
    their_values: Callable[..., dict[str, Any]],
) -> None:
    values = their_values("mistral")
    del values["sliding_window"]
    with pytest.raises(CheckpointError, match="to be null; got 4096 by default: a sliding window"):
        read_config(MISTRAL, values)


def test_smollm2_is_read_as_it_was_published() -> None:
    published = {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "hidden_act": "silu",
        "hidden_size": 576,
        "intermediate_size": 1536,
        "is_llama_config": True,
        "max_position_embeddings": 8192,
        "mlp_bias": False,
        "model_type": "llama",
        "num_attention_heads": 9,
        "num_hidden_layers": 30,
        "num_key_value_heads": 3,
        "pretraining_tp": 1,
        "rms_norm_eps": 1e-05,
        "rope_interleaved": False,
        "rope_scaling": None,
        "rope_theta": 100000,
        "tie_word_embeddings": True,
        "vocab_size": 49152,
    }
    config = read_config(LLAMA, published)
    assert (config.heads, config.kv_heads, config.head_width) == (9, 3, 64)
    assert (config.rotary_base, config.tied, config.activation) == (100_000.0, True, "swiglu")


def test_as_many_groups_as_heads_where_a_config_does_not_say(
    their_values: Callable[..., dict[str, Any]],
) -> None:
    values = their_values("llama", head_dim=None)
    del values["num_key_value_heads"]
    config = read_config(LLAMA, values)
    assert (config.kv_heads, config.head_width) == (config.heads, 4)


def test_each_of_them_has_its_own_biases(their_values: Callable[..., dict[str, Any]]) -> None:
    def biases(model_type: str, **changes: Any) -> tuple[bool, bool, bool]:
        config = read_config(FAMILIES[model_type], their_values(model_type, **changes))
        return config.qkv_bias, config.output_bias, config.mlp_bias

    given = {"attention_bias": True, "mlp_bias": True}
    assert biases("llama", **given) == (True, True, True)
    assert biases("llama", mlp_bias=True) == (False, False, True)
    assert biases("qwen2", **given) == (True, False, False)
    assert biases("qwen3", **given) == (True, True, False)
    assert biases("mistral", **given) == (False, False, False)


@pytest.mark.parametrize(
    ("family", "changes", "reason"),
    [
        (LLAMA, {"norm": "layernorm"}, 'norm="layernorm" where it has "rmsnorm"'),
        (LLAMA, {"activation": "gelu"}, 'activation="gelu" where it has "swiglu"'),
        (LLAMA, {"qkv_bias": True}, "qkv_bias=true where it has false"),
        (LLAMA, {"qk_norm": True}, "qk_norm=true where it has false"),
        (LLAMA, {"rotary_share": 0.5, "head_width": 8}, "rotary_share=0.5 where it has 1.0"),
        (MISTRAL, {"mlp_bias": True}, "mlp_bias=true where it has false"),
        (QWEN2, {}, "qkv_bias=false where it has true"),
        (QWEN3, {}, "qk_norm=false where it has true"),
    ],
)
def test_a_model_that_one_of_them_cannot_hold_is_refused_with_the_reason(
    held_config: Callable[..., GPTConfig], family: Any, changes: dict[str, Any], reason: str
) -> None:
    assert misfits(family, held_config("llama", **changes)) == (reason,)
