"""The moving average of a stage: saved at every checkpoint, published at the end, used as one."""

import json
import signal

import pytest
import torch

from growlm import checkpoint
from growlm.base.errors import PREEMPTED, CheckpointError
from growlm.pipeline.averaging import moving_average
from growlm.pipeline.cautions import cautions
from growlm.pipeline.checking import checkpoint_bytes, disk_bytes
from growlm.pipeline.open import plan_of
from growlm.pipeline.viewing import _hyperparameters

EMA = "stage.base.ema={decay = 0.5, every = 2}"


@pytest.fixture(scope="module")
def averaged(tmp_path_factory, write_tiny, growlm):
    """Return the folder of a trained stage that kept one; for reading only."""
    recipe = write_tiny(tmp_path_factory.mktemp("averaged"))
    run = recipe.parent / "run"
    done = growlm("train", recipe, "--out", run, "--stage", "base", "--set", EMA)
    assert done.returncode == 0, done.stderr
    return run / "stages/base"


def test_it_is_the_average_of_the_weights_that_were_there(recipe, forked, averaged):
    run = recipe.parent / "run"
    changes = ("--set", EMA, "--set", "stage.base.keep=4")
    words = ("train", recipe, "--out", run, "--stage", "base", *changes)
    assert forked(*words, signal_at=[signal.SIGTERM, 7]).returncode == PREEMPTED
    places = {step: run / f"stages/base/training/step-{step:08d}" for step in (2, 4, 6)}
    steps = {step: checkpoint.load_weights(path) for step, path in places.items()}
    assert forked(*words).returncode == 0
    steps[8] = checkpoint.load_weights(run / "stages/base/training/final")
    for name, found in checkpoint.load_ema(averaged / "training/final").items():
        shares = {step: 0.5 ** (8 - step) for step in steps}
        expected = sum(shares[step] * steps[step][name].double() for step in steps)
        torch.testing.assert_close(
            found.double(), expected / sum(shares.values()), rtol=0, atol=1e-6
        )
    # The stop changed no bit of it.
    files = [
        checkpoint.read_meta(each / "training/final").files
        for each in (averaged, run / "stages/base")
    ]
    assert files[0][checkpoint.EMA] == files[1][checkpoint.EMA]
    assert files[0] == files[1]


def test_it_becomes_a_checkpoint_that_can_be_grown_and_scored(averaged, growlm, tmp_path):
    final, path = averaged / "training/final", averaged / "ema"
    meta, last = checkpoint.read_meta(path), checkpoint.read_meta(final)
    checkpoint.verify(path, meta)
    kept, published = checkpoint.load_ema(final), checkpoint.load_weights(path)
    assert all(torch.equal(published[name], tensor) for name, tensor in kept.items())
    assert (meta.step, meta.data, meta.training["ema"]) == (8, last.data, 0.5)
    assert meta.lineage[-1].origin == "scratch, moving average"
    assert checkpoint.load_ema(path) == checkpoint.load_optimizer(path) == {}
    assert checkpoint.load_exposure(path, meta) == checkpoint.load_exposure(final, last)
    grown = growlm("grow", path, tmp_path / "child", "--layers", 2)
    assert grown.returncode == 0, grown.stderr


def test_a_child_that_grows_from_it_is_told_that_it_is_annealed(averaged, recipe):
    text = recipe.read_text().replace(
        'from = "base", layers = 2', f'from = "{averaged}/ema", layers = 2'
    )
    tokenizer = averaged.parents[1] / "corpus/tokenizer.json"
    recipe.write_text(text.replace("vocab_size = 300", f'file = "{tokenizer}"'))
    plan = plan_of(recipe, ())
    (text,) = cautions(plan, plan.stage("grown"))
    assert f"grows from '{averaged}/ema', a moving average of weights: annealed parents" in text


def test_a_checkpoint_that_keeps_none_has_none_to_publish(finished, tmp_path):
    final = finished / "run/stages/base/training/final"
    words = "a checkpoint that keeps a moving average of its weights; got none in .*final. Try"
    with pytest.raises(CheckpointError, match=words):
        moving_average(final, tmp_path / "ema", decay=0.9)


@pytest.mark.usefixtures("light_log")
def test_it_is_scored_beside_the_end_of_its_stage(again, growlm):
    change = EMA.replace("base", "scratch")
    words = ("run", again / "tiny.toml", "--out", again / "run", "--set", change, "--json")
    done = growlm(*words)
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert "ema:scratch" in [event["step"] for event in events if event["event"] == "done"]
    scores = json.loads((again / "run/stages/scratch/evaluation.json").read_text())
    assert {score["checkpoint"] for score in scores} == {"final", "ema"}
    skipped = [json.loads(line) for line in growlm(*words).stdout.splitlines()]
    assert {event["event"] for event in skipped} == {"skipped"}


def test_a_damaged_average_is_not_gone_on_from(recipe, forked):
    run = recipe.parent / "run"
    words = ("train", recipe, "--out", run, "--stage", "base", "--set", EMA)
    assert forked(*words, signal_at=[signal.SIGTERM, 3]).returncode == PREEMPTED
    path = run / "stages/base/training/step-00000003/ema.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    refused = forked(*words)
    assert refused.returncode == 1
    assert f"expected {path} to have SHA-256" in refused.stderr


def test_one_that_would_take_no_weights_is_refused(growlm, recipe):
    done = growlm("check", recipe, "--set", "stage.base.ema={every = 9}")
    assert (done.returncode, done.stderr) == (
        2,
        "growlm: stage.base: expected ema.every of at most the stage's 8 steps; got 9. "
        "Try every = 1.\n",
    )


def test_it_takes_a_float_for_each_weight_in_every_checkpoint_and_one_more_at_the_end(recipe):
    plain, averaged = (plan_of(recipe, changes).stage("base") for changes in ((), (EMA,)))
    floats = 4 * plain.parameters
    assert checkpoint_bytes(averaged) - checkpoint_bytes(plain) == floats
    # Two to go on from, one that is written, and the end.
    assert disk_bytes(averaged) - disk_bytes(plain) == (4 + 1) * floats


def test_the_log_says_how_it_was_made(recipe):
    told = _hyperparameters(plan_of(recipe, (EMA,)).stage("base"))
    assert told["moving average"] == "decay 0.5 a step, taken every 2 steps"
    one = _hyperparameters(plan_of(recipe, ("stage.base.ema={}",)).stage("base"))
    assert one["moving average"] == "decay 0.999 a step, taken every step"
    assert "moving average" not in _hyperparameters(plan_of(recipe, ()).stage("base"))
