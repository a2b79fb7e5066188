from typing import Any

import pytest

from growlm.evaluation.contamination import findings
from growlm.evaluation.contamination.items import NOBODY_KNOWS, Scored

finding: Any = findings.finding


@pytest.fixture
def contacts(contact):
    """Forty clean, twenty partial, forty dirty, and a short one; all of the dirty answered."""
    overlaps = [0.0] * 40 + [0.4] * 20 + [0.9] * 40
    found = {
        n: contact(each, answered=True if each > 0.8 else None) for n, each in enumerate(overlaps)
    }
    return {**found, 100: contact(1.0, "short_hit")}


@pytest.fixture
def child(scored):
    values = [float(n % 8 == 0) for n in range(60)] + [1.0] * 41
    return scored(values, **{f"_{n}": 4.0 for n in range(60, 100)})


def test_a_leak_is_found_counted_and_taken_off(scored, contacts, child):
    parent = scored([float(n % 8 == 0) for n in range(101)])
    found = finding(child, "acc", contacts, parent=parent)
    assert (found.task, found.metric, found.known, found.parent_known) == (
        ("quiz", "acc", "known", "known")
    )
    assert found.everything.count == 101
    assert found.everything.value == pytest.approx(49 / 101)
    assert found.labels == {"clean": 40, "partial": 20, "dirty": 40, "short_hit": 1}
    assert found.verdict == "evidence"
    clean = found.subsets[0]
    assert (clean.name, clean.mean.value, clean.count) == ("clean", 0.125, 40)
    assert found.answered.value == 1.0
    assert [(dose.most, dose.mean.count) for dose in found.doses] == [(0.0, 61), (6.0, 40)]
    assert found.gains[1].mean.value == pytest.approx(1 - 5 / 40)
    assert found.difference.verdict == "evidence"
    assert found.difference.value == pytest.approx(1 - 5 / 40 - 1 / 61)


def test_of_a_checkpoint_whose_data_nobody_knows_exposures_say_nothing(contacts, child):
    stranger = Scored(score=child.score, history=NOBODY_KNOWS)
    found = finding(stranger, "acc", contacts, parent=child)
    assert found.known == "unknown"
    assert (found.doses, found.gains, found.difference) == ((), (), None)
    assert found.verdict == "evidence"


def test_where_no_text_was_searched_there_is_a_score_and_no_verdict(child):
    found = finding(child, "acc", None)
    assert (found.verdict, found.subsets, found.thresholds) == ("not searched", (), ())
    assert (found.labels, found.answered, found.parent_known) == ({}, None, None)
    assert found.everything.count == 101
