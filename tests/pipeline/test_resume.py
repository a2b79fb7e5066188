"""Resuming: whatever kills a run, and whenever, it ends with the bits it would have had."""

import itertools
import json
import math
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from growlm import checkpoint
from growlm.base.errors import PREEMPTED
from growlm.pipeline.events import Progress
from growlm.pipeline.folder import opened
from growlm.pipeline.keeping import latest_checkpoint
from growlm.runlog import Notice, Rollback, Start, ValidationLoss, read
from growlm.tensorfile import load_tensors

KILLS = {
    "prepare:tokenizer": [7],
    "prepare:tales": [23, 61],
    "prepare:notes": [48],
    "train:base": [9, 52],
    "evaluate:base": [8],
    "grow:grown": [21],
    "train:grown": [30, 57],
    "average:grown": [17],
    "evaluate:grown": [3],
    "train:scratch": [44],
    "evaluate:scratch": [10],
    "log": [14],
}
"""For each step, after how many changes of the disk a run is killed in it."""


@pytest.fixture(scope="module")
def reference(tmp_path_factory, write_tiny, forked, outcome):
    """Return the outcome of a run that nothing disturbed."""
    recipe = write_tiny(tmp_path_factory.mktemp("reference"))
    done = forked("run", recipe, "--out", recipe.parent / "run")
    assert done.returncode == 0, done.stderr
    return outcome(recipe.parent / "run")


PLACE = "stages/base/training"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, write_tiny, forked):
    """Return a recipe, beside which lies a run that was prepared and nothing more."""
    recipe = write_tiny(tmp_path_factory.mktemp("prepared"))
    assert forked("prepare", recipe, "--out", recipe.parent / "run").returncode == 0
    return recipe


@pytest.fixture
def base(prepared, tmp_path):
    """Return a prepared run's folder, and the words that train its first stage there."""
    run = shutil.copytree(prepared.parent / "run", tmp_path / "run")
    return run, ("train", prepared, "--out", run, "--stage", "base")


def logged(run: Path, kind: type) -> list[Any]:
    """Return the records of one kind in the log of the first stage."""
    return [each for each in read(run / PLACE / "log.jsonl") if isinstance(each, kind)]


def litter(run: Path) -> list[Path]:
    return [path for path in run.rglob("*.tmp") if "superseded" not in path.parts]


def of_base(found: dict[str, str]) -> dict[str, str]:
    return {name: digest for name, digest in found.items() if "base/training/final" in name}


def test_a_run_killed_in_every_step_ends_with_the_same_bits(recipe, forked, reference, outcome):
    run = recipe.parent / "run"
    for step, moments in KILLS.items():
        for moment in moments:
            done = forked("run", recipe, "--out", run, kill_at=[step, moment])
            assert done.returncode == -signal.SIGKILL, done.stderr
            assert done.stderr.splitlines()[-1] == f"{step} …"
    assert forked("run", recipe, "--out", run).returncode == 0
    assert outcome(run) == reference
    assert litter(run) == []


def test_a_run_killed_after_any_time_ends_with_the_same_bits(recipe, forked, reference, outcome):
    run, stream = recipe.parent / "run", np.random.default_rng(12)
    kills, code = -1, -signal.SIGKILL
    while code == -signal.SIGKILL:
        kills += 1
        # Longer and longer, so that the slowest machine gets somewhere.
        seconds = 0.2 * 1.2**kills * stream.uniform(0.5, 1.0)
        code = forked("run", recipe, "--out", run, after_seconds=seconds).returncode
    assert code == 0
    assert kills >= 5
    assert outcome(run) == reference
    assert litter(run) == []


def test_another_seed_ends_with_other_bits(recipe, forked, reference, outcome):
    words = ("--out", recipe.parent / "run", "--stage", "base")
    assert forked("train", recipe, *words, "--set", "seed=2").returncode == 0
    found = of_base(outcome(recipe.parent / "run"))
    assert set(found) == set(of_base(reference))
    weights = "stages/base/training/final/model.safetensors"
    assert found[weights] != reference[weights]


def test_a_run_killed_while_its_folder_is_opened_can_be_opened_again(recipe, forked):
    for chances in range(1, 17):
        run = recipe.parent / f"run-{chances}"
        assert forked("prepare", recipe, "--out", run, kill_at=[None, chances]).returncode == -9
        with opened(run, name="tiny", recipe=recipe, overrides=()) as folder:
            assert (folder.path / "recipe.toml").read_bytes() == recipe.read_bytes()
        assert litter(run) == []


