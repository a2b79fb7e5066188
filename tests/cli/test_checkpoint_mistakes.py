"""Checkpoints that are damaged, of another kind, or asked for the impossible."""

import shutil
import signal

import pytest

FILES = ["model.safetensors", "optimizer.safetensors", "tokenizer.json", "checkpoint.json"]


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_is_refused_by_every_command_that_reads_it(
    refusal, again, flip, contents, *, name
):
    run = again / "run"
    final = run / "stages/grown/training/final"
    other = next((run / "stages/grown/training").glob("step-*"))
    flip(final / name)
    before = contents(run)
    for words in (
        ("inspect", final),
        ("evaluate", final, "--quiet"),
        ("grow", final, again / "child", "--layers", 4),
        ("average", final, other, "--out", again / "average"),
    ):
        line = refusal(*words)
        assert f"expected {final / name} to " in line
        assert "damaged or changed" in line
    assert contents(run) == before
    assert not (again / "child").exists()
    assert not (again / "average").exists()
    assert not list(again.glob(".*"))


def test_a_run_does_not_grow_from_a_damaged_parent(refusal, again, flip):
    shutil.rmtree(again / "run/stages/grown")
    flip(again / "run/stages/base/training/final/model.safetensors")
    line = refusal("run", again / "tiny.toml", "--out", again / "run", "--quiet")
    assert "base/training/final/model.safetensors to have SHA-256" in line
    assert not (again / "run/stages/grown").exists()


@pytest.mark.parametrize("kind", ["missing", "a file", "a folder of other things"])
def test_a_folder_that_holds_no_checkpoint_is_refused(refusal, finished, tmp_path, kind):
    path = tmp_path / "path"
    if kind == "a file":
        path.write_text("text")
    if kind == "a folder of other things":
        path.mkdir()
        (path / "notes.txt").write_text("text")
    final = finished / "run/stages/base/training/final"
    for words in (
        ("inspect", path),
        ("evaluate", path),
        ("average", final, path, "--out", tmp_path / "average"),
    ):
        assert refusal(*words) == (
            f"expected a checkpoint's folder, with checkpoint.json in it; got {path}. "
            "Try a folder under runs/*/stages."
        )
    for words in (
        ("grow", path, tmp_path / "child", "--layers", 4),
        ("certify", path, final),
        ("certify", final, path),
        ("shrink", path, tmp_path / "parent"),
    ):
        assert refusal(*words) == (
            "expected a checkpoint's folder, with checkpoint.json in it, or a Hugging Face one, "
            f"with config.json; got {path}. Try a folder under runs/*/stages, or one that "
            "save_pretrained wrote."
        )


def test_a_checkpoint_without_one_of_its_files_is_refused(refusal, again):
    final = again / "run/stages/base/training/final"
    (final / "tokenizer.json").unlink()
    line = refusal("inspect", final)
    assert f"expected tokenizer.json in {final}; got no such file." in line


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (
            ["--layers", 1],
            "expected a child with at least its parent's layers; got 2 -> 1. Try layers=4.",
        ),
        (
            ["--layers", 4, "--depth", "interleav"],
            "expected a depth operator, one of interleave, stack, insert, solar, middle, "
            "middle-layerwise, append, explicit; got 'interleav'. Try interleave.",
        ),
        (
            ["--layers", 4, "--optimizer-state", "cpoy"],
            "expected an optimizer_state, one of drop, copy, asymmetric, exact; got 'cpoy'. "
            "Try copy.",
        ),
        (
            ["--layers", 4, "--run", "nowhere"],
            "expected a run's folder, with run.json in it; got nowhere. "
            "Try growlm run RECIPE --out FOLDER.",
        ),
    ],
)
def test_growth_to_the_impossible_is_refused(refusal, finished, tmp_path, *, options, line):
    final = finished / "run/stages/grown/training/final"
    assert refusal("grow", final, tmp_path / "child", *options) == line
    assert list(tmp_path.iterdir()) == []


