"""Advice as a whole: the reference run's ledger comes out, and each kind of parent is read."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from growlm import checkpoint
from growlm.base.errors import CheckpointError, GrowthError, RecipeError
from growlm.checkpoint import FORMAT, Ancestor, Contents, Meta
from growlm.growth.advise import LayerNorms
from growlm.growth.certificate import Certificate
from growlm.growth.target import Operators, Target
from growlm.model.config import GPTConfig
from growlm.model.families.family import write_config
from growlm.model.families.links import to_theirs
from growlm.model.families.table import FAMILIES
from growlm.model.gpt import GPT
from growlm.pipeline.advising import Parent, Wish, advise, parent_of

BASE: dict[str, Any] = {
    "layers": 18,
    "heads": 12,
    "kv_heads": 12,
    "width": 1_536,
    "head_width": 128,
    "mlp": 6_144,
    "context": 1_024,
    "vocab_size": 50_277,
    "padded_vocab_size": 50_304,
}
"""The reference run's base."""


def wish(**changes: Any) -> Wish:
    operators = Operators(
        depth="",
        layer_map=None,
        widen="lemon",
        units="uneven",
        copies=changes.pop("copies", "plain"),
    )
    known: dict[str, Any] = {
        "depths": (),
        "context": None,
        "tokens": 41 * 10**9,
        "parent_tokens": None,
    }
    fields = {**known, **{name: changes.pop(name) for name in known if name in changes}}
    return Wish(target=Target(**changes), operators=operators, **fields)


def stretch(**changes: Any) -> Ancestor:
    plain: dict[str, Any] = {
        "stage": "base",
        "origin": "scratch",
        "layers": 18,
        "tokens": 48 * 10**9,
        "flops": 1.772e20,
        "weights_sha256": "",
    }
    return Ancestor(**{**plain, **changes})


def meta_of(config: GPTConfig, *lineage: Ancestor) -> Meta:
    return Meta(
        format=FORMAT,
        config=config.as_dict(),
        stage="base",
        step=97_000,
        lineage=lineage,
        data=None,
        training={},
        end_of_text="<|endoftext|>",
        certificate=None,
        files={},
    )


@pytest.fixture
def parent(tiny_config: Callable[..., GPTConfig]) -> Callable[..., Parent]:
    """Return a factory: what is known of the reference run's base -> it, without any weights."""

    def make(*lineage: Ancestor, **changes: Any) -> Parent:
        config = tiny_config(**BASE)
        norms = tuple(10.0 + layer for layer in range(18))
        plain: dict[str, Any] = {
            "path": Path("gpt-580m"),
            "config": config,
            "context": 1_024,
            "meta": meta_of(config, *lineage) if lineage else None,
            "lr_share_of_peak": 0.1,
            "plateau": None,
            "norms": LayerNorms(whole=norms, inner=norms),
        }
        return Parent(**{**plain, **changes})

    return make


def test_the_reference_run_pays_where_its_ledger_says(parent: Callable[..., Parent]) -> None:
    for layers, context, flops, charged, shared, base in (
        (24, 1_024, 4.767e9, 3.8e9, 22.4e9, 13.4e9),
        (36, 512, 6.749e9, 14.7e9, 27.9e9, 16.1e9),
    ):
        found = advise(parent(stretch()), wish(layers=layers, context=context))
        assert found.flops_per_token == pytest.approx(flops, rel=1e-3)
        assert found.break_even.charged == pytest.approx(charged, rel=2e-2)
        assert found.break_even.shared == pytest.approx(shared, rel=5e-3)
        assert found.base_tokens == pytest.approx(base, rel=5e-3)
        assert found.tokens_per_parameter == pytest.approx(94.2, rel=1e-2)


@pytest.mark.parametrize(
    "lineage", [(), (stretch(origin="imported from gpt2", tokens=0, flops=0),)]
)
def test_what_somebody_knows_of_an_imported_parent_counts_as_if_it_were_recorded(
    parent: Callable[..., Parent], lineage: tuple[Ancestor, ...]
) -> None:
    asked = wish(layers=36, context=512)
    unknown = advise(parent(*lineage), asked)
    assert (unknown.tokens_seen, unknown.break_even.charged, unknown.order) == (
        None,
        None,
        "interleave",
    )
    assert {answer.question: answer.surety for answer in unknown.answers}["to pay"] == "unknown"
    told = advise(parent(*lineage), replace(asked, parent_tokens=48 * 10**9))
    known = advise(parent(stretch()), asked)
    assert told.break_even.charged == pytest.approx(known.break_even.charged, rel=1e-3)
    assert told.tokens_per_parameter == known.tokens_per_parameter