def test_an_edit_taken_back_while_it_was_being_carried_out_leaves_no_trace(
    recipe, forked, reference, outcome
):
    run, stream = recipe.parent / "run", np.random.default_rng(13)
    edits = itertools.cycle([("--set", "tokenizer.vocab_size=310"), ()])
    assert forked("prepare", recipe, "--out", run).returncode == 0
    for chances in stream.integers(20, 80, size=10).tolist():
        done = forked("prepare", recipe, "--out", run, *next(edits), kill_at=[None, chances])
        assert done.returncode == -signal.SIGKILL, done.stderr
    assert forked("train", recipe, "--out", run, "--stage", "base").returncode == 0
    assert outcome(run).items() <= reference.items()
    assert litter(run) == []


@pytest.mark.parametrize(
    ("number", "step"),
    [(signal.SIGTERM, 4), (signal.SIGINT, 5), (signal.SIGUSR1, 8)],
    ids=["SIGTERM, where it would be validated", "Ctrl-C", "SIGUSR1 at the last step"],
)
def test_a_signal_in_training_saves_first_and_the_next_run_goes_on_from_there(
    recipe, forked, reference, outcome, *, number, step
):
    run = recipe.parent / "run"
    done = forked("run", recipe, "--out", run, signal_at=[number, step])
    assert done.returncode == (130 if number == signal.SIGINT else PREEMPTED)
    assert done.stderr.splitlines()[-1] == (
        f"growlm: expected the run to end; got signal {int(number)}; stage 'base' was saved at "
        f"step {step} of 8. Try the same command again: it goes on from there."
    )
    saved = run / "stages/base/training" / ("final" if step == 8 else f"step-{step:08}")
    assert forked("inspect", saved).returncode == 0
    assert not (run / "stages/base/evaluation.json").exists()
    assert forked("train", recipe, "--out", run, "--stage", "base").returncode == 0
    assert of_base(outcome(run)) == of_base(reference)
    assert [each.step for each in logged(run, ValidationLoss)] == [0, 4, 8]


def test_a_second_signal_leaves_at_once_and_the_last_whole_checkpoint_stays(
    base, forked, reference, outcome
):
    run, words = base
    done = forked(*words, signal_at=[signal.SIGTERM, 5], signal_in_save=["step-00000005", 15, 0.0])
    assert done.returncode == 128 + signal.SIGTERM
    assert "got signal 15; what was whole before is kept." in done.stderr
    assert latest_checkpoint(run / PLACE) == run / PLACE / "step-00000004"
    assert forked(*words).returncode == 0
    assert of_base(outcome(run)) == of_base(reference)


def test_a_checkpoint_that_is_not_whole_within_the_grace_is_left(base, forked, reference, outcome):
    run, words = base
    assert forked(*words, "--grace", "20s", signal_at=[signal.SIGTERM, 3]).returncode == PREEMPTED
    slow = {"signal_at": [signal.SIGTERM, 5], "signal_in_save": ["step-00000005", 0, 10.0]}
    done = forked(*words, "--grace", "0.2s", **slow)
    assert done.returncode == 128 + signal.SIGTERM
    assert "no checkpoint was whole within 0.2 s (--grace); what was whole before is" in done.stderr
    assert "a step and a checkpoint after it take 0." in done.stderr
    assert "; --grace leaves 0.2 s" in done.stderr
    assert latest_checkpoint(run / PLACE) == run / PLACE / "step-00000004"
    assert forked(*words).returncode == 0
    assert of_base(outcome(run)) == of_base(reference)


def test_a_run_whose_time_is_up_saves_and_goes_on_when_it_has_time_again(
    base, forked, reference, outcome
):
    run, words = base
    for step in (1, 2):
        done = forked(*words, "--max-wall", "0.001s")
        assert done.returncode == PREEMPTED
        assert done.stderr.splitlines()[-1] == (
            "growlm: expected the run to end; got the end of its time; stage 'base' was saved at "
            f"step {step} of 8. Try the same command again: it goes on from there."
        )
    assert forked(*words, "--max-wall", "1d").returncode == 0
    assert of_base(outcome(run)) == of_base(reference)


