"""The clock of a stage: what it expects, and what it says of a grace, once."""

import pytest

from growlm.pipeline.timing import RECENT, Clock
from growlm.runlog import Saved, Step


def step(seconds):
    return Step(step=1, tokens=8, loss=4.0, lr=1e-3, gradient_norm=1.0, seconds=seconds)


def saved(seconds):
    return Saved(step=1, tokens=8, path="step-00000001", seconds=seconds)


def test_a_step_is_expected_to_take_the_median_of_the_latest_ones():
    clock = Clock(grace_seconds=None)
    assert (clock.step, clock.ahead) == (0.0, 0.0)
    for seconds in [100.0] * RECENT + [3.0] * (RECENT // 2) + [1.0] * (RECENT // 2):
        clock.took(seconds)
    clock.save = 5.0
    assert (clock.step, clock.ahead) == (2.0, 7.0)


@pytest.mark.parametrize(
    ("grace", "said"),
    [
        (60.0, "a step and a checkpoint after it take 22.0 s; --grace leaves 1 min 0 s"),
        (
            20.0,
            "a step and a checkpoint after it take 22.0 s; --grace leaves 20.0 s, too little to "
            "be sure of one",
        ),
    ],
)
def test_a_stage_that_goes_on_says_from_its_log_whether_a_checkpoint_fits_into_the_grace(
    grace, said
):
    clock = Clock(grace_seconds=grace)
    clock.recall([step(2.0), saved(None)])
    assert list(clock.told_once()) == []
    clock.recall([saved(3.0), saved(20.0)])
    assert [notice.text for notice in clock.told_once()] == [said]
    assert list(clock.told_once()) == []


def test_nothing_is_said_where_no_grace_was_told():
    clock = Clock(grace_seconds=None)
    clock.recall([step(2.0), saved(20.0)])
    assert list(clock.told_once()) == []
