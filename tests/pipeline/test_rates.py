"""Learning rates of stages: what a recipe may ask for, what check says, and what is new."""

import json

import pytest
import torch

from growlm.model.gpt import GPT
from growlm.optim.schedule import Constant, Linear, Rewarm, WarmupStableDecay
from growlm.pipeline.open import plan_of
from growlm.pipeline.rates import words
from growlm.pipeline.training import new_entries

REWARM = "stage.grown.schedule.rewarm={factor = 1.5, steps = 4}"


def planned(recipe, *changes):
    return plan_of(recipe, changes).stage("grown")


def test_new_parameters_learn_as_the_others_unless_asked(recipe):
    assert planned(recipe).rewarm is None


def test_a_rewarm_rises_over_its_steps_and_knows_the_schedule_and_its_end(recipe):
    stage = planned(recipe, REWARM)
    schedule = WarmupStableDecay(warmup_steps=2, steps=6, decay_steps=1, final_share=0.0)
    assert stage.rewarm == Rewarm(schedule=schedule, steps=6, rising_steps=4, factor=1.5)


def test_a_rewarm_says_what_it_is_when_nothing_else_is_said(recipe):
    sizes = ("stage.grown.tokens=64K", "stage.grown.schedule.rewarm={}")
    stage = planned(recipe, *sizes)
    assert stage.rewarm is not None
    assert (stage.rewarm.factor, stage.rewarm.rising_steps) == (1.3, 250)


@pytest.mark.parametrize("steps", [1, 6])
def test_a_rewarm_that_ends_before_the_warm_up_or_after_the_stage_is_refused(growlm, recipe, steps):
    words = ("--set", f"stage.grown.schedule.rewarm={{steps = {steps}}}")
    done = growlm("check", recipe, *words)
    assert done.returncode == 2
    assert done.stderr == (
        "growlm: stage.grown: expected schedule.rewarm.steps from the 2 of the warm-up to below "
        f"the stage's 6; got {steps}. Try steps = 2.\n"
    )


def test_a_child_without_a_warm_up_keeps_the_peak(recipe):
    kept = 'stage.grown.schedule={kind = "warmup-stable-decay", warmup_steps = 0}'
    stage = planned(recipe, kept)
    assert [stage.schedule(step) for step in range(6)] == [1.0, 1.0, 1.0, 1.0, 1.0, 0.0]


@pytest.mark.parametrize(
    ("schedule", "law", "course"),
    [
        (
            '{kind = "linear", warmup_steps = 2, final_lr_share = 0.1}',
            Linear(warmup_steps=2, steps=6, final_share=0.1),
            "linear to 10% of the peak",
        ),
        (
            '{kind = "constant", warmup_steps = 2}',
            Constant(warmup_steps=2, steps=6),
            "constant at the peak",
        ),
    ],
    ids=["linear", "constant"],
)
def test_a_rate_may_fall_in_a_line_or_not_at_all(recipe, schedule, law, course):
    stage = planned(recipe, f"stage.grown.schedule={schedule}")
    assert stage.schedule == law
    assert words(stage)["schedule"] == course


def test_check_says_what_each_learning_rate_does(growlm, recipe):
    found = json.loads(growlm("check", recipe, "--json", "--set", REWARM).stdout)
    assert [stage["learning_rate"] for stage in found["stages"][:2]] == [
        {
            "peak learning rate": "0.01",
            "warm-up": "2 steps",
            "schedule": "cosine to 10% of the peak",
        },
        {
            "peak learning rate": "0.01",
            "warm-up": "2 steps",
            "schedule": "warmup-stable-decay, the last 1 steps to 0% of the peak",
            "new parameters": "1.5 times the others after 4 steps, then down to their minimum",
        },
    ]
    assert "1.5 times the others after 4 steps" in growlm("check", recipe, "--set", REWARM).stdout


def new_ones(recipe, *changes):
    stage = planned(recipe, *changes)
    assert stage.origin.plan is not None
    model = GPT(stage.config)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    entries = new_entries(model, stage.origin.plan)
    return {names[id(each)]: mask.expand(each.shape) for each, mask in entries}


def test_a_repeated_layer_is_new_and_its_first_copy_is_not(recipe):
    found = new_ones(recipe)
    assert {name.split(".")[1] for name in found} == {"1"}
    assert all(mask.all() for mask in found.values())


def test_padding_and_new_units_are_new_and_what_they_stand_beside_is_not(recipe):
    found = new_ones(recipe, 'stage.grown.grow={from = "base", width = 24, mlp = 80}')
    up = found["layers.0.mlp.up.weight"]
    assert up.shape == (80, 24)
    assert not up[:64, :16].any()
    assert up[64:].all()
    assert up[:, 16:].all()
    assert torch.equal(found["norm.weight"], torch.arange(24) >= 16)


def test_what_growth_did_not_touch_is_not_new(recipe):
    found = new_ones(recipe, 'stage.grown.grow={from = "base", mlp = 80}')
    assert {name.split(".")[2] for name in found} == {"mlp"}
