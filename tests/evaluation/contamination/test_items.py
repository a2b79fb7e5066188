from typing import Any

import pytest
from hypothesis import given, strategies as st

from growlm.base.errors import EvaluationError
from growlm.evaluation.contamination import items
from growlm.evaluation.contamination.items import deviation
from growlm.evaluation.results import ExampleScore, TaskScore

joined: Any = items.joined
mean_or_none: Any = items.mean_or_none


def test_scores_contacts_and_exposures_meet_by_row(scored, contact):
    child = scored([1.0, 0.0, 1.0], _1=2.5)
    parent = scored([0.0, 0.0, 1.0], _2=1.0)
    contacts = {0: contact(0.0), 1: contact(0.9), 2: contact(1.0, "short_hit")}
    found = joined(child, "acc", contacts, parent=parent)
    assert [each.value for each in found] == [1.0, 0.0, 1.0]
    assert [each.gain for each in found] == [1.0, 0.0, 0.0]
    assert [each.exposures for each in found] == [0.0, 2.5, 0.0]
    assert [each.parent_exposures for each in found] == [0.0, 0.0, 1.0]
    assert [each.contact for each in found] == list(contacts.values())
    assert [each.tested for each in found] == [True, True, False]


def test_without_a_search_and_a_parent_nothing_is_tested_and_nothing_gained(scored):
    (found,) = joined(scored([1.0]), "acc", None, parent=None)
    assert (found.contact, found.tested, found.gain) == (None, False, None)


def test_scores_may_be_of_some_rows_only_and_in_any_order(scored, contact):
    examples = tuple(ExampleScore(index=n, values={"acc": n / 8}) for n in (5, 2))
    child = scored([0.0])
    some = type(child)(score=TaskScore(task="quiz", examples=examples), history=child.history)
    contacts = {n: contact(n / 10) for n in range(6)}
    found = joined(some, "acc", contacts, parent=None)
    assert [(each.value, each.contact.score) for each in found] == [(0.25, 0.2), (0.625, 0.5)]


def test_a_row_beyond_the_searched_benchmark_is_refused(scored, contact):
    with pytest.raises(
        EvaluationError, match=r"quiz among the 1 that the texts .* got row 1\. Try"
    ):
        joined(scored([1.0, 0.0, 0.0]), "acc", {0: contact(0.0)}, parent=None)


def test_a_parent_scored_on_other_examples_is_refused(scored):
    with pytest.raises(EvaluationError, match="the same examples of quiz; got 1 of one alone"):
        joined(scored([1.0, 0.0]), "acc", None, parent=scored([1.0]))


def test_a_metric_that_a_task_does_not_have_is_refused(scored):
    with pytest.raises(EvaluationError, match=r"a metric of quiz; got 'f1'\. Try acc"):
        joined(scored([1.0]), "f1", None, parent=None)


def test_the_mean_of_nothing_is_none():
    assert mean_or_none([]) is None
    assert mean_or_none([2.0]).value == 2.0


@given(st.lists(st.booleans(), min_size=1))
def test_the_deviation_of_right_and_wrong_is_that_of_a_coin(answers):
    share = sum(answers) / len(answers)
    assert deviation([float(each) for each in answers]) == pytest.approx(
        (share * (1 - share)) ** 0.5
    )
