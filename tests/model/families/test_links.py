"""Tensors of other layouts: split, joined, found, and refused by their names."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor

from growlm.base.errors import CheckpointError
from growlm.model.config import GPTConfig, padded
from growlm.model.families.family import Family, misfits
from growlm.model.families.links import by_ours, found, join, links, split, to_ours, to_theirs
from growlm.model.families.table import FAMILIES
from growlm.model.gpt import weight_shapes

EVERY = pytest.mark.parametrize("model_type", FAMILIES)


@st.composite
def shapes(draw: Any, family: Family) -> GPTConfig:
    """Return a shape that a family holds."""
    heads, head_width = draw(st.integers(1, 4)), 8 * draw(st.integers(1, 2))
    mine: dict[str, Any] = {
        "kv_heads": draw(st.sampled_from([each for each in (1, 2, 4) if heads % each == 0])),
        "head_width": 2 * draw(st.integers(1, 4)),
        "mlp": draw(st.integers(1, 40)),
        "parallel": draw(st.booleans()),
        "qkv_bias": draw(st.booleans()),
        "mlp_bias": draw(st.booleans()),
        "rotary_share": draw(st.sampled_from([1.0, 0.5, 0.25])),
        "activation": "gelu-tanh",
    }
    mine = {field: value for field, value in mine.items() if field in family.keys}
    if "output_bias" in family.keys:
        mine["output_bias"] = mine["qkv_bias"]
    if "norm" in family.fixed and family.fixed["norm"] == "rmsnorm":
        mine["activation"] = "swiglu"
    vocab_size = draw(st.integers(1, 300))
    sizes: dict[str, Any] = {
        "layers": draw(st.integers(1, 3)),
        "heads": heads,
        "kv_heads": heads,
        "width": heads * head_width,
        "head_width": head_width,
        "mlp": 4 * heads * head_width,
        "context": draw(st.integers(1, 9)),
        "vocab_size": vocab_size,
        "padded_vocab_size": padded(vocab_size),
        "tied": family.narrow.get("tied", draw(st.booleans())),
        "norm_eps": 1e-5,
        "rotary_base": 10_000.0,
        "dropout": 0.0,
        "attention_dropout": 0.0,
    }
    return GPTConfig(**{**sizes, **family.fixed, **mine})


def some_weights(config: GPTConfig) -> dict[str, Tensor]:
    stream = torch.Generator().manual_seed(0)
    return {
        name: torch.randn(shape, generator=stream) for name, shape in weight_shapes(config).items()
    }


def without_padding(name: str, tensor: Tensor, config: GPTConfig) -> Tensor:
    padded_rows = name in {"embedding.weight", "head.weight"}
    return tensor[: config.vocab_size] if padded_rows else tensor


@EVERY
class TestEveryFamily:
    @given(data=st.data())
    @settings(deadline=None, max_examples=20)
    def test_weights_come_back_bit_by_bit(self, model_type: str, data: Any) -> None:
        family = FAMILIES[model_type]
        config = data.draw(shapes(family))
        assert misfits(family, config) == ()
        ours = some_weights(config)
        theirs = to_theirs(family, config, ours)
        back = to_ours(family, config, theirs)
        assert set(back) == set(ours)
        for name, tensor in back.items():
            kept = without_padding(name, tensor, config)
            assert torch.equal(kept, without_padding(name, ours[name], config)), name
            assert not tensor[kept.shape[0] :].any()
        again = to_theirs(family, config, back)
        assert all(torch.equal(again[name], theirs[name]) for name in theirs)

    def test_every_weight_has_one_link(
        self, held_config: Callable[..., GPTConfig], model_type: str
    ) -> None:
        config = held_config(model_type, tied=model_type == "mpt")
        every = links(FAMILIES[model_type], config)
        names = [name for name, _ in by_ours(every)]
        assert sorted(names) == sorted(weight_shapes(config))
        assert len({link.theirs for link in every}) == len(every)

    def test_nothing_is_shared_with_what_it_was_made_of(
        self, held_config: Callable[..., GPTConfig], model_type: str
    ) -> None:
        config = held_config(model_type)
        ours = some_weights(config)
        theirs = to_theirs(FAMILIES[model_type], config, ours)
        back = to_ours(FAMILIES[model_type], config, theirs)
        every = [*ours.values(), *theirs.values(), *back.values()]
        assert len({each.untyped_storage().data_ptr() for each in every}) == len(every)
        assert all(each.is_contiguous() for each in every)

    def test_the_type_of_a_tensor_is_kept(
        self, held_config: Callable[..., GPTConfig], model_type: str
    ) -> None:
        config = held_config(model_type)
        ours = {name: each.bfloat16() for name, each in some_weights(config).items()}
        theirs = to_theirs(FAMILIES[model_type], config, ours)
        back = to_ours(FAMILIES[model_type], config, theirs)
        assert {each.dtype for each in (*theirs.values(), *back.values())} == {torch.bfloat16}

    def test_a_tensor_of_another_shape_is_refused(
        self, held_config: Callable[..., GPTConfig], model_type: str
    ) -> None:
        link = links(FAMILIES[model_type], held_config(model_type))[0]
        words = rf"'{link.theirs}' of shape \[61, 16\], as the config has it; got \[64, 16\]"
        with pytest.raises(CheckpointError, match=words):
            split(link, torch.zeros(64, 16))

    def test_the_names_of_a_whole_model_are_found(
        self, held_config: Callable[..., GPTConfig], model_type: str
    ) -> None:
        family, config = FAMILIES[model_type], held_config(model_type)
        names = [link.theirs for link in links(family, config)]
        buffers = [f"{family.prefix}layers.0{each}" for each in family.buffers]
        which = found(family, config, [*names, *buffers])
        assert [name for _, name in which.links] == names
        assert which.twin is None

    def test_a_trunk_that_was_saved_alone_is_found_without_its_prefix(
        self, held_config: Callable[..., GPTConfig], model_type: str
    ) -> None:
        family, config = FAMILIES[model_type], held_config(model_type)
        names = [link.theirs.removeprefix(family.prefix) for link in links(family, config)]
        assert [name for _, name in found(family, config, names).links] == names

    def test_a_missing_tensor_is_named(
        self, held_config: Callable[..., GPTConfig], model_type: str
    ) -> None:
        family, config = FAMILIES[model_type], held_config(model_type)
        *names, last = [link.theirs for link in links(family, config)]
        with pytest.raises(CheckpointError, match=rf"every tensor of .*; got none called '{last}'"):
            found(family, config, names)
        words = rf"got none called '{names[1]}', .* and \d+ more\. Try the whole folder"
        with pytest.raises(CheckpointError, match=words):
            found(family, config, names[:1])

    def test_tensors_in_another_layout_are_named_beside_what_is_missing(
        self, held_config: Callable[..., GPTConfig], model_type: str
    ) -> None:
        family, config = FAMILIES[model_type], held_config(model_type)
        *names, last = [link.theirs for link in links(family, config)]
        words = rf"got none called '{last}', but 'fused\.0\.weight', 'fused\.1\.weight'\. Try"
        with pytest.raises(CheckpointError, match=words):
            found(family, config, [*names, "fused.0.weight", "fused.1.weight"])

    def test_a_tensor_too_many_is_named(
        self, held_config: Callable[..., GPTConfig], model_type: str
    ) -> None:
        family, config = FAMILIES[model_type], held_config(model_type)
        names = [link.theirs for link in links(family, config)]
        with pytest.raises(CheckpointError, match=r"has and no other; got 'score.weight' too"):
            found(family, config, [*names, "score.weight"])


@pytest.mark.parametrize("model_type", ["gpt2", "gpt_neox", "llama"])
def test_a_head_that_is_missing_or_one_too_many_is_told_as_a_tie(
    held_config: Callable[..., GPTConfig], model_type: str
) -> None:
    family = FAMILIES[model_type]
    tied, untied = (held_config(model_type, tied=tied) for tied in (True, False))
    names = [link.theirs for link in links(family, untied)]
    head = names.pop()
    with pytest.raises(
        CheckpointError, match=f"none called '{head}', though tie_word_embeddings is false"
    ):
        found(family, untied, names)
    assert found(family, tied, names).twin is None
    which = found(family, tied, [*names, head])
    assert which.twin == head
    assert head not in [name for _, name in which.links]


def test_a_link_of_one_is_a_copy_and_of_several_is_dealt_in_blocks(
    held_config: Callable[..., GPTConfig],
) -> None:
    config = held_config("gpt_neox", heads=2, kv_heads=2, head_width=8)
    every = {link.theirs: link for link in links(FAMILIES["gpt_neox"], config)}
    link = every["gpt_neox.layers.1.attention.query_key_value.bias"]
    assert link.ours == tuple(
        f"layers.1.attention.{each}.bias" for each in ("query", "key", "value")
    )
    parts = split(link, torch.arange(48.0))
    query, key, value = (parts[name].tolist() for name in link.ours)
    assert query == [*range(8), *range(24, 32)]
    assert key == [*range(8, 16), *range(32, 40)]
    assert value == [*range(16, 24), *range(40, 48)]
    assert torch.equal(join(link, parts), torch.arange(48.0))
