"""Shapes that fit, and the refusal of those that do not."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from growlm.base.errors import RecipeError
from growlm.model.config import GPTConfig, RotaryScaling, head_width_of, padded


def test_a_shape_comes_back_from_its_dictionary(tiny_config: Callable[..., GPTConfig]) -> None:
    config = tiny_config(kv_heads=1, rotary_base=500.0, rotary_share=0.5, qk_norm=True)
    assert GPTConfig.from_dict(config.as_dict()) == config
    scaling = RotaryScaling(factor=8.0, low=1.0, high=4.0, context=8)
    scaled = replace(config, rotary_scaling=scaling)
    assert GPTConfig.from_dict(json.loads(json.dumps(scaled.as_dict()))) == scaled


def test_a_shape_without_scaling_does_not_mention_it(tiny_config: Callable[..., GPTConfig]) -> None:
    assert "rotary_scaling" not in tiny_config().as_dict()


@pytest.mark.parametrize("change", [{"factor": 0.5}, {"low": 0.0}, {"high": 1.0}, {"context": 0}])
def test_a_scaling_out_of_order_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match="factor >= 1, 0 < low < high and context >= 1; got"):
        replace(RotaryScaling(factor=8.0, low=1.0, high=4.0, context=8), **change)


def test_attention_may_be_wider_than_the_residual_stream(
    tiny_config: Callable[..., GPTConfig],
) -> None:
    config = tiny_config(width=16, heads=4, kv_heads=2, head_width=8)
    assert (config.attention_width, config.kv_width) == (32, 16)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"heads": 12, "kv_heads": 5},
            "heads to be a multiple of kv_heads; got heads=12, kv_heads=5. Try kv_heads=4.",
        ),
        (
            {"heads": 4, "kv_heads": 8},
            "heads to be a multiple of kv_heads; got heads=4, kv_heads=8. Try kv_heads=4.",
        ),
        (
            {"positions": "rotary", "head_width": 7},
            "rotary positions to turn pairs, so an even head_width; got head_width=7. "
            "Try head_width=8.",
        ),
        (
            {"positions": "rotary", "head_width": 12, "rotary_share": 0.25},
            "rotary positions to turn pairs, so an even share of head_width; "
            "got rotary_share=0.25 of head_width=12. Try rotary_share=0.166667, or a multiple of "
            "it.",
        ),
        (
            {"positions": "rotary", "head_width": 8, "rotary_share": 1.5},
            "rotary positions to turn pairs, so an even share of head_width; "
            "got rotary_share=1.5 of head_width=8. Try rotary_share=0.25, or a multiple of it.",
        ),
        (
            {"vocab_size": 300, "padded_vocab_size": 256},
            "the embedding to have a row for every token; got vocab_size=300, rows=256. "
            "Try padded_vocab_size=384.",
        ),
    ],
)
def test_sizes_that_do_not_fit_are_refused_with_ones_that_do(
    tiny_config: Callable[..., GPTConfig], changes: dict[str, object], words: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        tiny_config(**changes)
    assert str(caught.value) == f"expected {words}"


def test_an_odd_head_width_is_fine_without_rotary(tiny_config: Callable[..., GPTConfig]) -> None:
    assert tiny_config(positions="alibi", head_width=7).attention_width == 14


@pytest.mark.parametrize(("share", "width"), [(1.0, 64), (0.25, 16), (0.5, 32)])
def test_the_width_that_rotary_turns_is_rounded_down(
    tiny_config: Callable[..., GPTConfig], share: float, width: int
) -> None:
    config = tiny_config(positions="rotary", head_width=64, rotary_share=share)
    assert config.rotary_width == width


@given(st.integers(1, 10**6))
def test_padding_is_the_next_multiple_of_128(vocab_size: int) -> None:
    assert padded(vocab_size) % 128 == 0
    assert 0 <= padded(vocab_size) - vocab_size < 128


def test_the_field_pads_50277_to_50304() -> None:
    assert padded(50_277) == 50_304


def test_heads_fill_the_width() -> None:
    assert head_width_of(1_536, 12) == 128


@pytest.mark.parametrize(("width", "heads", "fix"), [(33, 2, 32), (2, 3, 3), (100, 12, 96)])
def test_heads_that_do_not_divide_the_width_are_refused(width: int, heads: int, fix: int) -> None:
    words = f"width to be a multiple of heads; got width={width}, heads={heads}. Try width={fix}."
    with pytest.raises(RecipeError) as caught:
        head_width_of(width, heads)
    assert str(caught.value) == f"expected {words}"
