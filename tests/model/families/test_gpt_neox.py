"""GPT-NeoX's layout: parts of heads are turned, layers are parallel or not."""

from collections.abc import Callable
from typing import Any

import pytest

from growlm.base.errors import CheckpointError
from growlm.model.config import GPTConfig
from growlm.model.families.family import misfits, read_config
from growlm.model.families.gpt_neox import GPT_NEOX


def test_pythias_config_is_read_as_it_was_published() -> None:
    published = {
        "model_type": "gpt_neox",
        "architectures": ["GPTNeoXForCausalLM"],
        "hidden_act": "gelu",
        "hidden_size": 512,
        "intermediate_size": 2048,
        "layer_norm_eps": 1e-05,
        "max_position_embeddings": 2048,
        "num_attention_heads": 8,
        "num_hidden_layers": 6,
        "rotary_emb_base": 10000,
        "rotary_pct": 0.25,
        "tie_word_embeddings": False,
        "use_parallel_residual": True,
        "vocab_size": 50304,
    }
    config = read_config(GPT_NEOX, published)
    assert (config.parallel, config.tied, config.rotary_width) == (True, False, 16)
    assert (config.qkv_bias, config.output_bias, config.mlp_bias) == (True, True, True)
    assert (config.activation, config.kv_heads) == ("gelu", 8)


def test_the_share_is_read_where_old_and_new_configs_have_it(
    their_values: Callable[..., dict[str, Any]],
) -> None:
    values = their_values("gpt_neox", rotary_pct=0.5)
    assert read_config(GPT_NEOX, values).rotary_share == 0.5
    values["rope_parameters"] = {"rope_type": "default", "partial_rotary_factor": 1.0}
    assert read_config(GPT_NEOX, values).rotary_share == 1.0


def test_a_share_that_turns_no_pairs_is_refused(
    their_values: Callable[..., dict[str, Any]],
) -> None:
    with pytest.raises(CheckpointError, match="rotary positions to turn pairs"):
        read_config(GPT_NEOX, their_values("gpt_neox", rotary_pct=0.2))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"positions": "alibi"}, 'positions="alibi" where it has "rotary"'),
        ({"mlp_bias": False}, "mlp_bias=false where it has true"),
        ({"output_bias": False}, "qkv_bias=true where it has false"),
        ({"kv_heads": 1}, "kv_heads=1 where it has 2"),
        ({"qk_norm": True}, "qk_norm=true where it has false"),
        ({"activation": "swiglu"}, 'activation="swiglu" where it has "gelu"'),
    ],
)
def test_a_model_that_it_cannot_hold_is_refused_with_the_reason(
    held_config: Callable[..., GPTConfig], changes: dict[str, Any], reason: str
) -> None:
    (found,) = misfits(GPT_NEOX, held_config("gpt_neox", **changes))
    assert reason in found
