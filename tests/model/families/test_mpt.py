"""MPT's layout, in which growlm's own models leave: slopes, and what it has no place for."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from growlm.base.errors import CheckpointError
from growlm.model.attention import alibi_slopes
from growlm.model.config import GPTConfig
from growlm.model.families.family import misfits, read_config, write_config
from growlm.model.families.mpt import MPT


def test_the_slopes_are_ours_for_any_number_of_heads(transformers: Any) -> None:
    build = transformers.models.mpt.modeling_mpt.build_mpt_alibi_tensor
    for heads in range(1, 129):
        theirs_H1T = build(heads, 3)
        # A step back costs one slope; both are powers of two, theirs computed in fp32.
        torch.testing.assert_close(-theirs_H1T[:, 0, 1], alibi_slopes(heads), rtol=1e-6, atol=0)
        assert not theirs_H1T[:, 0, 2].any()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("attn_config.alibi", False, "to be true; got false: positions without ALiBi"),
        ("attn_config.alibi_bias_max", 16, "to be 8; got 16: other slopes of ALiBi"),
        ("attn_config.clip_qkv", 6, "to be null; got 6: clipped queries, keys and values"),
        ("attn_config.softmax_scale", 0.1, "to be null; got 0.1: attention that is scaled"),
        ("attn_config.qk_ln", True, "to be false; got true: LayerNorm over queries and keys"),
        ("attn_config.prefix_lm", True, "to be false; got true: a prefix that sees ahead"),
        ("attn_config.attn_type", "multiquery_attention", "got .*: shared keys and values"),
        ("no_bias", False, "to be true; got false: biases, for which"),
        ("expansion_ratio", 2, "to be 4; got 2: an MLP that is not four times as wide"),
        ("norm_type", "rmsnorm", 'to be "low_precision_layernorm"; got "rmsnorm": another norm'),
        ("logit_scale", "inv_sqrt_d_model", 'to be null; got "inv_sqrt_d_model": scaled logits'),
    ],
)
def test_what_ours_has_no_place_for_is_refused(
    their_values: Callable[..., dict[str, Any]], name: str, value: Any, words: str
) -> None:
    values = their_values("mpt", **{name: value})
    with pytest.raises(CheckpointError, match=rf"config\.json: expected {name} .*{words}"):
        read_config(MPT, values)


def test_a_config_without_its_part_on_attention_has_alibi(
    their_values: Callable[..., dict[str, Any]],
) -> None:
    values = their_values("mpt")
    del values["attn_config"]
    assert read_config(MPT, values).positions == "alibi"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"qkv_bias": True}, "qkv_bias=true where it has false"),
        ({"output_bias": True}, "output_bias=true where it has false"),
        ({"mlp_bias": True}, "mlp_bias=true where it has false"),
        ({"norm_bias": True}, "norm_bias=true where it has false"),
        ({"norm": "rmsnorm"}, 'norm="rmsnorm" where it has "layernorm"'),
        ({"activation": "swiglu"}, 'activation="swiglu" where it has "gelu"'),
        ({"activation": "gelu-tanh"}, 'activation="gelu-tanh" where it has "gelu"'),
        ({"kv_heads": 1}, "kv_heads=1 where it has 2"),
        ({"head_width": 6}, "head_width=6 where it has 8"),
        ({"mlp": 48}, "mlp=48 where it has 64"),
        ({"qk_norm": True}, "qk_norm=true where it has false"),
        ({"parallel": True}, "parallel=true where it has false"),
        ({"positions": "rotary"}, 'positions="rotary" where it has "alibi"'),
        ({"tied": False}, "tied=false where it has true"),
        ({"norm_eps": 1e-6}, "norm_eps=1e-06 where it has 1e-05"),
        ({"heads": 3, "kv_heads": 3, "head_width": 5}, "where it wants d_model to be a multiple"),
    ],
)
def test_a_model_that_it_cannot_hold_is_refused_with_the_reason(
    held_config: Callable[..., GPTConfig], changes: dict[str, Any], reason: str
) -> None:
    (found,) = misfits(MPT, held_config("mpt", **changes))
    assert reason in found


def test_every_reason_is_named(held_config: Callable[..., GPTConfig]) -> None:
    reasons = misfits(MPT, held_config("mpt", qkv_bias=True, norm="rmsnorm", mlp=48))
    assert [each.split("=")[0] for each in reasons] == ["mlp", "norm", "qkv_bias"]
    reasons = misfits(MPT, held_config("mpt", heads=3, kv_heads=3, head_width=5, norm="rmsnorm"))
    assert [each.split(" where ")[0] for each in reasons] == ["16 and 3", 'norm="rmsnorm"']


def test_the_context_asked_for_is_the_longest_input(
    held_config: Callable[..., GPTConfig],
) -> None:
    config = held_config("mpt")
    assert write_config(MPT, config, context=4_096)["max_seq_len"] == 4_096
    assert write_config(MPT, config, context=16)["max_seq_len"] == 16
