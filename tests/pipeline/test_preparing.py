"""Preparing: killed at any moment, out of disk or out of a worker, it ends with the same bytes."""

import hashlib
import json
import shutil
import signal
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest

from growlm.corpus.signing import sign

PASSAGE = (
    "The lantern over the harbor wall went out twice before midnight, and each time the old "
    "keeper climbed the ninety steps, lit it again, and came down without a word to the boats"
)
SECTIONS = """[duplicates]
workers = 1

[overlap]
against = [{ name = "lambada", file = "data/lambada.jsonl" }]

[mixture]"""

KILLS = {
    "prepare:duplicates": [3, 90, 110],
    "prepare:overlap": [2, 31, 44],
    "prepare:tokenizer": [9, 20],
    "prepare:tales": [11, 60, 88],
    "prepare:notes": [20, 84],
}
"""For each step, after how many changes of the disk it is killed."""

TEXTS = {
    "prepare:duplicates": 150,
    "prepare:overlap": 130,
    "prepare:tokenizer": 40,
    "prepare:tales": 70,
    "prepare:notes": 30,
}
"""For each step, after how many texts it is killed in the middle of reading."""

QUOTAS = {
    "prepare:duplicates": 1_500,
    "prepare:overlap": 3_000,
    "prepare:tokenizer": 3_000,
    "prepare:tales": 20_000,
    "prepare:notes": 20_000,
}
"""For each step, a size that a file of its own goes beyond."""


def write_recipe(recipe: Path) -> Path:
    """Put copies of tales into the notes, a benchmark's passage into tales, and ask for both."""
    path = recipe.parent / "data/tales.jsonl"
    texts = [json.loads(line)["text"] for line in path.read_text().splitlines()]
    for number in range(1, 9):
        (recipe.parent / f"data/notes/copy{number}.txt").write_text(texts[number].upper())
    texts[::10] = [f"{text} {PASSAGE}" for text in texts[::10]]
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    (recipe.parent / "data/lambada.jsonl").write_text(json.dumps({"text": PASSAGE}))
    recipe.write_text(recipe.read_text().replace("[mixture]", SECTIONS))
    return recipe


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, write_tiny, forked) -> Path:
    """Return a folder with a recipe and its run, which nothing disturbed; for reading only."""
    folder = tmp_path_factory.mktemp("undisturbed")
    done = forked("prepare", write_recipe(write_tiny(folder)), "--out", folder / "run")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def searched(recipe) -> Path:
    return write_recipe(recipe)


def corpus(folder: Path, *, prepared_in: Path | None = None) -> dict[str, str]:
    """Return the SHA-256 of every file of a run's corpus, wherever it was prepared."""
    place, own = folder / "run/corpus", str(prepared_in or folder).encode()
    return {
        str(path.relative_to(place)): hashlib.sha256(
            path.read_bytes().replace(own, b"")
        ).hexdigest()
        for path in sorted(place.rglob("*"))
        if path.is_file()
    }


def litter(folder: Path) -> list[Path]:
    return [*(folder / "run").rglob("*.tmp"), *(folder / "run").rglob("parts")]


def killed(forked: Callable[..., Any], recipe: Path, step: str, **mishap) -> None:
    done = forked("prepare", recipe, "--out", recipe.parent / "run", **mishap)
    assert done.returncode == -signal.SIGKILL, done.stderr
    begun = [line for line in done.stderr.splitlines() if line.startswith("prepare:")]
    assert begun[-1] == f"{step} …"


def test_a_preparation_killed_in_every_step_ends_with_the_same_bytes(searched, forked, undisturbed):
    for step, moments in KILLS.items():
        for moment in moments:
            killed(forked, searched, step, kill_at=[step, moment])
    assert forked("prepare", searched, "--out", searched.parent / "run").returncode == 0
    assert corpus(searched.parent) == corpus(undisturbed)
    assert litter(searched.parent) == []


def test_a_preparation_killed_while_it_reads_ends_with_the_same_bytes(
    searched, forked, undisturbed
):
    for step, texts in TEXTS.items():
        killed(forked, searched, step, kill_in_text=[step, texts])
    assert forked("prepare", searched, "--out", searched.parent / "run").returncode == 0
    assert corpus(searched.parent) == corpus(undisturbed)
    assert litter(searched.parent) == []


