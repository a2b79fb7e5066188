"""Run folders that are taken, and disks that refuse: one line, and what was whole is kept."""

import errno
import os
import shutil
import subprocess

import pytest

from growlm.base.files import exclusive

FULL = "'No space left on device'"


def test_two_runs_in_one_folder_are_refused_and_the_log_can_still_be_drawn(
    *, growlm, refusal, again, contents, setting
):
    run, before = again / "run", contents(again)
    with exclusive(run / ".lock", holder="it"):
        line = refusal("run", again / "tiny.toml", "--out", run, *setting("seed=2"))
        assert growlm("log", run, "--quiet").returncode == 0
    assert line == (
        f"expected run folder {run} to be free; got another run in it (process {os.getpid()}). "
        "Try waiting for it, or another --out."
    )
    assert contents(again) == before


def test_a_folder_of_another_recipe_is_refused(refusal, again, contents, edit):
    edit(again / "tiny.toml", 'name = "tiny"', 'name = "other"')
    run, before = again / "run", contents(again)
    for command in ("run", "check"):
        assert refusal(command, again / "tiny.toml", "--out", run) == (
            f"expected run folder {run} to belong to recipe 'other'; got a run of recipe 'tiny'. "
            "Try --out runs/other."
        )
    assert contents(again) == before


@pytest.mark.parametrize("name", ["data", "tiny.toml"])
def test_a_folder_of_other_files_or_a_file_is_refused(refusal, recipe, contents, name):
    out, before = recipe.parent / name, contents(recipe.parent)
    for command in ("run", "check"):
        assert refusal(command, recipe, "--out", out) == (
            f"expected {out} to be a run's folder, or empty; got other files. Try another --out."
        )
    assert contents(recipe.parent) == before


def test_a_folder_below_a_file_or_of_an_endless_name_is_refused(refusal, recipe):
    line = refusal("run", recipe, "--out", recipe / "run")
    assert "expected a folder; got 'Not a directory' at " in line
    line = refusal("run", recipe, "--out", recipe.parent / ("x" * 300))
    assert "expected a name that the disk can hold; got 'File name too long' at " in line


def test_a_folder_that_is_no_run_s_or_has_no_texts_has_no_log(growlm, refusal, recipe, tmp_path):
    assert refusal("log", tmp_path / "none") == (
        f"expected a run's folder, with run.json in it; got {tmp_path / 'none'}. "
        "Try growlm run RECIPE --out FOLDER."
    )
    run = recipe.parent / "run"
    assert growlm("prepare", recipe, "--out", run).returncode == 0
    shutil.rmtree(run / "corpus/notes")
    assert refusal("log", run) == (
        f"expected run folder {run} to hold prepared sources; got none for notes. "
        "Try growlm prepare RECIPE."
    )


def test_a_folder_whose_record_is_damaged_is_refused(refusal, again):
    for content, words in (("{}", "to be of run format 1; got "), ("{", "to be JSON; got ")):
        (again / "run/run.json").write_text(content)
        for words_of in (
            ("log", again / "run"),
            ("run", again / "tiny.toml", "--out", again / "run"),
        ):
            assert f"run.json {words}" in refusal(*words_of)


def test_a_folder_that_this_user_may_not_write_to_is_refused(refusal, shared_recipe, as_nobody):
    home = shared_recipe.parent
    (home / "hidden").mkdir(mode=0)
    home.chmod(0o555)
    with as_nobody():
        for out in (home / "run", home / "hidden/run", home / "hidden"):
            line = refusal("run", shared_recipe, "--out", out)
            assert "expected a place this user may read and write; got 'Permission denied'" in line
            assert line.endswith("Try another path or --out, or chmod.")
    assert not (home / "run").exists()
    home.chmod(0o755)
    (home / "hidden").chmod(0o755)
    assert list((home / "hidden").iterdir()) == []


def test_a_full_disk_leaves_nothing_half_written(growlm, refusal, recipe, monkeypatch):
    def full(_descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    run = recipe.parent / "run"
    words = ("train", recipe, "--out", run, "--stage", "base", "--quiet")
    with monkeypatch.context() as patch:
        patch.setattr("growlm.base.files.os.fsync", full)
        line = refusal(*words)
    assert f"expected a disk with room left; got {FULL} at " in line
    assert line.endswith("Try freeing space or another --out.")
    assert [path.name for path in run.rglob("*") if path.is_file()] == [".lock"]
    assert growlm(*words).returncode == 0


def test_a_quota_keeps_what_was_whole_and_the_run_goes_on_later(refusal, recipe, forked, contents):
    run, other = recipe.parent / "run", recipe.parent / "other"
    words = ("train", recipe, "--stage", "base", "--quiet", "--out")
    for size in (1_000, 12_000, 60_000):
        line = refusal(*words, run, by=forked, limit_files=[size])
        assert "expected a disk quota with room left; got 'File too large' at " in line
        assert list(run.rglob("*.tmp")) == []
    assert (run / "stages/base/training/log.jsonl").is_file()
    assert not (run / "stages/base/training/final").exists()
    assert forked(*words, run).returncode == 0
    assert forked(*words, other).returncode == 0
    final = "stages/base/training/final"
    assert contents(run / final) == contents(other / final)


@pytest.fixture
def small_disk(tmp_path):
    """Return a folder on a disk of 400 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount, unmount = shutil.which("mount"), shutil.which("umount")
    if mount is None or unmount is None:
        pytest.skip("needs mount")
    mounting = [mount, "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)]
    if subprocess.run(mounting, check=False, capture_output=True).returncode:
        pytest.skip("needs the right to mount a disk")
    yield disk
    subprocess.run([unmount, "--lazy", str(disk)], check=True)  # weights may still be mapped


def test_a_disk_that_can_only_be_read_is_refused_and_read(growlm, refusal, again, small_disk):
    final = shutil.copytree(again / "run/stages/base/training/final", small_disk / "final")
    mount = str(shutil.which("mount"))
    subprocess.run([mount, "-o", "remount,ro", str(small_disk)], check=True)
    for words in (
        ("run", again / "tiny.toml", "--out", small_disk / "run"),
        ("grow", final, small_disk / "child", "--layers", 2),
    ):
        line = refusal(*words)
        assert "expected a disk that can be written; got 'Read-only file system' at " in line
    assert growlm("inspect", final).returncode == 0


def test_a_small_disk_is_noticed_before_training_and_survived_when_it_fills_up(
    *, growlm, refusal, recipe, small_disk, monkeypatch
):
    words = ("run", recipe, "--out", small_disk / "run", "--quiet")
    for line in (refusal(*words), refusal("train", *words[1:], "--stage", "base")):
        assert f" free for checkpoints at {small_disk / 'run'}; got " in line
        assert line.endswith(
            "Try freeing space, another --out, or fewer checkpoints (stage.keep, stage.keep_every)."
        )

    monkeypatch.setattr("growlm.pipeline.open.check_disk", lambda *_: None)
    assert f"expected a disk with room left; got {FULL}" in refusal(*words)
    assert list(small_disk.rglob("*.tmp")) == []
    whole = [path.parent for path in small_disk.rglob("checkpoint.json")]
    assert whole != []
    assert all(growlm("inspect", path).returncode == 0 for path in whole)
