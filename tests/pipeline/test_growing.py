"""``grow``: folders that transformers reloads, checkpoints with all of their state, or nothing."""

import json
import shutil
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import torch

from growlm import checkpoint, tensorfile
from growlm.base.errors import CheckpointError, CorpusError, GrowthError, RecipeError, StorageError
from growlm.corpus import tokenizer
from growlm.growth.certificate import Certificate
from growlm.growth.moments import MODES, grow_moments
from growlm.huggingface.reading import INDEX, read_folder
from growlm.huggingface.tokens import CARRIED, SPECIAL_TOKENS, TOKENIZER, TOKENIZER_CONFIG
from growlm.huggingface.writing import write
from growlm.model.weights import Read
from growlm.optim.scaled_adamw import CLIP_WEIGHT, SCALES
from growlm.pipeline import growing
from growlm.pipeline.certifying import CERTIFICATE, stored_certificate
from growlm.pipeline.converting import import_folder
from growlm.pipeline.growing import Growth, changes, comparison, extended, grow
from growlm.pipeline.models import open_model

GrowthOf = Callable[..., Growth]

TOGETHER = [
    ("gpt2", {"layers": 3, "width": 64, "heads": 8, "mlp": 200}),
    ("gpt2", {"layers": 3, "width": 64, "head_width": 16, "mlp": 200}),
    ("gpt_neox", {"layers": 3, "width": 48, "heads": 3, "mlp": 64}),
    ("llama", {"layers": 3, "width": 48, "heads": 8, "kv_heads": 4, "mlp": 64}),
    ("mistral", {"layers": 3, "width": 48, "heads": 6, "mlp": 60}),
    ("qwen2", {"layers": 3, "width": 64, "heads": 8, "mlp": 80}),
    ("qwen3", {"layers": 3, "width": 40, "heads": 8, "kv_heads": 4, "mlp": 48}),
    ("mpt", {"layers": 3, "width": 64, "heads": 8, "mlp": 256}),
    ("mpt", {"layers": 3, "width": 64, "head_width": 16, "mlp": 256}),
]
"""Depth and width in one plan, where each family's layout holds it."""


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def weights_of(path: Path) -> Callable[[str], torch.Tensor]:
    model = open_model(path)
    return lambda name: model.read(name, slice(0, model.config.padded_vocab_size))


