"""The recipes that are shipped: pinned public text, published shapes, and nothing to download."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from growlm import checkpoint
from growlm.checkpoint import Ancestor, Contents
from growlm.corpus import hub, tokenizer
from growlm.model.config import GPTConfig
from growlm.model.cost import non_embedding_parameters, parameters
from growlm.model.families.family import read_config
from growlm.model.families.gpt_neox import GPT_NEOX
from growlm.model.families.llama import LLAMA
from growlm.pipeline.open import plan_of
from growlm.pipeline.plan import Plan
from growlm.recipe.read import read

RECIPES = Path(__file__).parents[1] / "recipes"
SHIPPED = sorted(RECIPES.glob("*.toml"))
END = "<|endoftext|>"

SMOLLM2 = {
    "hidden_act": "silu",
    "hidden_size": 576,
    "intermediate_size": 1536,
    "max_position_embeddings": 8192,
    "num_attention_heads": 9,
    "num_hidden_layers": 30,
    "num_key_value_heads": 3,
    "rms_norm_eps": 1e-05,
    "rope_theta": 100000,
    "tie_word_embeddings": True,
    "vocab_size": 49152,
}
"""HuggingFaceTB/SmolLM2-135M, config.json: what tells its shape."""

PYTHIA = {
    "hidden_act": "gelu",
    "hidden_size": 768,
    "intermediate_size": 3072,
    "layer_norm_eps": 1e-05,
    "max_position_embeddings": 2048,
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "rotary_emb_base": 10000,
    "rotary_pct": 0.25,
    "tie_word_embeddings": False,
    "use_parallel_residual": True,
    "vocab_size": 50304,
}
"""EleutherAI/pythia-160m, config.json: what tells its shape."""

SHAPES = {
    "smollm2-135m": read_config(LLAMA, {"model_type": "llama", **SMOLLM2}),
    "pythia-160m": read_config(GPT_NEOX, {"model_type": "gpt_neox", **PYTHIA}),
}


@pytest.fixture(scope="module")
def tokenizer_json() -> str:
    """Return a tokenizer of any ids: where none is here, its size is taken on trust."""
    return tokenizer.train(("a river", "a garden"), vocab_size=260, end_of_text=END).json


@pytest.fixture
def planned(tmp_path: Path, tokenizer_json: str) -> Any:
    """Return a function: a recipe and its parent -> its plan, the parent there but its weights."""

    def make(name: str, parent: str) -> Plan:
        (tmp_path / "recipes").mkdir()
        shutil.copy(RECIPES / f"{name}.toml", tmp_path / "recipes")
        folder = tmp_path / "parents" / parent
        folder.mkdir(parents=True)
        own = Ancestor(
            stage=parent,
            origin="imported",
            layers=SHAPES[parent].layers,
            tokens=0,
            flops=0.0,
            weights_sha256="",
        )
        contents = Contents(
            config=SHAPES[parent],
            stage=parent,
            step=0,
            lineage=(own,),
            data=None,
            training={},
            end_of_text=END,
            tokenizer=tokenizer_json,
            certificate=None,
            weights=None,
            optimizer={},
            random={},
        )
        checkpoint.write(folder, contents, known={})
        return plan_of(tmp_path / "recipes" / f"{name}.toml", ())

    return make


@pytest.mark.parametrize(
    ("parent", "whole", "without_embeddings"),
    [("smollm2-135m", 134_515_008, 106_203_456), ("pythia-160m", 162_322_944, 85_056_000)],
)
def test_parents_have_the_parameters_that_were_published(
    parent: str, whole: int, without_embeddings: int
) -> None:
    assert parameters(SHAPES[parent]) == whole
    assert non_embedding_parameters(SHAPES[parent]) == without_embeddings


def sizes(config: GPTConfig) -> Mapping[str, int]:
    return {name: getattr(config, name) for name in ("layers", "width", "heads", "mlp")}


@pytest.mark.parametrize(
    ("name", "parent", "changes", "grown"),
    [
        ("smollm2-170m", "smollm2-135m", {"layers": 40}, 169_915_968),
        ("pythia-216m", "pythia-160m", {"layers": 16, "mlp": 4096}, 215_856_640),
    ],
)
def test_a_published_parent_is_grown_exactly_and_trained_on_beside_the_child(
    *, planned: Any, name: str, parent: str, changes: Mapping[str, int], grown: int
) -> None:
    child, same = planned(name, parent).stages
    assert sizes(child.config) == {**sizes(SHAPES[parent]), **changes}
    assert parameters(child.config) == grown
    assert child.origin.plan.departures == ()
    assert sizes(same.config) == sizes(SHAPES[parent])
    assert same.origin.plan.departures == ()
    assert 1.0 <= same.flops / child.flops < 1.001, "the same compute"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_data_sets_of_the_hub_are_pinned_and_credited(path: Path) -> None:
    text, experiment = path.read_text(encoding="utf-8"), read(path, ())
    for source in experiment.source:
        for address in source.files:
            if hub.is_dataset(address):
                assert hub.pinned(address) == address
            elif address.startswith(hub.SCHEME):
                owner, name, *_ = address.removeprefix(hub.SCHEME).split("/")
                assert len(name.partition("@")[2]) == 40, f"{owner}/{name} is at no commit"
        brought = all(address.startswith("text/") for address in source.files)
        if source.builtin is None and not brought:
            assert source.declared_tokens
            assert "huggingface.co/datasets/" in " ".join(experiment.log.sources)
    # A tokenizer's digest is in the run's keys; data and parents must not move beforehand either.
    assert text.count("#   hf download") == text.count("--revision ")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_recipe_names_the_schema_that_stands_beside_it(path: Path) -> None:
    first, *_ = path.read_text(encoding="utf-8").splitlines()
    assert first == "#:schema recipe.schema.json"
    assert json.loads((RECIPES / "recipe.schema.json").read_text(encoding="utf-8"))


def test_the_published_logs_stand_beside_the_runs() -> None:
    for name, accuracy in (("gpt-580m", 0.464), ("gpt-760m", 0.58), ("gpt-1.1b", 0.6224)):
        (known,) = read(RECIPES / f"{name}.toml", ()).baseline
        assert known.scores["lambada_openai"]["acc"] == accuracy
        assert (known.documents, known.context, len(known.bits_per_byte)) == (3000, 1024, 5)
