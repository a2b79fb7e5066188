"""Checkpoints from Python: what they give is what the commands give."""

import shutil
from pathlib import Path

import pytest
import torch

import growlm as package
from growlm.base.errors import CheckpointError, RecipeError


@pytest.fixture
def base(finished: Path) -> Path:
    return finished / "run/stages/base/training/final"


def test_a_checkpoint_is_loaded_with_its_weights_and_its_tokenizer(base: Path):
    loaded = package.load(str(base))
    model, tokenizer = loaded.model(), loaded.tokenizer
    ids = tokenizer.encode(["the river of the garden"])
    assert tokenizer.decode(ids[0]) == "the river of the garden"
    with torch.no_grad():
        logits = model.logits(torch.tensor(ids))
    assert logits.shape == (1, len(ids[0]), loaded.config.vocab_size)
    assert not model.training
    assert loaded.inspect()["stage"] == "base"
    assert loaded.certificate is None


def test_a_child_grown_from_python_is_the_one_that_the_command_grows(
    growlm, base: Path, tmp_path: Path
):
    child = package.grow(base, tmp_path / "a" / "child", layers=2, mlp=96, seed=3)
    words = ("--layers", 2, "--mlp", 96, "--seed", 3)
    assert growlm("grow", base, tmp_path / "b" / "child", *words).returncode == 0
    other = package.load(tmp_path / "b" / "child")
    assert child.config == other.config
    assert child.certificate == other.certificate
    assert child.inspect()["files"] == other.inspect()["files"]
    assert package.certify(base, child).certificate == child.certificate


def test_an_exact_child_scores_as_its_parent_and_gives_it_back(base: Path, tmp_path: Path):
    run = base.parents[3]
    child = package.grow(base, tmp_path / "child", layers=3, depth="insert", run=run)
    one, *_ = package.evaluate(base)
    other, *_ = package.evaluate(child, run=run)
    assert other.bits_per_byte == pytest.approx(one.bits_per_byte, rel=1e-5)
    assert package.shrink(child, tmp_path / "parent").child_tokens == 0
    assert package.load(tmp_path / "parent").config == package.load(base).config


def test_averages_imports_and_exports_work_from_python(base: Path, tmp_path: Path):
    other = shutil.copytree(base, tmp_path / "other")
    mean = package.average([package.load(base), other], out=tmp_path / "mean")
    assert package.export(mean, tmp_path / "hf", license_id="mit").family == "MPT"
    assert 'license: "mit"' in (tmp_path / "hf" / "README.md").read_text(encoding="utf-8")
    assert package.inspect(mean)["shape"]["layers"] == mean.config.layers
    back = package.import_folder(tmp_path / "hf", tmp_path / "back")
    assert back.config == package.load(tmp_path / "hf").config
    assert (back.config.layers, back.config.width) == (mean.config.layers, mean.config.width)


def test_advice_is_the_command_s_and_a_probe_measures_beside_it(finished: Path, base: Path):
    run = finished / "run"
    found = package.advise(base, tokens=1_000_000, layers=2)
    assert found.advice.sizes == {"layers": (1, 2)}
    assert found.probed == ()
    told = []
    probe = package.Probe(run=run, steps=1, peak_lr=1e-3, batch=None, seed=0)
    probed = package.advise(base, tokens=1_000_000, layers=2, probe=probe, tell=told.append)
    assert probed.advice.order == found.advice.order
    assert [row.layers for row in probed.probed][:2] == [1, 2]
    assert told


def test_mistakes_are_the_commands_own(base: Path, tmp_path: Path):
    with pytest.raises(RecipeError, match=r"expected a size of the child; got none\. Try layers="):
        package.grow(base, tmp_path / "child")
    with pytest.raises(RecipeError, match="expected a size of the child; got none"):
        package.advise(base, tokens=1_000)
    with pytest.raises(CheckpointError, match="nowhere"):
        package.load(tmp_path / "nowhere")