class TestFolders:
    def test_an_insert_computes_in_transformers_what_its_parent_does(
        self,
        *,
        folders: Path,
        tmp_path: Path,
        model_type: str,
        growth_of: GrowthOf,
        theirs: Callable[[Path], Any],
        check_same_logits: Callable[..., None],
    ) -> None:
        parent, child = folders / model_type, tmp_path / "child"
        grow(growth_of(parent, child, layers=4, measured=False), run=None)
        assert theirs(child).config.num_hidden_layers == 4
        check_same_logits(theirs(parent), theirs(child), relative=0.0)

    @pytest.mark.parametrize(("model_type", "sizes"), TOGETHER)
    def test_depth_and_width_together_compute_it_up_to_rounding(
        self,
        *,
        folders: Path,
        tmp_path: Path,
        growth_of: GrowthOf,
        theirs: Callable[[Path], Any],
        check_same_logits: Callable[..., None],
        model_type: str,
        sizes: dict[str, int],
    ) -> None:
        parent, child = folders / model_type, tmp_path / "child"
        found = grow(growth_of(parent, child, measured=False, **sizes), run=None)
        assert found.claim == "exact"
        grown = read_folder(child).config
        assert {name: getattr(grown, name) for name in sizes} == sizes
        check_same_logits(theirs(parent), theirs(child), relative=1e-5)

    def test_a_parent_in_shards_grows_into_shards(
        self,
        *,
        write_folder: Callable[..., Path],
        tmp_path: Path,
        growth_of: GrowthOf,
        theirs: Callable[[Path], Any],
        check_same_logits: Callable[..., None],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        parent = write_folder(tmp_path / "parent", "llama", shard="20KB")
        assert len(list(parent.glob("model-*.safetensors"))) > 3
        monkeypatch.setattr(growing, "write", partial(write, shard_bytes=20_000))
        child = tmp_path / "child"
        found = grow(growth_of(parent, child, layers=4), run=None)
        where = json.loads((child / INDEX).read_bytes())["weight_map"]
        assert len(set(where.values())) > 5
        assert {each.max_logit_difference for each in found.measurements} == {0.0}
        check_same_logits(theirs(parent), theirs(child), relative=0.0)

    def test_what_lies_beside_the_tokenizer_is_carried_byte_by_byte(
        self, folders: Path, tmp_path: Path, growth_of: GrowthOf
    ) -> None:
        parent = Path(shutil.copytree(folders / "llama", tmp_path / "parent"))
        for name in CARRIED:
            content = b'{"odd" :\t"caf\xc3\xa9"}\r\n' if name.endswith("json") else b"\xff\r\n"
            (parent / name).write_bytes(content)
        (parent / "README.md").write_text("the parent's", encoding="utf-8")
        grow(growth_of(parent, tmp_path / "child", layers=3, measured=False), run=None)
        for name in (*CARRIED, TOKENIZER):
            assert (tmp_path / "child" / name).read_bytes() == (parent / name).read_bytes()
        others = {"config.json", "model.safetensors", CERTIFICATE}
        assert set(names_in(tmp_path / "child")) == {*CARRIED, TOKENIZER, *others}

    def test_the_certificate_lies_in_the_child(
        self, folders: Path, tmp_path: Path, growth_of: GrowthOf
    ) -> None:
        child = tmp_path / "child"
        found = grow(growth_of(folders / "mpt", child, layers=3), run=None)
        written = Certificate.model_validate_json((child / CERTIFICATE).read_bytes())
        assert written == found == stored_certificate(open_model(child))
        assert found.parent_sha256 == open_model(folders / "mpt").identity()
        assert (found.optimizer_state, found.batches) == ("none", "random tokens")
        assert changes(found) == "2 -> 3 layers by insert (exact)"
        assert comparison(found).startswith("on 64 random tokens: largest logit difference 0, ")

    def test_a_child_for_more_context_says_so(
        self, folders: Path, tmp_path: Path, growth_of: GrowthOf
    ) -> None:
        child = tmp_path / "child"
        grow(growth_of(folders / "mpt", child, layers=3, context=64, measured=False), run=None)
        assert json.loads((child / "config.json").read_bytes())["max_seq_len"] == 64
        assert read_folder(child).config.context == 64

    def test_learned_positions_are_not_stretched(
        self, folders: Path, tmp_path: Path, growth_of: GrowthOf
    ) -> None:
        with pytest.raises(RecipeError, match="learned positions; got 64 tokens, 16 positions"):
            grow(growth_of(folders / "gpt2", tmp_path / "child", layers=3, context=64), run=None)
        assert names_in(tmp_path) == []

    @pytest.mark.parametrize(
        ("model_type", "sizes", "reason"),
        [
            ("mpt", {"mlp": 160}, "MPT, its parent's layout, holds; got mlp=160 where it has 128"),
            ("mpt", {"heads": 8}, "got head_width=8 where it has 4"),
            ("gpt2", {"heads": 6}, "32 and 6 where it wants n_embd to be a multiple of n_head"),
            ("gpt_neox", {"heads": 4}, "GPT-NeoX, .* got head_width=16 where it has 8"),
        ],
    )
    def test_a_child_that_the_layout_cannot_hold_is_refused_before_anything_is_written(
        self,
        *,
        folders: Path,
        tmp_path: Path,
        growth_of: GrowthOf,
        monkeypatch: pytest.MonkeyPatch,
        model_type: str,
        sizes: dict[str, int],
        reason: str,
    ) -> None:
        monkeypatch.delattr(growing, "whole_folder")
        growth = growth_of(folders / model_type, tmp_path / "child", **sizes)
        with pytest.raises(CheckpointError, match=f"{reason}.* Try other sizes, or growlm import"):
            grow(growth, run=None)

    def test_such_a_child_can_be_grown_as_a_checkpoint_of_ours(
        self, folders: Path, tmp_path: Path, growth_of: GrowthOf
    ) -> None:
        import_folder(folders / "mpt", tmp_path / "parent", end_of_text=None)
        found = grow(growth_of(tmp_path / "parent", tmp_path / "child", mlp=160), run=None)
        assert found.sizes == {"mlp": (128, 160)}

    def test_one_tensor_or_block_is_read_at_a_time(
        self, *, folders: Path, tmp_path: Path, growth_of: GrowthOf, watched: list[int]
    ) -> None:
        grow(growth_of(folders / "llama", tmp_path / "child", layers=3, width=48), run=None)
        assert max(watched) <= 48 * 48


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let nothing be read whole, the vocabulary in small blocks, and return each tensor's size."""
    sizes: list[int] = []

    def watch(path: Path, name: str, rows: slice = slice(None)) -> torch.Tensor:
        found = tensorfile.load_tensor(path, name, rows)
        sizes.append(found.numel())
        return found

    def whole(path: Path) -> dict[str, torch.Tensor]:
        raise AssertionError(f"{path} was read whole")

    monkeypatch.setattr("growlm.model.weights.ROWS", 20)
    monkeypatch.setattr("growlm.huggingface.reading.load_tensor", watch)
    monkeypatch.setattr(checkpoint, "load_tensor", watch)
    monkeypatch.setattr(checkpoint, "load_tensors", whole)
    return sizes


class TestCheckpoints:
    def test_one_tensor_or_block_is_read_at_a_time(
        self,
        *,
        saved: Callable[..., Path],
        tmp_path: Path,
        growth_of: GrowthOf,
        watched: list[int],
    ) -> None:
        grow(growth_of(saved(), tmp_path / "child", layers=3, width=32), run=None)
        assert max(watched) <= 32 * 64

    @pytest.mark.parametrize("mode", MODES)
    def test_the_optimizer_s_whole_state_grows_along(
        self, *, saved: Callable[..., Path], tmp_path: Path, growth_of: GrowthOf, mode: str
    ) -> None:
        parent, child = saved(moments=True), tmp_path / "child"
        sizes = {"layers": 3, "mlp": 96, "width": 32}
        growth = growth_of(parent, child, optimizer_state=mode, measured=False, **sizes)
        found = grow(growth, run=None)
        assert found.optimizer_state == mode
        before, after = (checkpoint.load_optimizer(path) for path in (parent, child))
        expected = grow_moments(before, found.plan, mode=mode)
        assert set(after) == set(expected)
        assert all(torch.equal(after[name], expected[name]) for name in expected)
        keys = {name.partition(".")[0] for name in after}
        factors = {*SCALES, CLIP_WEIGHT} if mode == "exact" else set()
        kept = {"step", "exp_avg", "exp_avg_sq"} if mode != "drop" else set()
        assert keys == kept | factors
        named = set(checkpoint.load_weights(child)) if mode != "drop" else set()
        assert {name.removeprefix("step.") for name in after if name.startswith("step.")} == named

    def test_the_lineage_goes_on_and_the_data_too(
        self, finished: Path, tmp_path: Path, growth_of: GrowthOf
    ) -> None:
        parent = finished / "run/stages/grown/training/final"
        grow(growth_of(parent, tmp_path / "child", layers=3, measured=False), run=None)
        old, new = (checkpoint.read_meta(path) for path in (parent, tmp_path / "child"))
        checkpoint.verify(tmp_path / "child", new)
        assert [each.stage for each in new.lineage] == ["base", "grown", "child"]
        assert new.lineage[1].weights_sha256 == old.weights_sha256
        own = new.lineage[-1]
        assert (own.origin, own.layers, own.tokens) == ("grown by insert", 3, 0)
        assert (new.data, new.tokens, new.step, new.training) == (old.data, old.tokens, 0, {})

    def test_weights_of_bf16_grow_as_exactly_as_those_of_fp32(
        self, saved: Callable[..., Path], tmp_path: Path, growth_of: GrowthOf
    ) -> None:
        parent = saved(dtype=torch.bfloat16)
        found = grow(growth_of(parent, tmp_path / "child", width=32, mlp=96), run=None)
        assert found.claim == "exact"
        assert found.main is not None
        assert found.main.max_logit_difference <= 1e-5 * found.main.largest_logit

    def test_weights_that_are_no_numbers_are_refused_as_such(
        self, folders: Path, tmp_path: Path, growth_of: GrowthOf
    ) -> None:
        parent = Path(shutil.copytree(folders / "llama", tmp_path / "parent"))
        weights = tensorfile.load_tensors(parent / "model.safetensors")
        weights["model.norm.weight"][0] = torch.nan
        tensorfile.save_tensors(parent / "model.safetensors", weights)
        words = r"a largest difference of nan at context 16\. Try a parent whose activations are"
        with pytest.raises(GrowthError, match=words):
            grow(growth_of(parent, tmp_path / "child", layers=3), run=None)
        assert names_in(tmp_path) == ["parent"]


class TestVocabulary:
    @pytest.fixture
    def full(self, write_folder: Callable[..., Path], tmp_path: Path) -> Path:
        """Return a Llama with a row for each of its tokenizer's 270 ids, and no other."""
        return write_folder(tmp_path / "full", "llama", vocab_size=270)

    @pytest.mark.parametrize("pieces", [True, False])
    def test_new_rows_are_means_and_old_rows_the_parent_s(
        self,
        *,
        saved: Callable[..., Path],
        vocabulary: tokenizer.Tokenizer,
        tmp_path: Path,
        growth_of: GrowthOf,
        pieces: bool,
    ) -> None:
        parent, child = saved(tied=False, padded_vocab_size=272), tmp_path / "child"
        more = extended(parent, ("<river>", "<of marble>", "<>"), pieces=pieces)
        spelt = [tuple(each) for each in vocabulary.encode(["<river>", "<of marble>", "<>"])]
        assert more.new_tokens == (tuple(spelt) if pieces else ((), (), ()))
        tokens = {"tokenizer": more.tokenizer, "new_tokens": more.new_tokens}
        found = grow(growth_of(parent, child, layers=3, measured=False, **tokens), run=None)
        assert found.sizes["vocab_size"] == (270, 273)
        assert (found.claim, found.expected_parameters) == ("approximate", found.child_parameters)
        old, new = checkpoint.load_weights(parent), checkpoint.load_weights(child)
        for name in ("embedding.weight", "head.weight"):
            before, after = old[name], new[name]
            assert after.shape == (384, 16)
            assert torch.equal(after[:270], before[:270])
            for row, ids in enumerate(more.new_tokens, start=270):
                of = before[list(ids)] if ids else before[:270].double()
                assert torch.equal(after[row], of.mean(0).float())
            assert not after[273:].any()

    def test_they_are_means_in_a_wider_child_too(
        self, saved: Callable[..., Path], tmp_path: Path, growth_of: GrowthOf
    ) -> None:
        more = extended(saved(), ("<river>",), pieces=True)
        growth = growth_of(
            tmp_path / "saved",
            tmp_path / "child",
            width=40,
            tokenizer=more.tokenizer,
            new_tokens=more.new_tokens,
        )
        grow(growth, run=None)
        rows = checkpoint.load_weights(tmp_path / "child")["embedding.weight"]
        mean = rows[list(more.new_tokens[0])].mean(0)
        torch.testing.assert_close(rows[270], mean, rtol=1e-6, atol=1e-7)
        assert not rows[271:].any()

    @pytest.mark.parametrize("listed", [True, False])
    def test_transformers_reads_a_new_token_as_one_and_the_others_as_before(
        self, *, full: Path, tmp_path: Path, growth_of: GrowthOf, listed: bool
    ) -> None:
        from transformers import AutoTokenizer

        if listed:  # as transformers 4 wrote them
            ending = {"content": "<|endoftext|>", "special": True, "normalized": False}
            config = {"eos_token": "<|endoftext|>", "added_tokens_decoder": {"0": ending}}
            (full / TOKENIZER_CONFIG).write_text(json.dumps(config), encoding="utf-8")
        text = "a river of marble in the garden<|endoftext|>"
        before = AutoTokenizer.from_pretrained(full)(text)["input_ids"]
        more = extended(full, ("<|user|>", "<|bot|>"), pieces=True)
        growth = growth_of(
            full,
            tmp_path / "child",
            layers=3,
            tokenizer=more.tokenizer,
            new_tokens=more.new_tokens,
            measured=False,
        )
        grow(growth, run=None)
        read = AutoTokenizer.from_pretrained(tmp_path / "child")
        assert read(text)["input_ids"] == before
        assert read(f"<|user|>{text}<|bot|>")["input_ids"] == [270, *before, 271]
        assert read.eos_token_id == 0
        special = (full / SPECIAL_TOKENS).read_bytes()
        assert (tmp_path / "child" / SPECIAL_TOKENS).read_bytes() == special

    def test_transformers_scores_old_tokens_as_before(
        self,
        *,
        full: Path,
        tmp_path: Path,
        growth_of: GrowthOf,
        theirs: Callable[[Path], Any],
    ) -> None:
        more = extended(full, ("<|user|>",), pieces=False)
        tokens = {"tokenizer": more.tokenizer, "new_tokens": more.new_tokens}
        found = grow(growth_of(full, tmp_path / "child", layers=3, **tokens), run=None)
        assert {each.max_logit_difference for each in found.measurements} == {0.0}
        ids = torch.arange(64)[None] * 4
        with torch.no_grad():
            before, after = (theirs(path)(ids).logits for path in (full, tmp_path / "child"))
        assert after.shape[-1] == 271
        assert torch.equal(before, after[..., :270])
        torch.testing.assert_close(after[..., 270], before.mean(-1), rtol=1e-5, atol=1e-5)

    def test_a_model_with_rows_to_spare_is_refused(self, folders: Path) -> None:
        words = r"got 300 rows for 270 ids\. Try .* by hand: the next 30 have rows already"
        with pytest.raises(GrowthError, match=words):
            extended(folders / "llama", ("<|user|>",), pieces=True)

    @pytest.mark.parametrize("token", ["", "<|endoftext|>", "a"])
    def test_a_token_that_is_none_or_known_is_refused(
        self, saved: Callable[..., Path], token: str
    ) -> None:
        with pytest.raises(CorpusError, match=f"not known yet and named once; got '{token}'"):
            extended(saved(), (token,), pieces=True)


class TestInterrupted:
    @pytest.mark.parametrize("kind", ["folder", "checkpoint"])
    @pytest.mark.parametrize("where", ["in the weights", "in the certificate"])
    def test_a_failure_leaves_nothing_and_the_same_growth_succeeds(
        self,
        *,
        saved: Callable[..., Path],
        folders: Path,
        tmp_path: Path,
        growth_of: GrowthOf,
        monkeypatch: pytest.MonkeyPatch,
        kind: str,
        where: str,
    ) -> None:
        parent = saved(moments=True) if kind == "checkpoint" else folders / "mpt"
        before = set(names_in(tmp_path))
        growth = growth_of(parent, tmp_path / "child", layers=3, measured=False)
        with monkeypatch.context() as patch:
            if where == "in the weights":
                patch.setattr("growlm.growth.apply.Grower.reader", breaking)
            else:
                patch.setattr(growing, "certificate_of", fail)
            with pytest.raises(GrowthError, match="got a mishap"):
                grow(growth, run=None)
        assert set(names_in(tmp_path)) == before
        grow(growth, run=None)
        assert set(names_in(tmp_path)) == before | {"child"}

    @pytest.mark.parametrize("kind", ["folder", "checkpoint"])
    def test_a_kill_leaves_no_child_and_the_same_command_succeeds(
        self,
        *,
        saved: Callable[..., Path],
        folders: Path,
        tmp_path: Path,
        forked: Callable[..., CompletedProcess[str]],
        kind: str,
    ) -> None:
        parent = saved(moments=True) if kind == "checkpoint" else folders / "mpt"
        before = set(names_in(tmp_path))
        words = ("grow", parent, tmp_path / "child", "--layers", 4, "--unmeasured", "--quiet")
        mishaps = [{"kill_in_weights": [pieces]} for pieces in (1, 20)]
        for mishap in (*mishaps, {"kill_at": [None, 2]}, {"kill_at": [None, 11]}):
            assert forked(*words, **mishap).returncode == -signal.SIGKILL
            assert not (tmp_path / "child").exists()
        assert forked(*words).returncode == 0
        assert set(names_in(tmp_path)) == before | {"child"}
        other = ("grow", parent, tmp_path / "other", *words[3:])
        assert forked(*other).returncode == 0
        (weights,) = (tmp_path / "child").glob("model*")
        assert weights.read_bytes() == (tmp_path / "other" / weights.name).read_bytes()


def fail(*_: Any, **__: Any) -> Any:
    raise GrowthError("no mishap", got="a mishap", fix="again")


def breaking(_grower: Any, parent: Read) -> Read:
    """Return a reader that fails at its tenth weight."""
    asked: list[str] = []

    def read(name: str, rows: slice = slice(None)) -> torch.Tensor:
        asked.append(name)
        return fail() if len(asked) == 10 else parent(name, rows)

    return read


def test_what_is_there_already_is_kept(folders: Path, tmp_path: Path, growth_of: GrowthOf) -> None:
    (tmp_path / "child").mkdir()
    with pytest.raises(StorageError, match=r"no file or folder at .*child yet; got one"):
        grow(growth_of(folders / "mpt", tmp_path / "child", layers=3), run=None)
    assert names_in(tmp_path / "child") == []


def test_an_unmeasured_child_has_a_certificate_that_measured_nothing(
    folders: Path, tmp_path: Path, growth_of: GrowthOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("growlm.pipeline.certifying.measure", fail)
    growth = growth_of(folders / "qwen2", tmp_path / "child", layers=3, measured=False)
    found = grow(growth, run=None)
    assert (found.batches, found.measurements, found.regrown) == ("none", (), None)
    assert comparison(found) == "not measured yet: growlm certify does it"
    assert stored_certificate(open_model(tmp_path / "child")) == found
