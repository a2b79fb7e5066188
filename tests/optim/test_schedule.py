"""Learning rates at exact steps, and the shape between them."""

import math
from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from growlm.optim.schedule import (
    Constant,
    Cosine,
    Law,
    Linear,
    Resumed,
    Rewarm,
    Schedule,
    WarmupStableDecay,
    rescaled,
)

SCHEDULES: list[Schedule] = [
    Cosine(warmup_steps=10, steps=110, final_share=0.1),
    Linear(warmup_steps=10, steps=110, final_share=0.1),
    WarmupStableDecay(warmup_steps=10, steps=110, decay_steps=20, final_share=0.1),
]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda each: type(each).__name__)
def test_every_schedule_warms_up_linearly_and_ends_at_its_final_share(schedule: Schedule) -> None:
    assert [schedule(step) for step in (0, 4, 9)] == [0.1, 0.5, 1.0]
    assert schedule(109) == pytest.approx(0.1, abs=1e-15)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda each: type(each).__name__)
def test_every_schedule_rises_and_then_never_rises_again(schedule: Schedule) -> None:
    shares = [schedule(step) for step in range(110)]
    assert all(before < after for before, after in pairwise(shares[:10]))
    assert all(before >= after for before, after in pairwise(shares[9:]))


@given(
    st.integers(0, 20),
    st.integers(1, 50),
    st.floats(0.0, 1.0),
    st.sampled_from(["cosine", "linear", "flat"]),
)
def test_a_share_stays_between_the_final_one_and_the_peak(
    warmup: int, rest: int, final: float, kind: str
) -> None:
    steps = warmup + rest
    schedule: Schedule = Cosine(warmup_steps=warmup, steps=steps, final_share=final)
    if kind == "linear":
        schedule = Linear(warmup_steps=warmup, steps=steps, final_share=final)
    if kind == "flat":
        schedule = WarmupStableDecay(
            warmup_steps=warmup, steps=steps, decay_steps=rest, final_share=final
        )
    assert schedule(steps - 1) == pytest.approx(final, abs=1e-15)
    for step in range(warmup, steps):
        assert final - 1e-12 <= schedule(step) <= 1.0


def test_the_cosine_is_halfway_down_in_the_middle() -> None:
    schedule = Cosine(warmup_steps=10, steps=110, final_share=0.1)
    assert schedule(59) == pytest.approx(0.55, abs=1e-15)
    assert schedule(34) == pytest.approx(0.1 + 0.9 * (1 + math.cos(math.pi / 4)) / 2, abs=1e-15)


def test_the_line_is_straight_from_the_end_of_the_warm_up_to_the_end() -> None:
    schedule = Linear(warmup_steps=10, steps=110, final_share=0.0)
    assert [schedule(step) for step in (9, 34, 59, 84, 109)] == [1.0, 0.75, 0.5, 0.25, 0.0]
    assert [schedule(step) for step in range(10, 109)] == pytest.approx(
        [(109 - step) / 100 for step in range(10, 109)], rel=1e-15
    )


def test_a_constant_rate_warms_up_and_never_falls() -> None:
    schedule = Constant(warmup_steps=10, steps=110)
    assert [schedule(step) for step in (0, 4, 9)] == [0.1, 0.5, 1.0]
    assert {schedule(step) for step in range(9, 500)} == {1.0}
    assert {Constant(warmup_steps=0, steps=4)(step) for step in range(4)} == {1.0}
    assert schedule.final_share == 1.0


def test_the_plateau_holds_until_the_decay_begins() -> None:
    schedule = WarmupStableDecay(warmup_steps=10, steps=110, decay_steps=20, final_share=0.0)
    assert {schedule(step) for step in range(9, 90)} == {1.0}
    assert [schedule(step) for step in (90, 99, 104)] == [19 / 20, 0.5, 0.25]


def test_a_stage_without_warm_up_starts_beside_the_peak() -> None:
    assert Cosine(warmup_steps=0, steps=4, final_share=0.0)(1) == pytest.approx(0.5, abs=1e-15)
    flat = WarmupStableDecay(warmup_steps=0, steps=4, decay_steps=2, final_share=0.0)
    assert [flat(step) for step in range(4)] == [1.0, 1.0, 0.5, 0.0]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda each: type(each).__name__)
def test_beyond_its_end_a_schedule_stays_where_it_ended(schedule: Schedule) -> None:
    assert schedule(500) == pytest.approx(0.1, abs=1e-15)


def rewarm(schedule: Schedule, *, rising_steps: int = 10, factor: float = 1.5) -> Rewarm:
    return Rewarm(schedule=schedule, steps=110, rising_steps=rising_steps, factor=factor)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda each: type(each).__name__)
