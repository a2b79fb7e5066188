"""``certify``: what a certificate is worth beside parent and child as they lie there now."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from growlm.base.errors import CheckpointError, CorpusError, GrowthError, StorageError
from growlm.pipeline import certifying
from growlm.pipeline.certifying import CERTIFICATE, batches_for, certify, stored_certificate
from growlm.pipeline.folder import RunFolder
from growlm.pipeline.growing import Growth, extended, grow
from growlm.pipeline.models import open_model

GrowthOf = Callable[..., Growth]


@pytest.fixture(scope="module")
def parent(folders: Path) -> Path:
    """Return the parent of ``child``."""
    return folders / "llama"


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory, parent: Path, growth_of: GrowthOf) -> Path:
    """Return a child that was not measured when it was grown; for reading only."""
    path = tmp_path_factory.mktemp("grown") / "child"
    grow(growth_of(parent, path, layers=4, depth="append", measured=False), run=None)
    return path


@pytest.fixture
def child(grown: Path, tmp_path: Path) -> Path:
    """Return the child, for changing."""
    return Path(shutil.copytree(grown, tmp_path / "child"))


def edit(child: Path, change: dict[str, Any]) -> None:
    """Change entries of a folder's certificate; a dot leads into one."""
    values = json.loads((child / CERTIFICATE).read_bytes())
    for name, value in change.items():
        *outer, last = name.split(".")
        entry = values
        for each in outer:
            entry = entry[each]
        assert entry[last] != value
        entry[last] = value
    (child / CERTIFICATE).write_text(json.dumps(values), encoding="utf-8")


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


class TestWhatHolds:
    def test_a_child_that_was_not_measured_is_proved_now(self, parent: Path, grown: Path) -> None:
        before = stored_certificate(open_model(grown))
        found = certify(parent, grown, run=None)
        assert before is not None
        assert found.certificate is not None
        assert (before.measurements, before.regrown, before.batches) == ((), None, "none")
        assert (found.certificate.regrown, found.certificate.batches) == (True, "random tokens")
        assert found.measurements == found.certificate.measurements
        assert [each.context for each in found.measurements] == [16, 16, 16, 8, 8, 8]
        assert {each.max_logit_difference for each in found.measurements} == {0.0}
        assert found.unclaimed is None
        assert found.child_parameters == found.certificate.expected_parameters
        measured = {"batches", "measurements", "regrown", "norm_cliff"}
        assert found.certificate.model_dump(exclude=measured) == before.model_dump(exclude=measured)
        assert stored_certificate(open_model(grown)) == before

    def test_a_checkpoint_in_depth_and_width_for_more_context(
        self, saved: Callable[..., Path], tmp_path: Path, growth_of: GrowthOf
    ) -> None:
        sizes = {"layers": 3, "width": 24, "mlp": 80, "context": 64}
        first = grow(growth_of(saved(), tmp_path / "child", **sizes), run=None)
        again = certify(tmp_path / "saved", tmp_path / "child", run=None)
        assert again.certificate == first

    def test_an_approximate_child_with_more_tokens(
        self, saved: Callable[..., Path], tmp_path: Path, growth_of: GrowthOf
    ) -> None:
        more = extended(saved(), ("<|user|>",), pieces=True)
        growth = growth_of(
            tmp_path / "saved",
            tmp_path / "child",
            depth="stack",
            layers=4,
            tokenizer=more.tokenizer,
            new_tokens=more.new_tokens,
            measured=False,
        )
        grow(growth, run=None)
        found = certify(tmp_path / "saved", tmp_path / "child", run=None).certificate
        assert found is not None
        assert len(found.departures) == 2
        assert found.main is not None
        assert found.main.max_logit_difference > 0.01