def test_tokens_since_an_import_are_added_to_what_came_before(
    parent: Callable[..., Parent],
) -> None:
    imported = stretch(origin="imported from gpt2", layers=9, tokens=0, flops=0.0)
    since = stretch(stage="more", tokens=10**9, flops=1e18)
    found = advise(parent(imported, since), wish(layers=36, parent_tokens=2 * 10**9))
    assert found.tokens_seen == 3e9
    half = advise(parent(), wish(layers=36, parent_tokens=2 * 10**9))
    assert found.break_even.charged is not None
    assert half.break_even.charged is not None
    # Half the layers, and the head that both have.
    cost = (41e9 - found.break_even.charged) * found.flops_per_token - 1e18
    assert cost == pytest.approx(2e9 * (3.691e9 + 6 * 50_304 * 1_536) / 2, rel=1e-3)


def test_tokens_are_not_told_to_a_parent_that_knows_its_own(parent: Callable[..., Parent]) -> None:
    with pytest.raises(RecipeError) as refused:
        advise(parent(stretch()), wish(layers=36, parent_tokens=10**9))
    assert str(refused.value) == (
        "expected --parent-tokens for a parent that was trained elsewhere; got one whose lineage "
        "holds 48,000,000,000 tokens. Try leaving it out."
    )


@pytest.mark.parametrize(
    ("origin", "averaged"),
    [("scratch", None), ("scratch, average of 4", 4), ("grown by stack, average of 12", 12)],
)
def test_an_average_is_known_by_its_lineage(
    parent: Callable[..., Parent], origin: str, averaged: int | None
) -> None:
    found = advise(parent(stretch(origin=origin)), wish(layers=36))
    assert found.averaged == averaged
    text = next(answer.text for answer in found.answers if answer.question == "annealed")
    words = f"as good as: it is the average of {averaged} checkpoints. Such"
    assert text.startswith(words if averaged else "yes")


def test_so_is_a_moving_average(parent: Callable[..., Parent]) -> None:
    found = advise(parent(stretch(origin="scratch, moving average")), wish(layers=36))
    assert found.averaged is None
    text = next(answer.text for answer in found.answers if answer.question == "annealed")
    assert text.startswith("as good as: it is a moving average of weights. Such")


def test_what_was_grown_from_an_average_is_none(parent: Callable[..., Parent]) -> None:
    lineage = (stretch(origin="scratch, average of 4"), stretch(origin="grown by stack"))
    assert advise(parent(*lineage), wish(layers=36)).averaged is None


@pytest.mark.parametrize(
    ("layers", "depths", "names"),
    [
        (36, (), ["interleave", "stack", "insert"]),
        (24, (), ["interleave", "insert"]),
        (24, ("solar", "append"), ["interleave", "insert", "solar", "append"]),
    ],
)
def test_candidates_are_the_usual_ones_and_those_asked_for(
    *, parent: Callable[..., Parent], layers: int, depths: tuple[str, ...], names: list[str]
) -> None:
    found = advise(parent(stretch()), wish(layers=layers, depths=depths))
    assert [each.operator for each in found.candidates] == names
    claims = {each.operator: each.claim for each in found.candidates}
    assert claims["insert"] == "exact"
    assert claims["interleave"] == "approximate"


def test_a_growth_in_width_alone_has_no_order(parent: Callable[..., Parent]) -> None:
    found = advise(parent(stretch()), wish(mlp=8_192))
    assert found.order is None
    assert [(each.operator, each.claim) for each in found.candidates] == [("any operator", "exact")]
    assert "order" not in {answer.question for answer in found.answers}
    assert dict(found.sizes) == {"mlp": (6_144, 8_192)}


def test_layers_without_a_profile_have_no_cliff(parent: Callable[..., Parent]) -> None:
    flat = LayerNorms(whole=(3.0,) * 18, inner=(2.0,) * 18)
    found = advise(parent(stretch(), norms=flat), wish(layers=36))
    assert {each.norm_cliff for each in found.candidates} == {None}
    assert not any("seam" in answer.text for answer in found.answers)


@pytest.mark.parametrize(
    ("sizes", "line"),
    [
        (
            {"layers": 9},
            "expected a child with at least its parent's layers; got 18 -> 9. Try layers=36.",
        ),
        (
            {"layers": 36, "mlp": 64},
            "expected a child with at least its parent's mlp; got 6144 -> 64. "
            "Try mlp = 6144 or more.",
        ),
        (
            {"layers": 18},
            "expected a child that is larger than its parent; got the same sizes. Try --layers 36.",
        ),
        (
            {"layers": 25, "depths": ("solar",)},
            "expected an even number of layers, at most 36, for 'solar'; got 18 -> 25. "
            "Try --layers 26, or interleave.",
        ),
    ],
    ids=["fewer layers", "a narrower MLP", "the same", "odd"],
)
def test_a_child_that_cannot_be_is_refused(
    parent: Callable[..., Parent], sizes: dict[str, Any], line: str
) -> None:
    with pytest.raises(GrowthError) as refused:
        advise(parent(stretch()), wish(**sizes))
    assert str(refused.value) == line