def test_a_disk_that_is_full_in_any_step_is_told_and_the_next_run_goes_on(
    searched, forked, undisturbed
):
    words = ("prepare", searched, "--out", searched.parent / "run")
    for step, size in QUOTAS.items():
        if step != "prepare:duplicates":
            killed(forked, searched, step, kill_at=[step, 1])
        done = forked(*words, limit_files=[size])
        *before, last = done.stderr.splitlines()
        assert done.returncode == 1
        assert [line for line in before if line.startswith("prepare:")][-1] == f"{step} …"
        assert "expected a disk quota with room left; got 'File too large' at " in last
        assert [*(searched.parent / "run").rglob("*.tmp")] == []
        assert not (searched.parent / "run/corpus" / step[8:] / "facts.json").exists()
    assert forked(*words).returncode == 0
    assert corpus(searched.parent) == corpus(undisturbed)
    assert litter(searched.parent) == []


class Mortal:
    """A pool of one worker, here, which dies of the second task as often as it is told."""

    deaths = 0

    def __init__(self, *_, **__):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def shutdown(self, **_):
        pass

    def submit(self, work, *arguments, **options):
        future = Future()
        if arguments[2] == 1 and Mortal.deaths:
            Mortal.deaths -= 1
            future.set_exception(BrokenProcessPool("killed"))
        else:
            future.set_result(work(*arguments, **options))
        return future


def test_a_worker_that_dies_is_told_and_the_next_run_signs_the_rest(
    *, searched, growlm, undisturbed, monkeypatch
):
    def signed(task, out, number):
        tasks.append(number)
        return sign(task, out, number)

    tasks = []
    monkeypatch.setattr("growlm.corpus.engine.ProcessPoolExecutor", Mortal)
    monkeypatch.setattr("growlm.corpus.duplicates.sign", signed)
    head, rest = searched.read_text().replace("workers = 1", "workers = 2").split("[overlap]")
    searched.write_text(head + rest[rest.index("[mixture]") :])
    words = ("prepare", searched, "--out", searched.parent / "run", "--quiet")
    Mortal.deaths = 2
    done = growlm(*words)
    assert done.returncode == 1
    assert "expected a worker that lives through task 1 (" in done.stderr
    assert "got one that was killed twice. Try more memory, fewer workers, or " in done.stderr
    assert (tasks, Mortal.deaths) == ([0], 0)
    assert growlm(*words).returncode == 0
    assert tasks == [0, 1]
    found, expected = corpus(searched.parent), corpus(undisturbed)
    same = [path for path in expected if path.startswith("duplicates/") or path.endswith(".bin")]
    assert {path: found[path] for path in same} == {path: expected[path] for path in same}


@pytest.mark.parametrize("name", ["train/00000.bin", "validation/00000.idx", "train/00000.mask"])
def test_a_shard_that_was_cut_is_told_and_its_source_alone_is_packed_again(
    *, tmp_path, forked, undisturbed, name
):
    folder = Path(shutil.copytree(undisturbed, tmp_path / "again"))
    words = ("prepare", folder / "tiny.toml", "--out", folder / "run")
    place = folder / "run/corpus/tales"
    (place / name).write_bytes((place / name).read_bytes()[:-2])
    done = forked(*words)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"growlm: expected {place / name} as it was written; got ")
    assert last.endswith(f"Try removing {place}: the source is then packed again.")
    shutil.rmtree(place)
    assert forked(*words).stderr.count("skipped") == 4
    assert corpus(folder, prepared_in=undisturbed) == corpus(undisturbed)


def test_shards_from_elsewhere_are_the_same_whatever_disturbs_their_fetching(
    recipe, forked, undisturbed
):
    theirs = undisturbed / "run/corpus"
    text = recipe.read_text().replace("vocab_size = 300", f'file = "{theirs}/tokenizer.json"')
    for source, files in (("tales", "data/tales.jsonl"), ("notes", "data/notes")):
        text = text.replace(f'files = ["{files}"]', f'shards = "{theirs}/{source}"')
    recipe.write_text(text)
    words = ("prepare", recipe, "--out", recipe.parent / "run")
    done = forked(*words, limit_files=[20_000])
    assert done.returncode == 1
    assert "got 'File too large' at " in done.stderr
    assert not [path for path in (recipe.parent / "run/corpus/tales").rglob("*") if path.is_file()]
    for moment in (4, 25, 30, 10):
        killed(forked, recipe, "prepare:tales", kill_at=["prepare:tales", moment])
    assert forked(*words).returncode == 0
    found, expected = corpus(recipe.parent), corpus(undisturbed)
    assert found == {path: expected[path] for path in found}
    assert len(found) == 1 + sum(path.startswith(("tales/", "notes/")) for path in expected)
    assert litter(recipe.parent) == []
