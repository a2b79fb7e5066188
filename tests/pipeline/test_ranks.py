"""Many ranks in one run: the same losses, the same files, and one line when one of them ends."""

import shutil
import signal

import pytest

from growlm.base.errors import RecipeError
from growlm.pipeline.checking import check_ranks
from growlm.pipeline.open import plan_of
from growlm.runlog import Start, Step, ValidationLoss, read
from growlm.training.parallel import World

CHANGES = (
    "stage.base.model.dropout=0.0",
    "stage.base.checkpoint_every=512",
    "validation.tokens=32",
)
SETS = [word for change in CHANGES for word in ("--set", change)]
LOG = "stages/base/training/log.jsonl"
TWO = [2, 0]
"""Ranks, and how often they may be started anew."""


def curve(run):
    records = list(read(run / LOG))
    losses = [each.loss for each in records if isinstance(each, Step | ValidationLoss)]
    return losses, [each.gradient_norm for each in records if isinstance(each, Step)]


def same(one, other):
    return all(a == pytest.approx(b, rel=0, abs=1e-6) for a, b in zip(one, other, strict=True))


@pytest.fixture(scope="module")
def trained(tmp_path_factory, write_tiny, forked):
    """Return a function: options of a run's ranks -> what it said, and its folder; sources once."""
    home = tmp_path_factory.mktemp("ranks")
    recipe = write_tiny(home)
    assert forked("prepare", recipe, "--out", home / "run", *SETS).returncode == 0

    def train(name, *words, **ranks):
        run = home / name
        if not run.exists():
            shutil.copytree(home / "run", run)
        words = ("train", recipe, "--out", run, "--stage", "base", *SETS, *words)
        return forked(*words, **ranks), run

    return train


@pytest.fixture(scope="module")
def alone(trained):
    """Return the folder that one process trained in."""
    done, run = trained("alone")
    assert done.returncode == 0, done.stderr
    return run


@pytest.fixture(scope="module")
def two(trained):
    """Return the folder that two ranks trained in."""
    done, run = trained("two", in_ranks=TWO)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("train:base …") == 1
    return run


def test_two_ranks_train_as_one_process_does(alone, two):
    assert same(curve(two), curve(alone))
    starts = [each.device for each in read(two / LOG) if isinstance(each, Start)]
    assert [device.endswith(", 2 ranks, zero1") for device in starts] == [True]


def test_a_run_whose_rank_was_killed_goes_on_by_itself_and_ends_with_the_same_bits(
    trained, two, outcome
):
    done, run = trained("killed", in_ranks=[2, 1], second_rank=["killed", 5])
    assert done.returncode == 0, done.stderr
    assert outcome(run) == outcome(two)
    assert len([each for each in read(run / LOG) if isinstance(each, Start)]) == 2


def test_a_signal_to_one_rank_stops_all_and_one_process_goes_on(trained, alone):
    done, run = trained("stopped", in_ranks=TWO, second_rank=["stopped", 3])
    assert done.returncode == 1
    (line,) = [each for each in done.stderr.splitlines() if each.startswith("growlm:")]
    assert f"got signal {int(signal.SIGTERM)}; stage 'base' was saved at step 3 of 8" in line
    done, run = trained("stopped")
    assert done.returncode == 0, done.stderr
    assert same(curve(run), curve(alone))


def test_an_error_of_one_rank_ends_all_with_one_line(trained):
    done, _ = trained("failed", in_ranks=TWO, second_rank=["failed", 2])
    assert done.returncode == 1
    assert [each for each in done.stderr.splitlines() if each.startswith("growlm:")] == [
        "growlm: expected every rank to go on; got 'rank 1: expected shards that can be read; got "
        "none. Try another disk.'. Try the same command again: it goes on from the last checkpoint."
    ]
    assert "growlm/cli" not in done.stderr  # no traceback of ours


def test_a_mistake_in_the_recipe_is_told_once(trained):
    done, _ = trained("failed", "--set", "stage.base.context=15", in_ranks=TWO)
    lines = [each for each in done.stderr.splitlines() if each.startswith("growlm:")]
    assert len(lines) == 1
    assert "stage.base.batch to be a multiple of its context" in lines[0]


@pytest.mark.parametrize(
    ("changes", "fallback", "what"),
    [
        (
            [f"stage.{stage}.optimizer.kind=muon" for stage in ("base", "grown")],
            False,
            "optimizer.kind = 'muon' of stage 'base'",
        ),
        (["stage.base.ema.decay=0.9"], False, "ema of stage 'base'"),
        (["seed=2"], True, "--allow-fallback"),
    ],
)
def test_what_ranks_cannot_do_together_is_refused(recipe, changes, fallback, what):
    planned = plan_of(recipe, changes)
    with pytest.raises(RecipeError) as told:
        check_ranks(planned, World(size=2), allow_fallback=fallback)
    assert str(told.value) == (
        f"expected a single process for {what}; got 2 ranks. Try one rank, or a run without it."
    )
    check_ranks(planned, World(), allow_fallback=fallback)
    check_ranks(plan_of(recipe, []), World(size=2), allow_fallback=False)