def test_growth_onto_what_is_there_is_refused_and_leaves_it(refusal, finished, tmp_path):
    child = tmp_path / "child"
    child.write_text("mine")
    line = refusal("grow", finished / "run/stages/base/training/final", child, "--layers", 4)
    assert line == (
        f"expected no file or folder at {child} yet; got one. Try another name for the child."
    )
    assert child.read_text() == "mine"


def test_growth_is_not_judged_on_texts_of_another_tokenizer(
    *, growlm, refusal, finished, recipe, setting
):
    run, child = recipe.parent / "run", recipe.parent / "child"
    words = ("prepare", recipe, "--out", run, *setting("tokenizer.vocab_size=310"))
    assert growlm(*words).returncode == 0
    final = finished / "run/stages/base/training/final"
    assert refusal("grow", final, child, "--layers", 2, "--run", run) == (
        f"expected run {run} to hold texts in the tokens of {final}; got texts in those of "
        "another tokenizer, or none. Try leaving --run out."
    )
    assert not child.exists()


def test_one_checkpoint_or_one_twice_is_no_average(refusal, finished, tmp_path):
    final, out = finished / "run/stages/grown/training/final", tmp_path / "average"
    line = refusal("average", final, "--out", out)
    assert line == "expected at least two checkpoints to average; got 1. Try naming more."
    line = refusal("average", final, final.parent / ".." / "training" / "final", "--out", out)
    assert line.startswith(f"expected each checkpoint once; got {final} twice. Try ")
    assert not out.exists()


def test_checkpoints_of_two_stages_have_no_average(refusal, finished, tmp_path):
    paths = [finished / f"run/stages/{name}/training/final" for name in ("grown", "scratch")]
    assert refusal("average", *paths, "--out", tmp_path / "average") == (
        "expected checkpoints of one stage; got grown, scratch. Try leaving the others out."
    )


def test_checkpoints_of_two_runs_have_no_average(*, growlm, refusal, finished, recipe, setting):
    run = recipe.parent / "run"
    words = ("train", recipe, "--out", run, "--stage", "base", "--quiet", *setting("seed=2"))
    assert growlm(*words).returncode == 0
    paths = [each / "stages/base/training/final" for each in (finished / "run", run)]
    assert refusal("average", *paths, "--out", recipe.parent / "average") == (
        "expected checkpoints of one run; got stage 'base' of two runs, with other parents or "
        "other data. Try leaving the others out."
    )


def test_a_signal_while_a_checkpoint_is_written_leaves_nothing(
    refusal, finished, tmp_path, monkeypatch
):
    place = finished / "run/stages/grown/training"
    paths = [place / "final", *place.glob("step-*")]
    monkeypatch.setattr(
        "growlm.checkpoint.write_json", lambda *_: signal.raise_signal(signal.SIGTERM)
    )
    for words in (
        ("grow", paths[0], tmp_path / "child", "--layers", 4),
        ("average", *paths, "--out", tmp_path / "average"),
    ):
        line = refusal(*words, code=75)
        assert "got signal 15; what was whole before is kept." in line
    assert list(tmp_path.iterdir()) == []


def test_an_average_onto_what_is_there_is_refused_and_leaves_it(refusal, again):
    place = again / "run/stages/grown/training"
    paths = [place / "final", *place.glob("step-*")]
    line = refusal("average", *paths, "--out", again / "data")
    assert f"expected no file or folder at {again / 'data'} yet; got one." in line
    assert (again / "data/tales.jsonl").is_file()


def test_a_hugging_face_folder_in_the_place_of_a_checkpoint_is_to_be_imported(refusal, tmp_path):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "config.json").write_text("{}")
    assert refusal("inspect", theirs) == (
        f"expected a checkpoint's folder, with checkpoint.json in it; got {theirs}, a Hugging "
        f"Face folder. Try growlm import {theirs} CKPT."
    )