def test_a_save_killed_at_any_change_of_the_disk_leaves_the_last_whole_checkpoint_to_be_found(
    base, forked, reference, outcome
):
    run, words = base
    report = run.with_name("report.json")
    killed = {"kill_copies_in_save": ["step-00000004", str(report)]}
    assert forked(*words, **killed, signal_at=[signal.SIGTERM, 5]).returncode == PREEMPTED
    latest = json.loads(report.read_text())
    before, after = latest.count("step-00000002"), latest.count("step-00000004")
    assert latest == ["step-00000002"] * before + ["step-00000004"] * after
    assert before > 40
    assert after == 3
    shutil.rmtree(run / PLACE)
    for moment in (before // 2, before, before + after):
        died = forked(*words, kill_in_save=["step-00000004", moment])
        assert died.returncode == -signal.SIGKILL
        assert latest_checkpoint(run / PLACE) == run / PLACE / latest[moment - 1]
        if moment > before:
            shutil.rmtree(run / PLACE / "step-00000004")
    assert forked(*words).returncode == 0
    assert of_base(outcome(run)) == of_base(reference)
    assert litter(run) == []


SPIKES = "stage.base.spikes={latest = 8, deviations = 50.0, roll_back_after = 3}"


@pytest.mark.parametrize(
    ("spoilt", "skipped"),
    [
        ({3: math.nan, 6: 100.0}, {"not finite": [3], "spike": [6]}),
        ({4: math.nan, 5: math.nan, 6: math.inf}, {"rolled back": [3, 4, 5, 6]}),
    ],
    ids=["not taken", "rolled back"],
)
def test_a_run_with_steps_that_go_wrong_ends_with_the_same_bits_after_a_stop(
    base, forked, outcome, *, spoilt, skipped
):
    run, words = base
    words = (*words, "--set", SPIKES, "--set", "stage.base.keep=1")
    assert forked(*words, spoil=[spoilt]).returncode == 0
    whole = outcome(run)
    final = checkpoint.read_meta(run / PLACE / "final")
    assert final.training["skipped"] == skipped
    assert final.data is not None
    assert (final.step, final.tokens, final.data.cursor) == (8, 1024, 64)
    for step in (5, 6):
        shutil.rmtree(run / PLACE)
        stopped = forked(*words, spoil=[spoilt], signal_at=[signal.SIGTERM, step])
        assert stopped.returncode == PREEMPTED
        assert forked(*words, spoil=[spoilt]).returncode == 0
        assert outcome(run) == whole


def test_weights_go_back_to_a_checkpoint_once(base, forked):
    run, words = base
    words = (*words, "--set", SPIKES.replace("= 3", "= 2"))
    done = forked(*words, spoil=[dict.fromkeys((3, 4, 6, 7), math.nan)])
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "growlm: expected steps that can be taken after going back to step 2; got again too many "
        "that cannot, at step 7. Try a lower peak_lr, a longer warm-up, or a larger "
        "roll_back_after."
    )
    (back,) = logged(run, Rollback)
    assert (back.step, back.to) == (4, 2)
    assert "went back from step 4 to the weights of step 2" in done.stderr


def test_weights_cannot_go_back_to_before_the_first_checkpoint(base, forked):
    done = forked(*base[1], "--set", SPIKES.replace("= 3", "= 1"), spoil=[{"2": math.nan}])
    assert done.returncode == 1
    assert "expected a checkpoint from before step 2 to go back to; got none" in done.stderr


def test_weights_that_are_not_finite_are_never_saved(base, forked):
    wild = ("optimizer.peak_lr=1e38", "schedule.warmup_steps=1", "tokens=256")
    done = forked(*base[1], *(word for each in wild for word in ("--set", f"stage.base.{each}")))
    assert done.returncode == 1
    assert "growlm: expected finite weights at step 2 of stage 'base'; got " in done.stderr
    assert not (base[0] / PLACE / "final").exists()


def test_two_deterministic_runs_have_the_same_bits(recipe, forked, outcome):
    found = []
    for name in ("one", "other"):
        run = recipe.parent / name
        words = ("--stage", "base", "--set", "deterministic=true", "--set", "seed=3")
        assert forked("train", recipe, "--out", run, *words).returncode == 0
        assert [start.deterministic for start in logged(run, Start)] == [True]
        found.append(outcome(run))
    assert found[0] == found[1]


def test_a_signal_right_after_the_last_step_is_not_forgotten(growlm, recipe, monkeypatch):
    def show(events, _options):
        for event in events:
            if isinstance(event, Progress) and event.done == event.total:
                signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr("growlm.cli.run.show", show)
    done = growlm("run", recipe, "--out", recipe.parent / "run")
    assert done.returncode == PREEMPTED
    assert "stage 'base' was saved at step 8 of 8" in done.stderr
    assert not (recipe.parent / "run/stages/base/evaluation.json").exists()