class TestWhatDoesNot:
    def test_a_bit_of_a_folder_s_weights_that_was_flipped(self, parent: Path, child: Path) -> None:
        flip(child / "model.safetensors")
        words = r"weights are, to the last bit, .*; got others\. Try the child as it was grown"
        with pytest.raises(GrowthError, match=words):
            certify(parent, child, run=None)

    def test_a_bit_of_a_folder_that_it_was_grown_from(
        self, parent: Path, grown: Path, tmp_path: Path
    ) -> None:
        changed = Path(shutil.copytree(parent, tmp_path / "parent"))
        flip(changed / "model.safetensors")
        words = rf"the parent that the certificate names, \w+…; got \w+… in {changed}\. Try the par"
        with pytest.raises(GrowthError, match=words):
            certify(changed, grown, run=None)

    def test_a_bit_of_a_checkpoint(
        self, saved: Callable[..., Path], tmp_path: Path, growth_of: GrowthOf
    ) -> None:
        grow(growth_of(saved(), tmp_path / "child", layers=3, measured=False), run=None)
        for name in ("child", "saved"):  # from here on, the first one found is the parent's
            flip(tmp_path / name / "model.safetensors")
            words = (
                rf"{name}/model\.safetensors to have SHA-256 .*: the file was damaged or changed"
            )
            with pytest.raises(CheckpointError, match=words):
                certify(tmp_path / "saved", tmp_path / "child", run=None)

    def test_another_parent(self, folders: Path, grown: Path) -> None:
        with pytest.raises(GrowthError, match="the parent that the certificate names"):
            certify(folders / "qwen3", grown, run=None)

    def test_a_parent_of_the_same_weights_that_reads_them_otherwise(
        self, parent: Path, grown: Path, tmp_path: Path
    ) -> None:
        changed = Path(shutil.copytree(parent, tmp_path / "parent"))
        values = json.loads((changed / "config.json").read_bytes())
        values["rope_parameters"]["rope_theta"] = 500.0
        (changed / "config.json").write_text(json.dumps(values), encoding="utf-8")
        with pytest.raises(GrowthError, match=r"the plan .*; got \w+… from what it was asked for"):
            certify(changed, grown, run=None)

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"plan_sha256": 64 * "0"}, "the plan 000000000000…, as the certificate says; got "),
            ({"asked.seed": 7}, r"the plan \w+…, as the certificate says; got \w+… from what it"),
            ({"asked.operators.depth": "insert"}, r"the plan .*; got \w+… from what it was asked"),
            ({"asked.target.layers": 3}, r"the plan .*; got \w+… from what it was asked"),
            ({"asked.target.layers": 1}, r"at least its parent's layers; got 2 -> 1\."),
            ({"claim": "approximate"}, "claim to be exact, as it is found now; got approximate"),
            (
                {"departures": ["none"]},
                r"departures to be \[\], as it is found now; got \['none'\]",
            ),
            ({"sources": [0, 1, 1, 1]}, r"sources to be \[0, 1, 0, 1\], .* got \[0, 1, 1, 1\] in"),
            ({"child_parameters": 5}, "child_parameters to be .*, as it is found now; got 5 in"),
            ({"parent_config.layers": 3}, "parent_config to be .* Try the certificate as it was"),
        ],
    )
    def test_a_certificate_that_was_edited(
        self,
        *,
        parent: Path,
        child: Path,
        monkeypatch: pytest.MonkeyPatch,
        change: dict[str, Any],
        words: str,
    ) -> None:
        monkeypatch.setattr(certifying, "measure", lambda *_: ())
        edit(child, change)
        with pytest.raises(GrowthError, match=words):
            certify(parent, child, run=None)

    def test_a_certificate_beside_another_model(
        self, folders: Path, parent: Path, child: Path
    ) -> None:
        for name in ("config.json", "model.safetensors"):
            shutil.copy(folders / "llama" / name, child / name)
        words = r"layers=4; got layers=2\. Try the child as it was grown, with its own certificate"
        with pytest.raises(GrowthError, match=words):
            certify(parent, child, run=None)

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            ("{", "to be JSON; got "),
            ("[]", r"to hold a JSON object; got \[\]"),
            ("{}", "certificate in .* to be one of this version; got Field required"),
        ],
    )
    def test_a_file_that_is_no_certificate(
        self, *, parent: Path, child: Path, content: str, words: str
    ) -> None:
        (child / CERTIFICATE).write_text(content, encoding="utf-8")
        with pytest.raises((CheckpointError, StorageError), match=words):
            certify(parent, child, run=None)

    def test_a_child_with_a_smaller_vocabulary(
        self, folders: Path, saved: Callable[..., Path]
    ) -> None:
        words = r"its parent's vocabulary, of 300 tokens; got one of 270\. Try the child that was"
        with pytest.raises(CheckpointError, match=words):
            certify(folders / "mpt", saved(), run=None)


