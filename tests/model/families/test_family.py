"""Reading and writing other people's configs, and refusing what ours has no place for."""

from collections.abc import Callable
from typing import Any

import pytest

from growlm.base.errors import CheckpointError
from growlm.model.config import GPTConfig, RotaryScaling
from growlm.model.families.family import (
    ABSENT,
    NOT_COMPARED,
    looked_up,
    misfits,
    read_config,
    write_config,
)
from growlm.model.families.table import FAMILIES

LLAMA3 = {
    "rope_type": "llama3",
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
"""As Llama 3.2's config has it."""
ROTARY = [name for name, family in FAMILIES.items() if family.fixed["positions"] == "rotary"]
EVERY = pytest.mark.parametrize("model_type", FAMILIES)


@EVERY
class TestEveryFamily:
    def test_a_shape_that_it_holds_comes_back(
        self, held_config: Callable[..., GPTConfig], model_type: str
    ) -> None:
        family, config = FAMILIES[model_type], held_config(model_type)
        assert misfits(family, config) == ()
        back = read_config(family, write_config(family, config, context=16)).as_dict()
        back["padded_vocab_size"] = 64
        assert back == config.as_dict()

    def test_dropout_and_context_do_not_decide_whether_it_holds_a_model(
        self, held_config: Callable[..., GPTConfig], model_type: str
    ) -> None:
        config = held_config(model_type, dropout=0.3, attention_dropout=0.2, context=32)
        assert misfits(FAMILIES[model_type], config) == ()
        assert {"dropout", "attention_dropout", "context"} <= NOT_COMPARED

    @pytest.mark.parametrize("size", ["layers", "heads", "width", "context", "vocab_size"])
    def test_a_config_without_a_size_is_refused(
        self, their_values: Callable[..., dict[str, Any]], model_type: str, size: str
    ) -> None:
        values = their_values(model_type)
        name = FAMILIES[model_type].keys[size].names[-1]
        del values[name]
        with pytest.raises(CheckpointError) as caught:
            read_config(FAMILIES[model_type], values)
        assert str(caught.value) == (
            f"config.json: expected a size called {name}; got none. "
            "Try the config.json that belongs to the weights."
        )

    @pytest.mark.parametrize("value", [0, -2, 2.0, True, "2", [2]])
    def test_a_size_that_is_none_is_refused(
        self, their_values: Callable[..., dict[str, Any]], model_type: str, value: Any
    ) -> None:
        name = FAMILIES[model_type].keys["layers"].names[-1]
        with pytest.raises(CheckpointError, match=f"{name} to be a whole number above 0; got "):
            read_config(FAMILIES[model_type], their_values(model_type, **{name: value}))

    @pytest.mark.parametrize(
        ("field", "value", "words"),
        [
            ("tied", "yes", 'tie_word_embeddings to be true or false; got "yes"'),
            ("norm_eps", "small", 'to be a number; got "small"'),
        ],
    )
    def test_another_type_is_refused(
        self,
        their_values: Callable[..., dict[str, Any]],
        *,
        model_type: str,
        field: str,
        value: Any,
        words: str,
    ) -> None:
        name = FAMILIES[model_type].keys[field].names[-1]
        with pytest.raises(CheckpointError, match=words):
            read_config(FAMILIES[model_type], their_values(model_type, **{name: value}))

    @pytest.mark.parametrize(
        ("name", "value", "words"),
        [
            ("quantization_config", {"bits": 4}, "to be null; got .*4.*: quantised weights"),
            ("num_experts", 8, "to be null; got 8: a mixture of experts"),
            ("num_local_experts", 8, "to be null; got 8: a mixture of experts"),
            ("n_routed_experts", 64, "to be null; got 64: a mixture of experts"),
            ("is_encoder_decoder", True, "to be false; got true: an encoder"),
        ],
    )
    def test_what_no_family_has_is_refused(
        self,
        their_values: Callable[..., dict[str, Any]],
        *,
        model_type: str,
        name: str,
        value: Any,
        words: str,
    ) -> None:
        with pytest.raises(CheckpointError, match=f"config.json: expected {name} {words}"):
            read_config(FAMILIES[model_type], their_values(model_type, **{name: value}))

    def test_heads_that_do_not_divide_the_width_are_refused(
        self, their_values: Callable[..., dict[str, Any]], model_type: str
    ) -> None:
        family = FAMILIES[model_type]
        width, heads = (family.keys[field].names[-1] for field in ("width", "heads"))
        values = their_values(model_type, **{width: 18, heads: 4})
        values.pop("head_dim", None)
        if model_type == "qwen3":
            assert read_config(family, values).head_width == 128
            return
        with pytest.raises(CheckpointError, match=f"{width} to be a multiple of {heads}; got 18"):
            read_config(family, values)


@pytest.mark.parametrize("model_type", ROTARY)
class TestEveryRotaryFamily:
    @pytest.mark.parametrize(
        ("name", "value", "words"),
        [
            ("rope_scaling", {"type": "linear", "factor": 2.0}, 'got "linear": scaled rotary'),
            ("rope_parameters.rope_type", "yarn", 'got "yarn": scaled rotary positions'),
            ("rope_scaling", {**LLAMA3, "factor": None}, r"rope_scaling\.factor to be a number"),
            ("rope_parameters", {**LLAMA3, "factor": True}, "factor to be a number; got True"),
            ("rope_scaling", {**LLAMA3, "high_freq_factor": 0.5}, "0 < low < high and context"),
            ("rope_parameters.full_attention", {}, "differ from layer to layer"),
        ],
    )
    def test_positions_scaled_by_another_rule_are_refused(
        self,
        their_values: Callable[..., dict[str, Any]],
        *,
        model_type: str,
        name: str,
        value: Any,
        words: str,
    ) -> None:
        with pytest.raises(CheckpointError, match=words):
            read_config(FAMILIES[model_type], their_values(model_type, **{name: value}))

    @pytest.mark.parametrize("name", ["rope_parameters", "rope_scaling"])
    def test_positions_scaled_by_llama_3_are_read_and_written(
        self, their_values: Callable[..., dict[str, Any]], *, model_type: str, name: str
    ) -> None:
        family = FAMILIES[model_type]
        config = read_config(family, their_values(model_type, **{name: LLAMA3}))
        assert config.rotary_scaling == RotaryScaling(factor=32.0, low=1.0, high=4.0, context=8192)
        assert write_config(family, config, context=16)["rope_scaling"] == LLAMA3
        assert misfits(family, config) == ()

    def test_the_base_is_read_where_old_and_new_configs_have_it(
        self, their_values: Callable[..., dict[str, Any]], model_type: str
    ) -> None:
        family = FAMILIES[model_type]
        new, old = family.keys["rotary_base"].names
        assert read_config(family, their_values(model_type, **{old: 500})).rotary_base == 500.0
        both = their_values(model_type, **{old: 500.0, new: 7e5, "rope_scaling": None})
        assert read_config(family, both).rotary_base == 7e5
        neither = their_values(model_type)
        del neither[old]
        assert read_config(family, neither).rotary_base == 10_000.0


def test_learned_positions_are_written_for_as_many_as_were_learned(
    held_config: Callable[..., GPTConfig],
) -> None:
    config = held_config("gpt2")
    words = r"a context of 16: that many positions were learned; got 32\. Try --context 16"
    with pytest.raises(CheckpointError, match=words):
        write_config(FAMILIES["gpt2"], config, context=32)


def test_sizes_that_ours_refuses_are_refused_as_the_configs_fault(
    their_values: Callable[..., dict[str, Any]],
) -> None:
    values = their_values("llama", num_key_value_heads=3)
    words = "config.json: expected heads to be a multiple of kv_heads; got heads=4, kv_heads=3"
    with pytest.raises(CheckpointError, match=words):
        read_config(FAMILIES["llama"], values)


def test_a_name_with_dots_is_looked_up_level_by_level() -> None:
    values = {"a": {"b": None}, "c": 3}
    assert looked_up(values, "a.b") is None
    assert looked_up(values, "c") == 3
    assert looked_up(values, "a.x") is looked_up(values, "c.x") is looked_up(values, "x") is ABSENT