@pytest.fixture
def saved(
    tmp_path: Path, tiny_config: Callable[..., GPTConfig], tiny_model: Callable[..., GPT]
) -> Callable[..., Path]:
    """Return a factory: a folder's name, facts of training -> a checkpoint of 6 layers."""

    def make(name: str, *, tokens: int = 1_000, **training: Any) -> Path:
        config = tiny_config(layers=6)
        checkpoint.save(
            tmp_path / name,
            Contents(
                config=config,
                stage="base",
                step=7,
                lineage=(stretch(layers=6, tokens=tokens, flops=1e9),),
                data=None,
                training=training,
                end_of_text="<|endoftext|>",
                tokenizer="{}",
                certificate=None,
                weights=tiny_model(config).state_dict(),
                optimizer={},
                random={},
            ),
        )
        return tmp_path / name

    return make


def test_a_checkpoint_says_where_its_schedule_ended_and_at_which_context(
    saved: Callable[..., Path],
) -> None:
    found = parent_of(saved("final", lr_share_of_peak=0.25, context=8))
    assert (found.lr_share_of_peak, found.context, found.plateau) == (0.25, 8, None)
    bare = parent_of(saved("bare"))
    assert (bare.lr_share_of_peak, bare.context) == (None, 16)


def test_the_last_checkpoint_before_the_decay_is_pointed_at(saved: Callable[..., Path]) -> None:
    final = saved("training/final", lr_share_of_peak=0.1)
    for step, share in ((10, 1.0), (20, 0.9), (30, 0.3)):
        saved(f"training/step-{step:08d}", lr_share_of_peak=share)
    damaged = saved("training/step-00000025", lr_share_of_peak=1.0) / "checkpoint.json"
    damaged.write_text("{", encoding="utf-8")
    parent = parent_of(final)
    assert parent.plateau == final.parent / "step-00000020"
    texts = [answer.text for answer in advise(parent, wish(layers=12, tokens=10**6)).answers]
    assert any(f"the plateau before, where {parent.plateau} still is" in text for text in texts)
    assert parent_of(saved("average", lr_share_of_peak=0.1)).plateau == parent.plateau


def test_the_predicted_cliff_is_what_the_certificate_will_measure(
    *, finished: Path, growlm: Callable[..., Any], tmp_path: Path
) -> None:
    path = finished / "run/stages/grown/training/final"
    found = advise(parent_of(path), wish(layers=4, tokens=10**6))
    for each in found.candidates:
        child = tmp_path / each.operator
        words = ("grow", path, child, "--layers", 4, "--depth", each.operator)
        assert growlm(*words).returncode == 0
        certificate = Certificate.model_validate(checkpoint.read_meta(child).certificate)
        assert each.norm_cliff == pytest.approx(certificate.norm_cliff, rel=1e-6)
        assert each.adjacency == certificate.adjacency
        assert each.claim == certificate.claim


@pytest.fixture
def their_folder(
    tmp_path: Path, tiny_config: Callable[..., GPTConfig], tiny_model: Callable[..., GPT]
) -> Path:
    """Return a Hugging Face folder of a tiny Llama of 4 layers, in bf16."""
    config = tiny_config(
        layers=4,
        positions="rotary",
        norm="rmsnorm",
        activation="swiglu",
        linear_bias=False,
        norm_bias=False,
        tied=False,
    )
    family, folder = FAMILIES["llama"], tmp_path / "theirs"
    folder.mkdir()
    theirs = to_theirs(family, config, tiny_model(config).state_dict())
    narrow = {name: each.to(torch.bfloat16) for name, each in theirs.items()}
    save_file(narrow, folder / "model.safetensors", metadata={"format": "pt"})
    checkpoint.write_json(folder / "config.json", write_config(family, config, context=16))
    return folder


def test_a_hugging_face_folder_is_advised_on_without_its_tokenizer(their_folder: Path) -> None:
    found = advise(parent_of(their_folder), wish(layers=8, tokens=10**6))
    assert found.parent == str(their_folder)
    assert found.tokens_seen is None
    assert found.lr_share_of_peak is None
    assert len(found.layer_norms) == 4
    assert all(math.isfinite(norm) for norm in found.layer_norms)


def test_weights_of_a_folder_that_are_no_numbers_are_refused(their_folder: Path) -> None:
    path = their_folder / "model.safetensors"
    tensors = load_file(path)
    tensors["model.layers.2.mlp.up_proj.weight"].fill_(math.nan)
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(GrowthError) as refused:
        parent_of(their_folder)
    assert "got 'layers.2.mlp.up.weight', of norm nan." in str(refused.value)


def test_a_folder_that_is_neither_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError) as refused:
        parent_of(tmp_path)
    assert str(refused.value) == (
        "expected a checkpoint's folder, with checkpoint.json in it, or a Hugging Face one, with "
        f"config.json; got {tmp_path}. Try a folder under runs/*/stages, or one that "
        "save_pretrained wrote."
    )