class TestWhatIsNotClaimed:
    def test_a_child_without_a_certificate_is_compared_all_the_same(self, folders: Path) -> None:
        found = certify(folders / "mistral", folders / "llama", run=None)
        assert found.certificate is None
        assert found.unclaimed == "it has no certificate, so it claims nothing"
        assert found.parent_parameters == found.child_parameters
        # Drawn alike, and of one shape: these two compute the same.
        assert {each.max_logit_difference for each in found.measurements} == {0.0}

    def test_a_child_that_was_trained_is_compared_all_the_same(self, finished: Path) -> None:
        stages = finished / "run/stages"
        grown = stages / "grown/training/final"
        found = certify(stages / "base/training/final", grown, run=None)
        assert found.certificate is None
        assert found.unclaimed == (
            "it was trained for 768 tokens since it was grown, and claims nothing now"
        )
        assert stored_certificate(open_model(grown)) is not None
        assert len(found.measurements) == 6
        assert all(each.max_logit_difference > 0 for each in found.measurements)


class TestBatches:
    def test_a_model_in_a_run_is_compared_on_its_held_out_text(self, finished: Path) -> None:
        run = RunFolder(path=finished / "run")
        before, after = (
            open_model(run.path / f"stages/{name}")
            for name in ("base/training/final", "grown/grown")
        )
        found = batches_for(before, after, None)
        assert found.kind == "held-out"
        assert [tuple(ids.shape) for ids in found.ids] == [(8, 17), (8, 9)]
        assert torch.equal(found.ids[0][0, :9], found.ids[1][0])
        assert certify(before.path, after.path, run=None).certificate is not None

    def test_one_from_elsewhere_is_compared_on_random_tokens_or_on_the_run_that_is_named(
        self, finished: Path, tmp_path: Path
    ) -> None:
        run = RunFolder(path=finished / "run")
        inside = open_model(run.path / "stages/base/training/final")
        outside = open_model(Path(shutil.copytree(inside.path, tmp_path / "outside")))
        found = batches_for(outside, outside, None)
        assert found.kind == "random tokens"
        assert [tuple(ids.shape) for ids in found.ids] == [(4, 17), (4, 9)]
        again = batches_for(outside, outside, None)
        assert all(torch.equal(*pair) for pair in zip(found.ids, again.ids, strict=True))
        assert all(int(ids.max()) < inside.config.vocab_size for ids in found.ids)
        named = batches_for(outside, outside, run)
        assert named.kind == "held-out"
        assert torch.equal(named.ids[0], batches_for(inside, inside, None).ids[0])

    def test_texts_in_other_tokens_are_refused(
        self, finished: Path, parent: Path, grown: Path
    ) -> None:
        with pytest.raises(CorpusError, match=f"to hold texts in the tokens of {parent}; got text"):
            certify(parent, grown, run=RunFolder(path=finished / "run"))

    @pytest.mark.parametrize(
        ("contexts", "longest", "compared"),
        [
            ((16, 16), 1024, [16, 8]),
            ((16, 12), 1024, [12, 6]),
            ((6, 16), 1024, [6, 3]),
            ((16, 16), 10, [10, 5]),
            ((1, 16), 1024, [1]),
        ],
    )
    def test_contexts_are_those_that_both_have_and_capped(
        self,
        *,
        saved: Callable[..., Path],
        monkeypatch: pytest.MonkeyPatch,
        contexts: tuple[int, int],
        longest: int,
        compared: list[int],
    ) -> None:
        monkeypatch.setattr(certifying, "LONGEST", longest)
        before, after = (
            open_model(saved(f"{place}", context=context)) for place, context in enumerate(contexts)
        )
        found = batches_for(before, after, None)
        assert [ids.shape[1] - 1 for ids in found.ids] == compared
