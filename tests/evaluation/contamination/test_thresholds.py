from math import sqrt
from typing import Any

import pytest
from hypothesis import given, strategies as st

from growlm.evaluation.contamination import thresholds as module
from growlm.evaluation.contamination.thresholds import EDGES

thresholds: Any = module.thresholds


def test_the_gain_of_700_clean_of_1000_is_that_of_contams_check(item):
    """60% of all, 55% of the 700 below the edge: a gain of 5.0, error 1.85, z 2.70."""
    items = [item(float(n < 385), 0.1) for n in range(700)]
    items += [item(float(n < 215), 0.3) for n in range(300)]
    found = {each.edge: each for each in thresholds(items)}
    assert found[0.2].flagged == 300
    assert found[0.2].gain == pytest.approx(0.05)
    assert found[0.2].gain_stderr == pytest.approx(sqrt(0.24 / 700))
    assert found[0.2].z == pytest.approx(2.70, abs=0.005)
    assert found[0.35].flagged == 0
    assert found[0.35].gain == 0.0


def test_the_first_edge_leaves_out_whatever_overlaps_and_keeps_what_does_not(item):
    first = thresholds([item(1.0, 0.01), item(0.0, 0.0)])[0]
    assert (first.edge, first.flagged, first.rest.value, first.gain) == (0.0, 1, 0.0, 0.5)


def test_where_nothing_is_left_nothing_is_said(item):
    first, *_, last = thresholds([item(1.0, 1.0)])
    for each in (first, last):
        assert (each.flagged, each.rest, each.gain, each.gain_stderr, each.z) == (1, *[None] * 4)
    assert thresholds([item(1.0, None), item(1.0, 0.0, label="untestable")]) == ()


def test_a_gain_without_spread_has_no_z(item):
    assert thresholds([item(1.0, 1.0), item(1.0, 0.0)])[0].z is None


@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(0, 1)), min_size=1))
def test_a_higher_edge_flags_no_more_and_parts_add_up_to_all(item, pairs):
    found = thresholds([item(*pair) for pair in pairs])
    assert [each.edge for each in found] == list(EDGES)
    flagged = [each.flagged for each in found]
    assert flagged == sorted(flagged, reverse=True)
    for each in found:
        assert each.flagged + (each.rest.count if each.rest else 0) == len(pairs)
