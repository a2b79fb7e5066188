import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from growlm.base.errors import CorpusError
from growlm.corpus.weights import UNITS, counts, draw_of, quantize, running_counts

some_weights = st.lists(st.integers(0, 1000), min_size=1, max_size=12).filter(any)


def brute_force(draws, units):
    left, remaining, found = draws, UNITS, []
    for unit in units:
        others = left * (remaining - unit) // remaining if remaining else 0
        found.append(left - others)
        left, remaining = others, remaining - unit
    return tuple(found)


@pytest.mark.parametrize(
    ("weights", "units"),
    [
        ((0.55, 0.1, 0.2, 0.1, 0.05), (36_045, 6_554, 13_107, 6_553, 3_277)),
        ((0.5, 0.375, 0.125), (32_768, 24_576, 8_192)),
        ((1.0, 1.0, 1.0), (21_846, 21_845, 21_845)),
        ((3.0,), (65_536,)),
        ((0.0, 2.0, 0.0), (0, 65_536, 0)),
        (("0.1", "0.2"), (21_845, 43_691)),
        ((1e-05, 0.99999), (1, 65_535)),
    ],
)
def test_weights_become_whole_numbers_by_largest_remainders(weights, units):
    assert quantize(weights) == units


def test_a_tie_goes_to_the_earlier_source_whatever_binary_fractions_say():
    # In binary 0.1 * 65536 / (1 + 2e-16) would break the tie of the two tenths by chance.
    units = quantize([0.1] * 10)
    assert units == (6_554,) * 6 + (6_553,) * 4


@given(some_weights)
@settings(deadline=None, max_examples=50)
def test_units_add_up_and_stay_within_one_of_the_share(weights):
    total = sum(weights)
    smallest = min(weight for weight in weights if weight)
    assert smallest * UNITS >= total
    units = quantize([float(weight) for weight in weights])
    assert sum(units) == UNITS
    assert all(
        abs(unit - weight * UNITS / total) < 1 for unit, weight in zip(units, weights, strict=True)
    )


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ((1.0, 1e-6), r"at least 1/65536 of the mixture; got 1e-06 for source 2 of 2"),
        ((0.0, 0.0), "no weight above 0"),
        ((), "no weight above 0"),
        ((1.0, -0.5), "at least 0; got -0.5"),
        ((float("nan"), 1.0), "at least 0; got nan"),
        ((float("inf"), 1.0), "at least 0; got inf"),
        (("a lot",), "at least 0; got a lot"),
    ],
)
def test_impossible_weights_are_refused(weights, message):
    with pytest.raises(CorpusError, match=message):
        quantize(weights)


def test_counts_are_the_published_ones():
    units = (32_768, 24_576, 8_192)
    assert counts(7, units) == (4, 3, 0)
    assert counts(1000, units) == (500, 375, 125)


@given(some_weights, st.integers(0, 2**46))
@settings(deadline=None, max_examples=50)
def test_counts_equal_brute_force_for_any_number_of_draws(weights, draws):
    units = quantize([float(weight) for weight in weights])
    assert counts(draws, units) == brute_force(draws, units)
    assert sum(counts(draws, units)) == draws


@pytest.mark.parametrize(
    "weights", [(0.0, 1.0, 2.0), (1.0, 0.0, 2.0), (1.0, 2.0, 0.0), (1.0,), (1.0,) * 64]
)
def test_each_draw_adds_one_to_one_source_near_its_share(weights):
    units = quantize(weights)
    draws_N = np.arange(UNITS + 1)
    found_SN = running_counts(draws_N, units)
    steps_SN = np.diff(found_SN, axis=1)
    assert (steps_SN.sum(axis=0) == 1).all()
    assert steps_SN.min() >= 0
    share_SN = draws_N * np.array(units)[:, None] / UNITS
    assert np.abs(found_SN - share_SN).max() < max(2, len(units))
    assert tuple(found_SN[:, -1]) == units


@pytest.mark.parametrize(
    "weights", [(0.0, 1.0, 2.0), (1.0, 0.0, 2.0), (1.0, 2.0, 0.0), (1.0,), (0.3,) * 64]
)
def test_the_draws_of_a_source_are_those_at_which_its_count_rises(weights):
    units = quantize(weights)
    counts_SN = running_counts(np.arange(UNITS + 3_001), units)
    for source, unit in enumerate(units):
        if unit:
            rises = np.flatnonzero(np.diff(counts_SN[source]))
            assert draw_of(np.arange(rises.size), units, source=source).tolist() == rises.tolist()


@given(some_weights, st.integers(0, 2**46), st.data())
@settings(deadline=None, max_examples=50)
def test_a_draw_is_found_by_its_rank_however_late(weights, rank, data):
    units = quantize([float(weight) for weight in weights])
    source = data.draw(st.sampled_from([i for i, unit in enumerate(units) if unit]))
    rank = rank * units[source] // UNITS
    draw = int(draw_of(np.array([rank]), units, source=source)[0])
    assert counts(draw, units)[source] == rank
    assert counts(draw + 1, units)[source] == rank + 1
