"""Depth plans: one contract for every operator, and the maps that others published."""

from collections import Counter

import pytest
from hypothesis import given, strategies as st

from growlm.base.errors import GrowthError
from growlm.growth.depth import OPERATORS, DepthPlan, depth_plan, insert, interleave, stack

SIZES = st.integers(1, 48).flatmap(
    lambda parent: st.tuples(st.just(parent), st.integers(parent, 3 * parent + 5))
)

INTERLEAVE_18_24 = [
    0,
    0,
    1,
    2,
    3,
    3,
    4,
    5,
    6,
    6,
    7,
    8,
    9,
    9,
    10,
    11,
    12,
    12,
    13,
    14,
    15,
    15,
    16,
    17,
]


ANY = ("interleave", "stack", "insert", "append")
"""Operators that reach every number of layers."""


@pytest.mark.parametrize("operator", ANY)
@given(sizes=SIZES)
def test_every_operator_keeps_the_contract(operator: str, sizes: tuple[int, int]) -> None:
    parent_layers, layers = sizes
    plan = depth_plan(operator, parent_layers=parent_layers, layers=layers)
    assert plan.parent_layers == parent_layers
    assert plan.layers == len(plan.sources) == layers
    assert set(plan.sources) == set(range(parent_layers))
    assert set(plan.silent) <= set(range(layers))
    assert len(set(plan.silent)) == len(plan.silent)
    firsts = [layer for layer in range(layers) if plan.is_first_copy(layer)]
    assert sorted(plan.sources[layer] for layer in firsts) == list(range(parent_layers))


@pytest.mark.parametrize("operator", OPERATORS)
@given(layers=st.integers(1, 48))
def test_growing_by_nothing_changes_nothing(operator: str, layers: int) -> None:
    plan = depth_plan(operator, parent_layers=layers, layers=layers)
    assert plan.sources == tuple(range(layers))
    assert plan.claim == "exact"


@pytest.mark.parametrize("operator", ["interleave", "stack"])
@given(sizes=SIZES)
def test_every_parent_layer_is_copied_as_often_as_any_other_or_once_more(
    operator: str, sizes: tuple[int, int]
) -> None:
    counts = Counter(OPERATORS[operator](*sizes).sources).values()
    assert max(counts) - min(counts) <= 1


@given(sizes=SIZES)
def test_interleaving_keeps_the_order_of_the_layers(sizes: tuple[int, int]) -> None:
    sources = interleave(*sizes).sources
    assert sources == tuple(sorted(sources))


def test_interleave_18_to_24_is_the_published_map() -> None:
    sources = interleave(18, 24).sources
    assert list(sources) == INTERLEAVE_18_24
    second = [layer for layer in range(1, 24) if sources[layer] == sources[layer - 1]]
    assert second == [1, 5, 9, 13, 17, 21]