def test_new_parameters_rise_linearly_to_the_factor(schedule: Schedule) -> None:
    factor = rewarm(schedule, rising_steps=20)
    assert [factor(step) for step in (0, 1, 9, 18, 19)] == [1.025, 1.05, 1.25, 1.475, 1.5]


def test_under_a_cosine_they_come_down_along_a_cosine_to_the_same_minimum() -> None:
    schedule = Cosine(warmup_steps=10, steps=110, final_share=0.1)
    factor = rewarm(schedule)
    own = [factor(step) * schedule(step) for step in range(110)]
    wanted = [0.1 + 1.4 * (1 + math.cos(math.pi * (step - 9) / 100)) / 2 for step in range(9, 110)]
    assert own[9:] == pytest.approx(wanted, rel=1e-12)
    assert own[109] == pytest.approx(0.1, rel=1e-12)


def test_on_a_plateau_they_stay_at_the_factor_until_the_decay() -> None:
    schedule = WarmupStableDecay(warmup_steps=0, steps=110, decay_steps=20, final_share=0.1)
    factor = rewarm(schedule)
    assert {factor(step) for step in range(9, 90)} == {1.5}
    assert factor(99) * schedule(99) == pytest.approx(0.1 + 1.4 * 0.5, rel=1e-12)
    assert factor(109) == pytest.approx(1.0, rel=1e-12)


def test_a_rate_that_ends_at_nothing_is_reached_from_the_factor() -> None:
    schedule = WarmupStableDecay(warmup_steps=0, steps=110, decay_steps=20, final_share=0.0)
    factor = rewarm(schedule)
    assert [factor(step) for step in (50, 95, 108)] == pytest.approx([1.5, 1.5, 1.5], rel=1e-12)
    assert factor(109) * schedule(109) == 0.0


def test_without_a_decay_they_stay_faster() -> None:
    factor = rewarm(Cosine(warmup_steps=0, steps=110, final_share=1.0))
    assert [factor(step) for step in (9, 60, 109)] == [1.5, 1.5, 1.5]


@pytest.mark.parametrize("start", [0, 40, 110])
def test_a_resumed_law_is_the_law_until_the_new_end(start: int) -> None:
    law = Cosine(warmup_steps=10, steps=110, final_share=0.1)
    resumed = Resumed(law=law, start=start, steps=50, warmup_steps=0)
    whole = Cosine(warmup_steps=10, steps=start + 50, final_share=0.1)
    assert [resumed(step) for step in range(50)] == [whole(start + step) for step in range(50)]
    assert resumed(49) == pytest.approx(0.1, abs=1e-15)
    assert resumed.final_share == 0.1


def test_a_resumed_line_is_the_line_to_the_new_end_and_a_constant_stays_one() -> None:
    line = Linear(warmup_steps=10, steps=110, final_share=0.0)
    resumed = Resumed(law=line, start=60, steps=50, warmup_steps=0)
    assert [resumed(step) for step in (0, 24, 49)] == [0.49, 0.25, 0.0]
    constant = Resumed(
        law=Constant(warmup_steps=10, steps=110), start=110, steps=50, warmup_steps=2
    )
    assert [constant(step) for step in (0, 1, 49)] == [0.5, 1.0, 1.0]
    assert constant.final_share == 1.0


def test_under_a_constant_rate_new_parameters_stay_faster() -> None:
    factor = rewarm(Constant(warmup_steps=0, steps=110))
    assert [factor(step) for step in (9, 60, 109)] == [1.5, 1.5, 1.5]


def test_a_resumed_plateau_decays_over_the_same_share_of_all_steps() -> None:
    law = WarmupStableDecay(warmup_steps=10, steps=100, decay_steps=20, final_share=0.0)
    resumed = Resumed(law=law, start=100, steps=100, warmup_steps=0)
    assert [resumed(step) for step in (0, 59, 60, 79, 99)] == [1.0, 1.0, 39 / 40, 0.5, 0.0]


def test_a_resumed_law_is_warmed_up_to() -> None:
    law = Cosine(warmup_steps=10, steps=110, final_share=0.1)
    cold, warm = (Resumed(law=law, start=60, steps=50, warmup_steps=steps) for steps in (4, 0))
    shares = [cold(step) / warm(step) for step in range(6)]
    assert shares == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0, 1.0], rel=1e-12)


@pytest.mark.parametrize(
    "law", [*SCHEDULES, Constant(warmup_steps=10, steps=110)], ids=lambda each: type(each).__name__
)
def test_a_law_over_its_own_steps_is_itself(law: Law) -> None:
    assert rescaled(law, steps=law.steps, warmup_steps=law.warmup_steps) == law
