"""Masked tokens in a run: served like all others, read, and not learned."""

import json
import signal
import struct
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest

from growlm import checkpoint
from growlm.base.errors import PREEMPTED, CorpusError
from growlm.pipeline.data import (
    batch_at,
    batcher,
    check_same_data,
    manifest,
    packed_sources,
    stage_data,
)
from growlm.pipeline.folder import RunFolder
from growlm.pipeline.open import recorded_plan
from growlm.pipeline.viewing import run_view
from growlm.runlog import Step, read

OVERLAP = """[overlap]
against = [{ name = "quiz", file = "data/quiz.jsonl" }]

[mixture]"""
CHILD = """
[[stage]]
name = "child"
grow = { from = "./run/stages/base/training/final", layers = 2 }
context = 16
tokens = 512
batch = 128
optimizer = { peak_lr = 1e-2 }
schedule = { kind = "cosine", warmup_steps = 1 }
"""
REPORT = ("--set", 'overlap.action="report"')
NOTES_REPORT = ("--set", 'overlap.actions={notes = {quiz = "report"}}')
"""No other masks: nothing of the quiz stands in the notes."""
STAGES = ("base", "grown")


@pytest.fixture(scope="module")
def write_quiz(write_tiny: Callable[[Path], Path]) -> Callable[[Path], Path]:
    """Return a function: a folder -> the tiny recipe, with every third tale in a benchmark."""

    def write(folder: Path) -> Path:
        recipe = write_tiny(folder)
        tales = (folder / "data/tales.jsonl").read_text(encoding="utf-8").splitlines()
        (folder / "data/quiz.jsonl").write_text("\n".join(tales[::3]) + "\n", encoding="utf-8")
        text = recipe.read_text(encoding="utf-8").replace("[mixture]", OVERLAP)
        recipe.write_text(text, encoding="utf-8")
        return recipe

    return write


@pytest.fixture
def quiz(tmp_path: Path, write_quiz: Callable[[Path], Path]) -> Path:
    """Return that recipe, with which nothing has been done."""
    return write_quiz(tmp_path)


@pytest.fixture(scope="module")
def run(
    tmp_path_factory: pytest.TempPathFactory,
    write_quiz: Callable[[Path], Path],
    forked: Callable[..., CompletedProcess[str]],
) -> RunFolder:
    """Return the folder of a base and its child, both trained on masked tales, undisturbed."""
    recipe = write_quiz(tmp_path_factory.mktemp("masked"))
    folder = RunFolder(path=recipe.parent / "run")
    done = forked("train", recipe, "--out", folder.path, "--stage", "grown")
    assert done.returncode == 0, done.stderr
    return folder


def targets_of(folder: Path) -> np.ndarray:
    """Return which tokens of a source's shards stand in no range of its ``.mask`` files."""
    parts = []
    for shard in json.loads((folder / "manifest.json").read_bytes())["shards"]:
        part = np.ones(shard["n_tok"], dtype=bool)
        path = folder / f"{shard['name']}.mask"
        content = path.read_bytes() if path.is_file() else b""
        for first, last in struct.iter_unpack("<QQ", content[16:]):
            part[first:last] = False
        parts.append(part)
    return np.concatenate(parts)


@pytest.mark.parametrize("stage", STAGES)
def test_the_targets_that_count_are_those_no_mask_holds(run: RunFolder, stage: str) -> None:
    plan = recorded_plan(run)
    data = stage_data(plan, plan.stage(stage), packed_sources(plan, run))
    count = data.last_cursor - data.first_cursor
    batch = batch_at(batcher(data, run), data.first_cursor, count, masked=False)
    drawn = data.sampler.samples(data.first_cursor, count)
    starts = data.sampler.starts(drawn)
    names = [source.name for source in data.sampler.sources]
    targets = [targets_of(run.corpus / name / "train") for name in names]
    assert batch.counted is not None
    for row, source, start in zip(batch.counted.tolist(), drawn.source, starts, strict=True):
        assert row == targets[source][start + 1 : start + 1 + len(row)].tolist()
    assert 0.1 < batch.counted_targets / batch.targets < 0.9
    assert targets[names.index("notes")].all()


@pytest.mark.parametrize("stage", STAGES)
def test_a_run_with_masks_stands_where_it_would_without_and_learned_something_else(
    run: RunFolder, finished: Path, stage: str
) -> None:
    plain = RunFolder(path=finished / "run")
    ours, theirs = (checkpoint.read_meta(each.final(stage)) for each in (run, plain))
    assert ours.data is not None
    assert theirs.data is not None
    assert (ours.data.sources, ours.data.cursor) == (theirs.data.sources, theirs.data.cursor)
    assert ours.data.sampler == theirs.data.sampler
    assert ours.data.masks == {"tales": manifest(run, "tales", "train").mask_id}
    assert theirs.data.masks == {}
    assert ours.weights_sha256 != theirs.weights_sha256
    assert ours.tokens == theirs.tokens
    steps = [
        [each.tokens for each in read(folder.log(stage)) if isinstance(each, Step)]
        for folder in (run, plain)
    ]
    assert steps[0] == steps[1]