def test_interleave_18_to_36_doubles_each_layer_in_place() -> None:
    assert interleave(18, 36).sources == tuple(layer // 2 for layer in range(36))


def test_stack_18_to_36_is_the_parent_twice() -> None:
    assert stack(18, 36).sources == (*range(18), *range(18))


def test_insert_18_to_24_silences_what_interleave_repeats() -> None:
    plan = insert(18, 24)
    assert list(plan.sources) == INTERLEAVE_18_24
    assert plan.silent == (1, 5, 9, 13, 17, 21)


def test_a_floor_in_floating_point_would_pick_another_layer() -> None:
    assert int(30 / 44 * 22) == 14
    assert interleave(22, 44).sources[30] == 15


def test_rounding_would_leave_the_parent() -> None:
    assert max(round(layer / 24 * 12) for layer in range(24)) == 12
    assert max(interleave(12, 24).sources) == 11


@given(sizes=SIZES)
def test_insert_claims_to_be_exact_and_without_its_silent_layers_is_the_parent(
    sizes: tuple[int, int],
) -> None:
    plan = insert(*sizes)
    assert plan.claim == "exact"
    heard = [source for layer, source in enumerate(plan.sources) if layer not in plan.silent]
    assert heard == list(range(sizes[0]))


@pytest.mark.parametrize("operator", ["interleave", "stack"])
@pytest.mark.parametrize(("parent_layers", "layers"), [(1, 2), (2, 3), (18, 24), (18, 36)])
def test_copies_that_are_heard_claim_nothing(
    operator: str, parent_layers: int, layers: int
) -> None:
    assert OPERATORS[operator](parent_layers, layers).claim == "approximate"


@pytest.mark.parametrize(
    ("sources", "silent"),
    [((1, 0), ()), ((0, 1, 1), (0,)), ((0, 0, 1), (2,)), ((0, 1, 0), ())],
)
def test_a_plan_that_reorders_drops_or_repeats_is_not_exact(
    sources: tuple[int, ...], silent: tuple[int, ...]
) -> None:
    assert DepthPlan(parent_layers=2, sources=sources, silent=silent).claim == "approximate"


def test_the_first_copy_is_the_first_that_is_heard() -> None:
    plan = DepthPlan(parent_layers=2, sources=(0, 0, 0, 1), silent=(0,))
    assert [plan.is_first_copy(layer) for layer in range(4)] == [False, True, False, True]


def test_an_unknown_operator_is_answered_with_the_nearest() -> None:
    words = r"one of interleave, .*, explicit; got 'interleaved'\. Try interleave\."
    with pytest.raises(GrowthError, match=words):
        depth_plan("interleaved", parent_layers=2, layers=4)


def test_a_child_with_fewer_layers_is_refused() -> None:
    words = r"at least its parent's layers; got 18 -> 12\. Try layers=36\."
    with pytest.raises(GrowthError, match=words):
        depth_plan("stack", parent_layers=18, layers=12)


@pytest.mark.parametrize("operator", OPERATORS)
@given(sizes=SIZES)
def test_an_operator_gives_a_whole_plan_or_says_what_it_can_do(
    operator: str, sizes: tuple[int, int]
) -> None:
    parent_layers, layers = sizes
    plan = advised_plan(operator, parent_layers, layers)
    assert set(plan.sources) == set(range(parent_layers))
    assert plan.layers == layers or operator in {"solar", "middle", "middle-layerwise"}


def advised_plan(operator: str, parent_layers: int, layers: int) -> DepthPlan:
    """Return a plan, or the one that a refusal advises: advice that is refused too is no advice."""
    try:
        return depth_plan(operator, parent_layers=parent_layers, layers=layers)
    except GrowthError as error:
        advised = int(error.fix.removeprefix("--layers ").partition(",")[0])
    return depth_plan(operator, parent_layers=parent_layers, layers=advised)


def test_solar_32_to_48_is_the_published_map() -> None:
    plan = depth_plan("solar", parent_layers=32, layers=48)
    assert plan.sources == (*range(24), *range(8, 32))


def test_solar_18_to_24_drops_six_layers_at_each_inner_end() -> None:
    assert depth_plan("solar", parent_layers=18, layers=24).sources == (*range(12), *range(6, 18))


@pytest.mark.parametrize(
    ("operator", "sizes", "start", "end"),
    [
        ("middle", (12, 16), 4, 8),
        ("middle", (8, 12), 0, 4),
        ("middle", (9, 12), 3, 6),
        ("middle-layerwise", (8, 12), 2, 6),
    ],
)
def test_middle_operators_repeat_one_block(
    operator: str, sizes: tuple[int, int], start: int, end: int
) -> None:
    parent_layers, layers = sizes
    plan = depth_plan(operator, parent_layers=parent_layers, layers=layers)
    expected = (*range(end), *range(start, end), *range(end, parent_layers))
    assert plan.sources == expected


def test_appended_layers_are_silent_copies_of_the_last() -> None:
    plan = depth_plan("append", parent_layers=3, layers=7)
    assert plan.sources == (0, 1, 2, 2, 0, 1, 2)
    assert plan.silent == (3, 4, 5, 6)
    assert plan.claim == "exact"


def test_a_written_map_may_silence_any_copy() -> None:
    plan = depth_plan("explicit", parent_layers=2, layers=4, explicit_map=(~0, 0, 1, ~1))
    assert (plan.sources, plan.silent) == ((0, 0, 1, 1), (0, 3))
    assert plan.claim == "exact"


@pytest.mark.parametrize(
    ("layer_map", "words"),
    [((0, 1, 2), "got layer 2"), ((0, 0, 0), "got no copy of layer 1"), ((0, 1), "got 'explicit'")],
)
def test_a_written_map_that_does_not_fit_is_refused(layer_map: tuple[int, ...], words: str) -> None:
    with pytest.raises(GrowthError, match=words):
        depth_plan("explicit", parent_layers=2, layers=3, explicit_map=layer_map)
