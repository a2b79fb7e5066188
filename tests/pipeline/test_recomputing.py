"""Activation checkpointing by a budget: which layers, what is said of it, and the same weights."""

import json

import pytest

from growlm import checkpoint
from growlm.base.errors import RecipeError
from growlm.model.activations import CPU, CUDA
from growlm.pipeline.open import plan_of
from growlm.pipeline.recomputing import checkpointing_words, layers_of
from growlm.pipeline.viewing import _hyperparameters

BUDGET = ("stage.base.activation_checkpointing=budget", "stage.base.activation_budget=0.6")
DEEP = (
    "stage.base.model={layers = 4, heads = 2, width = 16, dropout = 0.1}",
    'stage.grown.grow={from = "base", layers = 4, mlp = 80}',
)


@pytest.fixture
def stage(recipe):
    """Return a function: changes -> the plan of a stage of four layers."""
    return lambda *changes: plan_of(recipe, (*DEEP, *changes)).stage("base")


def test_a_share_leaves_the_last_layers_whole(stage):
    for numbers in (CPU, CUDA):
        mode, first = layers_of(stage(*BUDGET), numbers)
        assert mode == "full"
        assert 0 < first < 4
    assert layers_of(stage(BUDGET[0], "stage.base.activation_budget=1.0"), CPU) == ("full", 0)


@pytest.mark.parametrize("mode", ["none", "selective", "full"])
def test_without_a_budget_all_layers_are_treated_alike(stage, mode):
    assert layers_of(stage(f"stage.base.activation_checkpointing={mode}"), CPU) == (mode, 4)


def test_bytes_are_of_one_micro_batch(stage):
    whole = stage(BUDGET[0], "stage.base.activation_budget=100KiB")
    firsts = [layers_of(whole, CPU, sequences=each)[1] for each in (1, 2, 4)]
    assert firsts == sorted(firsts)
    assert firsts[0] == 0 < firsts[-1]


def test_a_budget_that_nothing_keeps_to_is_refused(stage):
    with pytest.raises(RecipeError) as told:
        layers_of(stage(BUDGET[0], "stage.base.activation_budget=1KiB"), CPU)
    words = str(told.value)
    assert words.startswith("expected activation_budget of stage 'base' to be at least 0.")
    assert "with less, no layer could be computed again; got 1.0 KiB. Try " in words


def test_a_run_is_told_before_it_begins(recipe, growlm):
    changes = (*DEEP, BUDGET[0], "stage.base.activation_budget=0.05")
    words = [word for change in changes for word in ("--set", change)]
    done = growlm("run", recipe, "--out", recipe.parent / "run", *words)
    assert done.returncode == 2
    assert "activation_budget of stage 'base' to be at least" in done.stderr
    assert not (recipe.parent / "run/corpus").exists()


def test_it_is_told_in_the_table_and_in_the_log(recipe, growlm, stage):
    assert checkpointing_words(stage(*BUDGET)) == "budget of 0.6"
    bytes_ = stage(BUDGET[0], "stage.base.activation_budget=2MiB")
    assert _hyperparameters(bytes_)["activation checkpointing"] == "budget of 2.0 MiB"
    words = [word for change in BUDGET for word in ("--set", change)]
    table = json.loads(growlm("check", recipe, *words, "--json").stdout)
    modes = [each["activation_checkpointing"] for each in table["stages"]]
    assert modes == ["budget of 0.6", "none", "none"]


def test_weights_are_those_of_a_stage_that_keeps_everything(recipe, growlm):
    found = []
    for name, changes in (("whole", ()), ("budget", BUDGET)):
        run = recipe.parent / name
        words = [word for change in (*DEEP, *changes) for word in ("--set", change)]
        done = growlm("train", recipe, "--stage", "base", "--out", run, *words)
        assert done.returncode == 0, done.stderr
        found.append(checkpoint.read_meta(run / "stages/base/training/final").weights_sha256)
    assert found[0] == found[1]
