"""``shrink``: the parent of an exact growth again, bit for bit, or one line that says why not."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from growlm import checkpoint
from growlm.base.errors import CheckpointError, GrowthError, StorageError
from growlm.checkpoint import Contents
from growlm.model.gpt import with_weights
from growlm.pipeline.converting import import_folder
from growlm.pipeline.growing import Growth, extended, grow
from growlm.pipeline.shrinking import shrink

GrowthOf = Callable[..., Growth]

EXACT = [
    {"layers": 5},
    {"layers": 3, "depth": "append"},
    {"layers": 4, "depth": "explicit", "layer_map": (~1, 0, 1, ~0)},
    {"width": 32},
    {"mlp": 128, "units": "even"},
    {"mlp": 96, "units": "new"},
    {"heads": 4},
    {"layers": 3, "width": 32, "heads": 4, "mlp": 128, "units": "even"},
]
"""Growths that split by powers of two only, so that nothing is rounded on either way."""


@pytest.fixture
def child(saved: Callable[..., Path], tmp_path: Path, growth_of: GrowthOf) -> Callable[..., Path]:
    """Return a factory: sizes and operators -> the child of a saved parent."""

    def make(**changes: Any) -> Path:
        path = tmp_path / "child"
        grow(growth_of(saved(moments=True), path, measured=False, **changes), run=None)
        return path

    return make


def trained(path: Path, out: Path) -> Path:
    """Save a child as it would be after some training."""
    meta, stream = checkpoint.read_meta(path), torch.Generator().manual_seed(3)
    *older, own = meta.lineage
    weights = {
        name: weight + 1e-3 * torch.randn(weight.shape, generator=stream)
        for name, weight in checkpoint.load_weights(path).items()
    }
    contents = Contents(
        config=meta.gpt_config(),
        stage=meta.stage,
        step=7,
        lineage=(*older, own.model_copy(update={"tokens": 1_024, "flops": 2.0})),
        data=meta.data,
        training={"schedule": "ended"},
        end_of_text=meta.end_of_text,
        tokenizer=checkpoint.load_tokenizer(path),
        certificate=meta.certificate,
        weights=weights,
        optimizer=checkpoint.load_optimizer(path),
        random={},
    )
    checkpoint.save(out, contents)
    return out


@pytest.mark.parametrize("changes", EXACT)
def test_the_parent_comes_back_bit_for_bit(
    child: Callable[..., Path], tmp_path: Path, changes: dict[str, Any]
) -> None:
    found = shrink(child(**changes), tmp_path / "again")
    before, after = (checkpoint.read_meta(tmp_path / name) for name in ("saved", "again"))
    assert after.gpt_config() == before.gpt_config()
    old, new = (checkpoint.load_weights(tmp_path / name) for name in ("saved", "again"))
    assert set(old) == set(new)
    assert all(torch.equal(old[name], new[name]) for name in old)
    ids = torch.arange(16)[None]
    one, other = (with_weights(before.gpt_config(), each).eval().logits(ids) for each in (old, new))
    assert torch.equal(one, other)
    assert (found.largest_change, found.child_tokens) == (0.0, 0)
    assert found.child_parameters > found.parent_parameters


@pytest.mark.parametrize(
    "changes",
    [
        {"width": 40},
        {"mlp": 100, "units": "uneven"},
        {"head_width": 12},
        {"layers": 3, "width": 24},
    ],
)
def test_where_growing_rounds_the_parent_comes_back_up_to_rounding(
    child: Callable[..., Path], tmp_path: Path, changes: dict[str, Any]
) -> None:
    found = shrink(child(**changes), tmp_path / "again")
    old, new = (checkpoint.load_weights(tmp_path / name) for name in ("saved", "again"))
    for name, weight in old.items():
        torch.testing.assert_close(new[name], weight, rtol=1e-6, atol=1e-6)
    assert found.largest_change <= 1e-6


def test_a_parent_again_is_a_checkpoint_that_says_where_it_comes_from(
    child: Callable[..., Path], tmp_path: Path
) -> None:
    path = child(layers=3, context=64)
    shrink(path, tmp_path / "again")
    before, after = checkpoint.read_meta(path), checkpoint.read_meta(tmp_path / "again")
    checkpoint.verify(tmp_path / "again", after)
    assert [each.origin for each in after.lineage] == [
        "scratch",
        "grown by insert",
        "shrunk from child",
    ]
    assert after.lineage[1].weights_sha256 == before.weights_sha256
    assert (after.stage, after.step, after.tokens) == ("again", 0, before.tokens)
    assert (after.certificate, after.gpt_config().context) == (None, 64)
    assert checkpoint.load_optimizer(tmp_path / "again") == {}
    tokenizers = (checkpoint.load_tokenizer(each) for each in (path, tmp_path / "again"))
    assert next(tokenizers) == next(tokenizers)


def test_what_came_along_with_an_imported_parent_stays_with_it(
    folders: Path, tmp_path: Path, growth_of: GrowthOf
) -> None:
    parent, child = tmp_path / "parent", tmp_path / "child"
    import_folder(folders / "mpt", parent, end_of_text=None)
    grow(growth_of(parent, child, layers=3, width=64, heads=8, measured=False), run=None)
    shrink(child, tmp_path / "again")
    files = [
        checkpoint.load_tokenizer_files(path, checkpoint.read_meta(path))
        for path in (parent, tmp_path / "again")
    ]
    assert files[0] == files[1] != {}


def test_what_a_child_learned_in_the_parts_that_stay_is_kept(
    child: Callable[..., Path], tmp_path: Path
) -> None:
    path = trained(child(layers=3, depth="append"), tmp_path / "trained")
    found = shrink(path, tmp_path / "again")
    assert found.child_tokens == 1_024
    assert 1e-3 < found.largest_change < 1e-2  # in the layer that was silent
    learned, kept = (checkpoint.load_weights(each) for each in (path, tmp_path / "again"))
    assert {name for name in learned if name not in kept} == {
        name for name in learned if name.startswith("layers.2.")
    }
    assert all(torch.equal(kept[name], learned[name]) for name in kept)
    assert checkpoint.read_meta(tmp_path / "again").tokens == 8 + 1_024


class TestRefused:
    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"layers": 4, "depth": "stack"}, "layers are repeated and all of them are heard"),
            ({"width": 24, "widen": "shrink-pad-perturb"}, "weights are shrunk or perturbed"),
            ({"layers": 3, "copies": "noised"}, "weights are shrunk or perturbed"),
        ],
    )
    def test_a_growth_that_was_not_exact(
        self, *, child: Callable[..., Path], tmp_path: Path, changes: dict[str, Any], reason: str
    ) -> None:
        words = rf"an exact growth, which can be taken back; got {reason}\. Try the parent's own ch"
        with pytest.raises(GrowthError, match=words):
            shrink(child(**changes), tmp_path / "again")
        assert not (tmp_path / "again").exists()

    def test_a_growth_with_new_tokens(
        self, saved: Callable[..., Path], tmp_path: Path, growth_of: GrowthOf
    ) -> None:
        more = extended(saved(), ("<|user|>",), pieces=False)
        tokens = {"tokenizer": more.tokenizer, "new_tokens": more.new_tokens, "measured": False}
        grow(growth_of(tmp_path / "saved", tmp_path / "child", **tokens), run=None)
        with pytest.raises(GrowthError, match="got new tokens take part in every softmax"):
            shrink(tmp_path / "child", tmp_path / "again")

    def test_a_checkpoint_that_was_not_grown(
        self, saved: Callable[..., Path], tmp_path: Path
    ) -> None:
        words = rf"that was grown, with its certificate; got {tmp_path / 'saved'}, which has none\."
        with pytest.raises(GrowthError, match=words):
            shrink(saved(), tmp_path / "again")

    def test_a_folder_of_hugging_face(
        self, folders: Path, tmp_path: Path, growth_of: GrowthOf
    ) -> None:
        grow(growth_of(folders / "mpt", tmp_path / "child", layers=3, measured=False), run=None)
        words = rf"certificate inside; got {tmp_path / 'child'}, a Hugging Face folder\. Try the pa"
        with pytest.raises(GrowthError, match=words):
            shrink(tmp_path / "child", tmp_path / "again")

    def test_a_damaged_child(self, child: Callable[..., Path], tmp_path: Path) -> None:
        path = child(layers=3)
        content = bytearray((path / "model.safetensors").read_bytes())
        content[-1] ^= 1
        (path / "model.safetensors").write_bytes(content)
        with pytest.raises(CheckpointError, match="the file was damaged or changed"):
            shrink(path, tmp_path / "again")

    def test_a_place_where_something_is(self, child: Callable[..., Path], tmp_path: Path) -> None:
        path = child(layers=3)
        shutil.copytree(path, tmp_path / "again")
        with pytest.raises(StorageError, match=r"no file or folder at .*again yet; got one"):
            shrink(path, tmp_path / "again")