@pytest.mark.parametrize("name", ["random.safetensors", "checkpoint.json"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_gone_on_from_where_that_is_allowed(
    base, forked, reference, outcome, *, name
):
    run, words = base
    assert forked(*words, signal_at=[signal.SIGTERM, 5]).returncode == PREEMPTED
    path = run / "stages/base/training/step-00000005"
    content = bytearray((path / name).read_bytes())
    content[len(content) // 2] ^= 1
    (path / name).write_bytes(content)

    refused = forked(*words)
    assert refused.returncode == 1
    last = refused.stderr.splitlines()[-1]
    assert last.startswith(f"growlm: expected {path / name} to ")
    before = path.with_name("step-00000004")
    assert last.endswith(
        f"Try --allow-fallback: it is set aside, and the stage goes on from {before}."
    )
    assert "Traceback" not in refused.stderr

    done = forked(*words, "--allow-fallback")
    assert done.returncode == 0
    assert f"stage 'base' goes on from {before}: step-00000005 is damaged (expected" in done.stderr
    (notice,) = logged(run, Notice)
    assert (notice.step, notice.text) == (4, notice_of(done))
    assert len(list(run.glob("superseded/train.base-*/step-00000005"))) == 1
    assert of_base(outcome(run)) == of_base(reference)


def notice_of(done) -> str:
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("note: "))
    return line.removeprefix("note: ")


def test_a_stage_without_a_whole_checkpoint_begins_anew_where_that_is_allowed(
    base, forked, reference, outcome
):
    run, words = base
    assert forked(*words, signal_at=[signal.SIGTERM, 1]).returncode == PREEMPTED
    (run / PLACE / "step-00000001/model.safetensors").unlink()
    refused = forked(*words)
    assert "the stage goes on from its beginning." in refused.stderr
    assert forked(*words, "--allow-fallback").returncode == 0
    assert of_base(outcome(run)) == of_base(reference)


def test_as_many_checkpoints_to_resume_from_are_kept_as_the_recipe_says(recipe, forked):
    for keep, step, kept in ((4, 3, {1, 2, 3}), (2, 5, {4, 5})):
        run = recipe.parent / f"keep-{keep}"
        sets = ("--set", f"stage.base.keep={keep}", "--set", "stage.base.checkpoint_every=128")
        words = ("train", recipe, "--out", run, "--stage", "base", *sets)
        forked(*words, signal_at=[signal.SIGTERM, step])
        found = {path.name for path in (run / PLACE).glob("step-*")}
        assert found == {f"step-{each:08}" for each in kept}


def test_checkpoints_that_are_to_stay_are_published_and_stay(base, forked):
    run, words = base
    assert forked(*words, "--set", "stage.base.keep_every=384").returncode == 0
    found = {path.name for path in (run / PLACE).glob("step-*")}
    assert found == {"step-00000003", "step-00000006"}


CHILDREN = {
    "clipped and following its parent": (
        'stage.grown.grow={from = "base", width = 32, units = "even", optimizer_state = "exact"}',
        "stage.grown.optimizer.clip_norm=0.5",
        "stage.grown.optimizer.clip_value=0.05",
    ),
    "with new parameters that learn faster": (
        'stage.grown.grow={from = "base", layers = 2, mlp = 80}',
        "stage.grown.schedule.rewarm={factor = 2.0, steps = 4}",
    ),
}


@pytest.mark.parametrize("child", CHILDREN)
def test_a_child_that_is_stopped_goes_on_with_the_same_weights(recipe, forked, outcome, child):
    changes = (*CHILDREN[child], "stage.grown.checkpoint_every=256")
    sets = [word for change in changes for word in ("--set", change)]
    runs = [recipe.parent / name for name in ("whole", "stopped")]
    for run in runs:
        words = ("train", recipe, "--out", run)
        assert forked(*words, "--stage", "base", *sets).returncode == 0
        if run.name == "stopped":
            stopped = forked(*words, "--stage", "grown", *sets, signal_at=[signal.SIGTERM, 3])
            assert stopped.returncode == PREEMPTED
        assert forked(*words, "--stage", "grown", *sets).returncode == 0
    assert outcome(runs[0]) == outcome(runs[1])


def test_the_weights_of_clipping_are_saved_and_taken_up_again(recipe, forked):
    run, changes = recipe.parent / "run", CHILDREN["clipped and following its parent"]
    sets = [word for change in changes for word in ("--set", change)]
    assert forked("train", recipe, "--out", run, "--stage", "grown", *sets).returncode == 0
    saved = load_tensors(run / "stages/grown/training/final/optimizer.safetensors")
    assert float(saved["clip_weight.embedding.weight"]) == 2.0