def test_a_run_with_masks_that_was_stopped_and_killed_ends_with_the_same_bits(
    run: RunFolder,
    quiz: Path,
    forked: Callable[..., CompletedProcess[str]],
    outcome: Callable[[Path], dict[str, str]],
) -> None:
    out = quiz.parent / "run"
    words = ("train", quiz, "--out", out, "--stage", "grown")
    assert forked(*words, signal_at=[signal.SIGTERM, 5]).returncode == PREEMPTED
    assert forked(*words, kill_at=["train:grown", 30]).returncode == -signal.SIGKILL
    assert forked(*words).returncode == 0
    assert outcome(out) == outcome(run.path)


def test_another_action_trains_the_stages_that_read_its_source_anew(
    *,
    run: RunFolder,
    finished: Path,
    quiz: Path,
    growlm: Callable[..., CompletedProcess[str]],
    steps: Callable[..., list[str]],
) -> None:
    out = quiz.parent / "run"
    words = ("train", quiz, "--out", out, "--stage", "base", "--json")
    assert steps(growlm(*words), "done")[-1] == "train:base"
    assert steps(growlm(*words), "done") == []
    assert steps(growlm(*words, *NOTES_REPORT), "skipped")[-1] == "train:base"
    assert steps(growlm(*words, *REPORT), "done")[-1] == "train:base"
    ours, theirs, plain = (
        checkpoint.read_meta(RunFolder(path=each).final("base"))
        for each in (out, run.path, finished / "run")
    )
    assert ours.weights_sha256 == plain.weights_sha256 != theirs.weights_sha256
    assert ours.data == plain.data


def test_a_stage_that_does_not_read_the_masked_source_knows_no_mask(
    quiz: Path,
    growlm: Callable[..., CompletedProcess[str]],
    steps: Callable[..., list[str]],
) -> None:
    out = quiz.parent / "run"
    words = ("train", quiz, "--out", out, "--stage", "base", "--json")
    words = (*words, "--set", "stage.base.weights={tales = 0.0}")
    assert steps(growlm(*words), "done")[-1] == "train:base"
    data = checkpoint.read_meta(RunFolder(path=out).final("base")).data
    assert data is not None
    assert data.masks == {}
    assert steps(growlm(*words, *REPORT), "skipped")[-1] == "train:base"


def test_a_checkpoint_goes_on_under_its_own_masks_only(run: RunFolder) -> None:
    meta = checkpoint.read_meta(run.final("grown"))
    assert meta.data is not None
    check_same_data(meta, meta.data, path="here")
    for masks in ({}, {"tales": "0" * 64}):
        other = meta.data.model_copy(update={"masks": masks})
        with pytest.raises(CorpusError) as refused:
            check_same_data(meta, other, path="here")
        assert str(refused.value) == (
            "expected the masks on tales that checkpoint here was trained under; got others: the "
            "same tokens in the same order, but not the same carry loss. Try the [overlap] it "
            "began with, or training the stage anew."
        )


@pytest.mark.parametrize("words", [(), REPORT], ids=["same masks", "no masks"])
def test_a_child_from_outside_goes_on_where_its_parent_stopped_whatever_the_masks(
    run: RunFolder,
    quiz: Path,
    growlm: Callable[..., CompletedProcess[str]],
    words: tuple[str, ...],
) -> None:
    head, _, _ = quiz.read_text(encoding="utf-8").partition("[[stage]]")
    stage = CHILD.replace("./run", str(run.path))
    quiz.write_text(head + stage, encoding="utf-8")
    out = RunFolder(path=quiz.parent / "child-run")
    done = growlm("train", quiz, "--out", out.path, "--stage", "child", *words)
    assert done.returncode == 0, done.stderr
    assert "sampler starts at 0" not in done.stderr
    data = checkpoint.read_meta(out.final("child")).data
    assert data is not None
    assert data.cursor == 64 + 32
    assert bool(data.masks) is not bool(words)


def test_the_log_knows_how_many_tokens_of_each_source_carry_no_loss(run: RunFolder) -> None:
    view = run_view(recorded_plan(run), run, version="0")
    found = {source.name: source.masked_tokens for source in view.sources}
    expected = int((~targets_of(run.corpus / "tales/train")).sum())
    assert found == {"tales": expected, "notes": 0}
    assert expected > 1_000


def test_held_out_tokens_have_no_masks(run: RunFolder) -> None:
    assert not list(run.corpus.glob("*/validation/*.mask"))
    assert not manifest(run, "tales", "validation").is_masked
