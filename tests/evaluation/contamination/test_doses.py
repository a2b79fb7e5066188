from math import hypot, inf, sqrt
from typing import Any

import pytest
from hypothesis import given, strategies as st

from growlm.evaluation.contamination import doses as module
from growlm.evaluation.contamination.doses import doses

difference: Any = module.difference


def test_doses_by_hand():
    """Never: 1 of 4. Once, in sum: 1 of 2. Four times, or nearly: 2 of 2."""
    pairs = [(0.0, 1.0), (0.0, 0.0), (0.0, 0.0), (0.0, 0.0)]
    pairs += [(0.4 + 0.6, 1.0), (0.5, 0.0), (4.0, 1.0), (3.2, 1.0)]
    never, once, four = doses(pairs)
    assert (never.above, never.most, never.exposures, never.mean.value) == (None, 0.0, 0.0, 0.25)
    assert (never.gain, never.gain_stderr, never.gain_per_exposure) == (None, None, None)
    assert (once.above, once.most, once.mean.count) == (0.0, 1.5, 2)
    assert once.exposures == pytest.approx(0.75)
    assert once.gain == 0.25
    assert once.gain_stderr == pytest.approx(hypot(0.25, 0.5))
    assert once.gain_per_exposure == pytest.approx(1 / 3)
    assert (four.above, four.most, four.exposures) == (3.0, 6.0, 3.6)
    assert four.gain_per_exposure == pytest.approx(0.75 / 3.6)


def test_without_examples_never_trained_on_there_is_no_gain():
    (often,) = doses([(25.0, 1.0), (40.0, 0.0)])
    assert (often.above, often.most, often.mean.value, often.gain) == (24.0, inf, 0.5, None)
    assert often.gain_per_exposure is None
    assert doses([]) == ()


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(-9, 9))))
def test_every_example_has_one_dose(pairs):
    found = doses(pairs)
    assert sum(each.mean.count for each in found) == len(pairs)
    assert sum(each.mean.count * each.mean.value for each in found) == pytest.approx(
        sum(value for _, value in pairs), abs=1e-6
    )


def test_the_difference_in_differences_by_hand(item):
    """Trained on: gains 1 and 0. Not: gains 0, 0, 1 and -1. What the parent saw counts nowhere."""
    items = [item(1.0, parent=0.0, exposures=1.0), item(1.0, parent=1.0, exposures=3.0)]
    items += [item(0.0, parent=0.0), item(1.0, parent=1.0)]
    items += [item(1.0, parent=0.0), item(0.0, parent=1.0)]
    seen = [item(1.0, parent=0.0, exposures=9.0, parent_exposures=2.0)]
    found = difference([*items, *seen])
    assert (found.exposed.value, found.unexposed.value, found.value) == (0.5, 0.0, 0.5)
    assert found.stderr == pytest.approx(sqrt(0.5 / 2 + (2 / 3) / 4))
    assert found.verdict == "insufficient"


def test_a_group_without_examples_makes_no_difference(item):
    assert difference([item(1.0, parent=0.0)]) is None
    assert difference([item(1.0, parent=0.0, exposures=1.0)]) is None
    assert difference([item(1.0), item(1.0, exposures=1.0)]) is None


@pytest.mark.parametrize(
    ("exposed", "unexposed", "words"),
    [(30, 30, "evidence"), (29, 30, "insufficient"), (30, 29, "insufficient"), (15, 45, "none")],
)
def test_evidence_takes_three_errors_and_thirty_examples(item, exposed, unexposed, words):
    """All gained one; where it is none, 30 of each group, and as many gained as lost."""
    good, bad = [item(1.0, parent=0.0, exposures=1.0)], [item(0.0, parent=1.0, exposures=1.0)]
    others = [item(0.0, parent=0.0)]
    if words == "none":
        assert difference((good + bad) * exposed + others * unexposed).verdict == words
    else:
        assert difference(good * exposed + others * unexposed).verdict == words


@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9), st.booleans()), min_size=2))
def test_what_makes_every_example_easier_for_parent_and_child_changes_no_difference(item, rows):
    def made(shift):
        return difference(
            [item(a + shift, parent=b + shift, exposures=float(seen)) for a, b, seen in rows]
        )

    before, after = made(0.0), made(1.0)
    assert (before is None) == (after is None)
    if before is not None:
        assert before.value == pytest.approx(after.value, abs=1e-9)
