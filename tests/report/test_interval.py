import math

import pytest

from growlm.report.interval import interval, quantile


def test_three_values_have_students_interval_of_two_degrees_of_freedom():
    found = interval([1.0, 2.0, 3.0])
    assert found is not None
    assert found.mean == 2.0
    assert found.high == pytest.approx(2 + 4.30265 / math.sqrt(3), rel=1e-12)
    assert found.low == pytest.approx(2 - 4.30265 / math.sqrt(3), rel=1e-12)


def test_no_value_has_no_mean_and_one_has_no_spread():
    assert interval([]) is None
    found = interval([3.0])
    assert found is not None
    assert (found.mean, found.low, found.high, found.count) == (3.0, None, None, 1)


@pytest.mark.parametrize(
    ("freedom", "printed"),
    [(1, 12.706), (2, 4.303), (9, 2.262), (10, 2.228), (20, 2.086), (30, 2.042), (120, 1.980)],
)
def test_quantiles_are_those_of_the_printed_tables(freedom, printed):
    # Tables print three digits.
    assert quantile(freedom) == pytest.approx(printed, abs=5.1e-4)
