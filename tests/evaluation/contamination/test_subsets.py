from math import sqrt
from typing import Any

import pytest
from hypothesis import given, strategies as st

from growlm.evaluation.contamination import subsets as module
from growlm.evaluation.contamination.subsets import verdict

subsets: Any = module.subsets


def right(item, right, wrong, overlap):
    return [item(1.0, overlap)] * right + [item(0.0, overlap)] * wrong


def test_subsets_of_ten_examples_by_hand(item):
    """All: 5 of 10, sigma 0.5. Clean: 1 of 5; partial: 1 of 2; dirty: 3 of 3."""
    items = [*right(item, 1, 4, 0.1), *right(item, 1, 1, 0.2), *right(item, 3, 0, 0.8)]
    found = {each.name: each for each in subsets(items)}
    assert {name: each.count for name, each in found.items()} == {
        "clean": 5,
        "not clean": 5,
        "not dirty": 7,
        "dirty": 3,
    }
    means = [found[name].mean.value for name in ("clean", "not clean", "not dirty", "dirty")]
    assert means == pytest.approx([0.2, 0.8, 2 / 7, 1.0])
    assert found["clean"].mean.stderr == pytest.approx(0.2)  # sqrt(0.2) / sqrt(5)
    assert found["clean"].z == pytest.approx(-0.3 / (0.5 / sqrt(5)))
    assert found["dirty"].z == pytest.approx(0.5 / (0.5 / sqrt(3)))
    assert found["dirty"].z_finite == pytest.approx(0.5 / (0.5 * sqrt(7 / (3 * 9))))


def published(item, *, right_inside, inside, right_outside, outside, overlap):
    """Return items of which some overlap, in whole numbers of right answers."""
    return [
        *right(item, right_inside, inside - right_inside, overlap),
        *right(item, right_outside, outside - right_outside, 0.5 - 0.4 * (overlap > 0.5)),
    ]


def test_the_published_dirty_part_of_hellaswag_is_as_far_as_llama_2s_report_says(item):
    """HellaSwag, 70B, L = 40: 92.2 on 848 dirty, 82.5 on all 10,042; Z 7.42 published."""
    items = published(
        item, right_inside=782, inside=848, right_outside=8285 - 782, outside=9194, overlap=0.9
    )
    dirty = subsets(items)[3]
    assert (dirty.name, dirty.count) == ("dirty", 848)
    assert dirty.z == pytest.approx(7.43, abs=0.02)


def test_untested_examples_count_nowhere(item):
    items = right(item, 2, 2, 0.0)
    others = [item(1.0, 1.0, label="short_hit"), item(1.0, 0.0, label="untestable")]
    assert subsets([*items, *others, item(1.0, None)]) == subsets(items)


def test_equal_scores_are_no_distance_from_each_other_and_nothing_is_none(item):
    found = subsets([item(1.0, 0.0), item(1.0, 0.9)])
    assert {(each.z, each.z_finite) for each in found} == {(0.0, 0.0)}
    assert [each.mean for each in subsets([])] == [None] * 4


def test_equal_scores_whose_mean_is_rounded_are_no_distance_from_each_other(item):
    found = subsets([item(43.00816131709213, overlap) for overlap in (0.0, 0.0, 0.2)])
    assert {(each.z, each.z_finite) for each in found} == {(0.0, 0.0)}


@given(st.lists(st.tuples(st.floats(-50, 50), st.sampled_from([0.0, 0.19, 0.2, 0.79, 0.8, 1.0]))))
def test_of_two_parts_of_a_benchmark_one_is_as_far_below_as_the_other_is_above(item, pairs):
    found = {each.name: each for each in subsets([item(*pair) for pair in pairs])}
    for one, other in (("clean", "not clean"), ("not dirty", "dirty")):
        assert found[one].count + found[other].count == len(pairs)
        if found[one].count and found[other].count:
            assert found[one].z_finite == pytest.approx(-found[other].z_finite, abs=1e-6)


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ([(20, 80), (15, 15), (60, 10)], "evidence"),
        ([(20, 80), (15, 15), (28, 1)], "insufficient"),
        ([(20, 8), (15, 15), (60, 10)], "insufficient"),
        ([(50, 50), (15, 15), (40, 30)], "none"),
        ([(80, 20), (15, 15), (10, 60)], "none"),
        ([(20, 80), (0, 0), (0, 0)], "no overlap"),
        ([(0, 0), (0, 0), (40, 20)], "insufficient"),
    ],
)
def test_evidence_takes_all_four_on_their_side_and_thirty_examples(item, answers, words):
    """Right and wrong answers of the clean, the partial and the dirty."""
    items = [
        each
        for counts, overlap in zip(answers, (0.0, 0.5, 1.0), strict=True)
        for each in right(item, counts[0], counts[1], overlap)
    ]
    assert verdict(subsets(items)) == words


def test_no_example_at_all_is_no_overlap():
    assert verdict(subsets([])) == "no overlap"
