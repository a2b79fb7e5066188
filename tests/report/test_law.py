import math

import pytest

from growlm.report.law import LossLaw, Point, between, fit_law, merge


def power_law(*computes, scale=9.0e3, exponent=0.3, floor=1.7):
    return [Point(compute=c, loss=scale * c**-exponent + floor) for c in computes]


@pytest.mark.parametrize("computes", [(1e13, 2e13, 4e13), (1e13, 3e13, 5e13, 2e14, 9e14)])
@pytest.mark.parametrize("exponent", [0.05, 0.3, 1.1])
def test_three_runs_of_a_power_law_give_it_back(computes, exponent):
    scale = 2.0 * computes[0] ** exponent
    points = power_law(*computes, scale=scale, exponent=exponent)

    law = fit_law(points)

    assert law is not None
    assert law.basis == "fit"
    assert law.exponent == pytest.approx(exponent, rel=1e-6)
    assert law.floor == pytest.approx(1.7, rel=1e-6)
    for point in points:
        assert law.loss(point.compute) == pytest.approx(point.loss, rel=1e-9)
        assert law.compute(point.loss) == pytest.approx(point.compute, rel=1e-6)


def test_a_law_without_a_floor_is_found_too():
    law = fit_law(power_law(1e13, 2e13, 4e13, 8e13, floor=0.0))

    assert law is not None
    assert law.exponent == pytest.approx(0.3, rel=1e-6)
    assert law.floor == pytest.approx(0.0, abs=1e-6)


def test_losses_that_bend_the_wrong_way_get_no_negative_floor():
    law = fit_law([Point(compute=c, loss=loss) for c, loss in [(1.0, 4.0), (2.0, 3.9), (4.0, 3.0)]])

    assert law is not None
    assert (law.basis, law.floor) == ("power", 0.0)


def test_between_runs_a_loss_is_read_on_the_line_from_one_to_the_next():
    # They bend downwards: a power law with no floor misses them all.
    runs = [Point(compute=c, loss=loss) for c, loss in [(1.0, 4.0), (2.0, 3.9), (4.0, 3.0)]]
    law = fit_law(runs)
    assert law is not None
    for run in runs:
        assert between(runs, run.loss) == pytest.approx(run.compute)
        assert law.compute(run.loss) != pytest.approx(run.compute, rel=0.05)
    assert between(runs, math.sqrt(4.0 * 3.9)) == pytest.approx(math.sqrt(2.0))
    assert between(runs, math.sqrt(3.9 * 3.0)) == pytest.approx(math.sqrt(8.0))


def test_beyond_the_runs_the_nearest_line_goes_on():
    runs = [Point(compute=c, loss=8.0 * c**-0.5) for c in (1.0, 2.0, 4.0)]
    assert between(runs, 16.0) == pytest.approx(0.25)
    assert between(runs, 2.0) == pytest.approx(16.0)


@pytest.mark.parametrize("losses", [(), (4.0,), (3.0, 4.0)])
def test_nothing_is_read_between_too_few_runs_or_runs_that_rise(losses):
    runs = [Point(compute=10.0**at, loss=loss) for at, loss in enumerate(losses, start=1)]
    assert between(runs, 3.5) is None


def test_two_runs_give_a_straight_line_in_log_log():
    law = fit_law([Point(compute=1e14, loss=4.0), Point(compute=4e14, loss=3.0)])

    assert law is not None
    assert (law.basis, law.floor) == ("line", 0.0)
    assert law.loss(2e14) == pytest.approx(math.sqrt(12.0))
    assert law.compute(math.sqrt(12.0)) == pytest.approx(2e14)


@pytest.mark.parametrize("losses", [(), (4.0,), (3.0, 4.0), (3.0, 3.0), (3.0, 3.1, 3.2)])
def test_too_few_runs_or_rising_losses_give_no_law(losses):
    points = [Point(compute=10.0**at, loss=loss) for at, loss in enumerate(losses, start=1)]

    assert fit_law(points) is None


def test_a_loss_under_the_floor_is_never_reached():
    law = LossLaw(basis="fit", scale=1.0, exponent=0.3, floor=2.0, reference=1e15)

    assert law.compute(2.0) == math.inf
    assert law.compute(1.9) == math.inf
    assert law.compute(2.0 + 1e-300) == math.inf


def test_runs_of_equal_compute_count_once_with_their_mean_loss():
    runs = [
        Point(compute=2e14, loss=3.0),
        Point(compute=1.000e14, loss=4.0),
        Point(compute=1.005e14, loss=4.2),
        Point(compute=3e14, loss=math.nan),
    ]

    merged = merge(runs, tolerance=0.01)

    assert [point.loss for point in merged] == pytest.approx([4.1, 3.0])
    assert merged[0].compute == pytest.approx(1.0025e14)
