"""Every family against transformers, both ways, and the choice of one."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from growlm.base.errors import CheckpointError
from growlm.model.config import GPTConfig
from growlm.model.cost import parameters
from growlm.model.families.family import misfits, read_config, write_config
from growlm.model.families.links import found, to_ours, to_theirs
from growlm.model.families.table import FAMILIES, REASONS, family_for, family_of, holders
from growlm.model.gpt import GPT, with_weights

SIZES = {"num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 4, "vocab_size": 61}
MLP = {**SIZES, "intermediate_size": 40, "max_position_embeddings": 16}
GROUPED = {**MLP, "num_key_value_heads": 2}
SCALED = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 0.1,
    "high_freq_factor": 1.0,
    "original_max_position_embeddings": 8,
}
"""Of four pairs with a base of 500, one stays as it is, one is slowed in part, two by all of it."""
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2": ("gpt2", {"n_layer": 2, "n_embd": 32, "n_head": 4, "n_positions": 16}),
    "gpt2-untied-gelu": (
        "gpt2",
        {
            "n_layer": 2,
            "n_embd": 32,
            "n_head": 2,
            "n_positions": 16,
            "n_inner": 24,
            "activation_function": "gelu",
            "tie_word_embeddings": False,
        },
    ),
    "neox": ("gpt_neox", {**MLP, "num_attention_heads": 2}),
    "neox-sequential-tied": (
        "gpt_neox",
        {**MLP, "use_parallel_residual": False, "rotary_pct": 1.0, "tie_word_embeddings": True},
    ),
    "neox-no-attention-bias": (
        "gpt_neox",
        {
            **MLP,
            "num_attention_heads": 2,
            "attention_bias": False,
            "hidden_act": "gelu_new",
            "rotary_pct": 0.5,
            "rotary_emb_base": 50,
        },
    ),
    "neox-scaled": (
        "gpt_neox",
        {**MLP, "rotary_pct": 1.0, "rotary_emb_base": 500.0, "rope_scaling": SCALED},
    ),
    "llama": ("llama", GROUPED),
    "llama-tied-whole": (
        "llama",
        {**MLP, "tie_word_embeddings": True, "rope_theta": 500.0, "rms_norm_eps": 1e-5},
    ),
    "llama-3": ("llama", {**GROUPED, "rope_theta": 500.0, "rope_scaling": SCALED}),
    "llama-biases-wide": (
        "llama",
        {**GROUPED, "attention_bias": True, "mlp_bias": True, "head_dim": 12},
    ),
    "mistral": ("mistral", {**GROUPED, "sliding_window": None, "head_dim": 6}),
    "qwen2": ("qwen2", {**GROUPED, "tie_word_embeddings": True}),
    "qwen2-wide": ("qwen2", {**MLP, "num_key_value_heads": 1, "head_dim": 10}),
    "qwen3": ("qwen3", {**GROUPED, "head_dim": 10, "tie_word_embeddings": True}),
    "qwen3-biases": ("qwen3", {**GROUPED, "head_dim": 8, "attention_bias": True}),
    "mpt": ("mpt", {"d_model": 32, "n_heads": 4, "n_layers": 2, "max_seq_len": 16}),
    "mpt-6": ("mpt", {"d_model": 48, "n_heads": 6, "n_layers": 1, "max_seq_len": 16}),
}
RELATIVE = 1e-5
"""Difference of logits allowed in fp32, against the largest of them: sums in another order."""


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, transformers: Any) -> Any:
    """Return a random model of transformers, every one of whose weights matters."""
    model_type, changes = CASES[request.param]
    ids = {"bos_token_id": None, "eos_token_id": None}
    config = transformers.AutoConfig.for_model(model_type, **{"vocab_size": 61, **ids, **changes})
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    stream = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, generator=stream)
        parameter.data = 0.1 * noise + (1.0 if parameter.dim() == 1 else 0.0)
    return model


def read(folder: Path) -> tuple[Any, GPTConfig, dict[str, Tensor]]:
    values = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    family = family_of(values)
    return family, read_config(family, values), load_file(folder / "model.safetensors")


def check_logits(theirs: Any, ours: GPT) -> None:
    ids = torch.randint(0, 61, (2, 16), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected, got = theirs(ids).logits, ours.logits(ids)
    assert expected.shape == got.shape
    assert expected.abs().max() > 0.3
    assert (expected - got).abs().max() <= RELATIVE * expected.abs().max()


class TestEveryCase:
    def test_their_model_is_ours(self, case: Any, tmp_path: Path) -> None:
        case.save_pretrained(tmp_path)
        family, config, tensors = read(tmp_path)
        assert found(family, config, set(tensors)).twin is None
        check_logits(case, with_weights(config, to_ours(family, config, tensors)).eval())

    def test_what_was_theirs_goes_back_bit_by_bit(self, case: Any, tmp_path: Path) -> None:
        case.save_pretrained(tmp_path)
        family, config, tensors = read(tmp_path)
        back = to_theirs(family, config, to_ours(family, config, tensors))
        assert set(back) == set(tensors)
        assert all(torch.equal(back[name], tensors[name]) for name in tensors)

    def test_our_model_is_theirs(
        self, case: Any, *, tmp_path: Path, transformers: Any, tiny_model: Callable[..., GPT]
    ) -> None:
        case.save_pretrained(tmp_path)
        family, config, _ = read(tmp_path)
        ours = tiny_model(config, seed=5).eval()
        folder = tmp_path / "ours"
        folder.mkdir()
        tensors = to_theirs(family, config, ours.state_dict())
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        values = write_config(family, config, context=16)
        (folder / "config.json").write_text(json.dumps(values), encoding="utf-8")
        theirs, loading = transformers.AutoModelForCausalLM.from_pretrained(
            folder, output_loading_info=True
        )
        assert not any(loading.values()), loading
        check_logits(theirs, ours)
        unpadded = replace(config, padded_vocab_size=config.vocab_size)
        assert theirs.num_parameters() == parameters(unpadded)

    def test_a_family_that_holds_it_is_its_own(self, case: Any, tmp_path: Path) -> None:
        case.save_pretrained(tmp_path)
        family, config, _ = read(tmp_path)
        assert family in holders(config)
        assert family_for(config, family.model_type) is family


@pytest.mark.parametrize("model_type", REASONS)
def test_a_family_that_is_known_but_has_no_place_here_is_refused_with_the_reason(
    model_type: str,
) -> None:
    words = f'model_type to be one of gpt2, .*; got "{model_type}": {REASONS[model_type]}'
    with pytest.raises(CheckpointError, match=words):
        family_of({"model_type": model_type})


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "config.json: expected model_type to be one of .*; got none"),
        ({"model_type": "zebra"}, 'got "zebra". Try a model of one of these families'),
        ({"model_type": ["mpt"]}, r"got \['mpt'\]"),
        ({"model_type": "zebra", "auto_map": {}}, "code of its own, which is never run"),
    ],
)
def test_a_family_that_is_not_known_is_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(CheckpointError, match=words):
        family_of(values)


def test_code_beside_a_model_of_a_known_family_is_left_alone() -> None:
    values = {"model_type": "mpt", "auto_map": {"AutoModelForCausalLM": "modeling_mpt.MPT"}}
    assert family_of(values) is FAMILIES["mpt"]


def test_our_own_alibi_model_leaves_as_mpt(held_config: Callable[..., GPTConfig]) -> None:
    assert family_for(held_config("mpt"), None) is FAMILIES["mpt"]


def test_of_several_that_hold_a_model_the_first_is_taken_unless_another_is_asked_for(
    held_config: Callable[..., GPTConfig],
) -> None:
    config = held_config("llama")
    assert [each.model_type for each in holders(config)] == ["llama", "mistral"]
    assert family_for(config, None).model_type == "llama"
    assert family_for(config, "mistral").model_type == "mistral"


def test_a_model_that_no_family_holds_is_refused_with_the_nearest_ones_reasons(
    held_config: Callable[..., GPTConfig],
) -> None:
    config = held_config("mpt", qkv_bias=True)
    words = (
        r"a family that holds this model; got qkv_bias=true where it has false "
        r"\(MPT, the nearest\)\. Try another shape of model"
    )
    with pytest.raises(CheckpointError, match=words):
        family_for(config, None)
    assert all(misfits(family, config) for family in FAMILIES.values())


def test_the_nearest_family_is_one_of_the_same_positions(
    held_config: Callable[..., GPTConfig],
) -> None:
    reference = held_config("mpt", linear_bias=True, norm_bias=True)
    with pytest.raises(CheckpointError, match=r"norm_bias=true where it has false \(MPT, the near"):
        family_for(reference, None)


def test_a_family_that_cannot_hold_a_model_gives_way_to_one_that_can(
    held_config: Callable[..., GPTConfig],
) -> None:
    words = r'GPT-2 to hold it; got positions="alibi" where .*\(GPT-2\)\. Try --family mpt'
    with pytest.raises(CheckpointError, match=words):
        family_for(held_config("mpt"), "gpt2")


def test_a_misspelt_family_is_answered_with_the_nearest(
    held_config: Callable[..., GPTConfig],
) -> None:
    with pytest.raises(CheckpointError, match=r"a family, one of .*; got 'lama'\. Try llama"):
        family_for(held_config("llama"), "lama")
