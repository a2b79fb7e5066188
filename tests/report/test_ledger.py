import math

import pytest

from growlm.report.law import Point
from growlm.report.ledger import (
    break_even_tokens,
    saving,
    scratch_compute,
    scratch_loss,
)

LINE = [Point(compute=1e14, loss=4.0), Point(compute=4e14, loss=3.0)]


def law(compute):
    return 9.0e3 * compute**-0.3 + 1.7


FIT = [Point(compute=c, loss=law(c)) for c in (1e13, 2e13, 4e13)]


@pytest.mark.parametrize(
    ("speedup", "saved"),
    [(0.546, 0.353), (0.491, 0.329), (0.310, 0.237), (0.29, 0.225), (0.4, 0.286)],
)
def test_saved_and_speed_up_are_the_pairs_the_literature_mixes_up(speedup, saved):
    gain = saving(1.0, scratch=1 + speedup)

    assert gain.speedup == pytest.approx(speedup)
    assert gain.saved == pytest.approx(saved, abs=5e-4)
    assert gain.saved == pytest.approx(gain.speedup / (1 + gain.speedup))


def test_a_grown_run_that_took_more_has_a_negative_saving():
    gain = saving(2.0, scratch=1.0)

    assert (gain.saved, gain.speedup) == (-1.0, -0.5)


def test_charging_the_parent_can_only_make_the_saving_smaller():
    charged, free = saving(1.5, scratch=2.0), saving(1.0, scratch=2.0)

    assert (charged.saved, free.saved) == (0.25, 0.5)


def test_three_finished_runs_give_the_exact_compute_of_a_power_law():
    found = scratch_compute(FIT, loss=law(3e13))

    assert found.basis == "fit"
    assert found.estimate == pytest.approx(3e13, rel=1e-6)
    assert not found.extrapolated


def test_two_finished_runs_give_the_point_on_their_line():
    found = scratch_compute(LINE, loss=math.sqrt(12.0))

    assert found.basis == "line"
    assert found.estimate == pytest.approx(2e14)
    assert not found.extrapolated


def test_an_estimate_beyond_the_runs_is_flagged():
    found = scratch_compute(FIT, loss=law(6e13))

    assert found.estimate == pytest.approx(6e13, rel=1e-6)
    assert found.extrapolated


def test_an_estimate_at_the_end_of_the_runs_is_not_flagged():
    assert not scratch_compute(FIT, loss=FIT[-1].loss).extrapolated


def test_far_beyond_the_runs_there_is_only_a_bound():
    found = scratch_compute(FIT, loss=law(9e13))

    assert (found.basis, found.estimate, found.lower, found.upper) == ("bound", None, 4e13, None)


def test_far_short_of_the_runs_there_is_only_a_bound():
    found = scratch_compute(FIT, loss=law(4e12))

    assert (found.basis, found.estimate, found.lower, found.upper) == ("bound", None, None, 1e13)


def test_a_loss_that_no_scratch_run_reaches_gives_only_a_bound():
    found = scratch_compute(FIT, loss=1.5)

    assert (found.basis, found.lower) == ("bound", 4e13)


@pytest.mark.parametrize(
    ("grown", "lower", "upper"), [(3.9, 2e14, None), (4.0, None, 2e14), (4.1, None, 2e14)]
)
def test_one_finished_run_tells_only_the_side(grown, lower, upper):
    found = scratch_compute([Point(compute=2e14, loss=4.0)], loss=grown)

    assert (found.basis, found.estimate) == ("bound", None)
    assert (found.lower, found.upper) == (lower, upper)


def test_longer_runs_that_end_worse_bound_nothing():
    torn = [Point(compute=1e14, loss=3.0), Point(compute=4e14, loss=4.0)]

    assert scratch_compute(torn, loss=3.5).basis == "none"


def test_no_runs_give_nothing():
    assert scratch_compute([], loss=3.0).basis == "none"
    assert scratch_loss([], compute=1e14).loss is None


def test_a_control_of_equal_compute_is_taken_as_it_is():
    found = scratch_loss([*LINE, Point(compute=2e14, loss=3.3)], compute=2.015e14)

    assert (found.basis, found.loss) == ("control", 3.3)


def test_a_control_two_percent_off_is_not_taken_as_it_is():
    found = scratch_loss(LINE, compute=1.02e14)

    assert found.basis == "line"
    assert found.loss is not None
    assert 3.0 < found.loss < 4.0


def test_the_loss_at_a_compute_is_read_from_the_law():
    found = scratch_loss(FIT, compute=3e13)

    assert found.loss == pytest.approx(law(3e13), rel=1e-9)
    assert not found.extrapolated


@pytest.mark.parametrize(("compute", "known"), [(7.9e13, True), (8.1e13, False), (0.0, False)])
def test_the_loss_is_extrapolated_to_twice_the_runs_and_no_further(compute, known):
    found = scratch_loss(FIT, compute=compute)

    assert (found.loss is not None) == known
    assert found.extrapolated == known


@pytest.mark.parametrize(
    ("base_tokens", "children", "child_flops", "expected"),
    [
        (48e9, 1, 4.767e9, 3.8e9),
        (48e9, 1, 6.749e9, 14.7e9),
        (10e9, 1, 4.767e9, 33.3e9),
        (10e9, 1, 6.749e9, 35.5e9),
        (48e9, 2, 4.767e9, 22.4e9),
        (48e9, 2, 6.749e9, 27.9e9),
    ],
)
def test_break_even_of_the_published_580m_base(base_tokens, children, child_flops, expected):
    found = break_even_tokens(
        scratch_tokens=41e9,
        base_flops=3.691e9 * base_tokens / children,
        child_flops_per_token=child_flops,
    )

    assert found == pytest.approx(expected, abs=0.06e9)
