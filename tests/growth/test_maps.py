"""Space maps: sources, factors, and what makes one whole."""

import pytest
from hypothesis import given, strategies as st

from growlm.growth.maps import SpaceMap, clones, extended, identity, placed, product

SIZES = st.integers(1, 12).flatmap(
    lambda size: st.tuples(st.just(size), st.integers(size, 4 * size + 3))
)


@given(size=st.integers(1, 20))
def test_the_identity_is_whole_and_says_so(size: int) -> None:
    assert identity(size).is_identity
    assert identity(size).whole
    assert extended(size, to=size).is_identity


@given(sizes=SIZES, share=st.floats(0.05, 0.95))
def test_clones_share_their_sources_readers_whatever_the_split(
    sizes: tuple[int, int], share: float
) -> None:
    size, to = sizes
    map_ = clones(tuple(unit % size for unit in range(to)), parent_size=size, uneven=share)
    assert map_.whole
    assert set(map_.copies) == set(range(size))
    assert sum(map_.is_first_copy) == size


@given(sizes=SIZES, share=st.floats(0.05, 0.45))
def test_no_two_copies_of_a_source_are_read_alike_or_equally_old(
    sizes: tuple[int, int], share: float
) -> None:
    size, to = sizes
    map_ = clones(tuple(unit % size for unit in range(to)), parent_size=size, uneven=share)
    for factors in (map_.reads, map_.seniority):
        assert len(set(zip(map_.sources, factors, strict=True))) == to


def test_seniority_falls_from_the_first_copy_to_the_last() -> None:
    map_ = clones((0, 1, 0, 0), parent_size=2)
    assert map_.seniority == (1.0, 1.0, 0.5, 0.0)
    assert placed((1,), size=3).seniority == (0.0, 1.0, 0.0)


def test_an_uneven_split_tells_two_copies_apart() -> None:
    assert clones((0, 0), parent_size=1, uneven=0.35).reads == pytest.approx((0.35, 0.65))


def test_a_split_that_does_not_add_up_is_not_whole() -> None:
    map_ = SpaceMap(parent_size=1, sources=(0, 0), writes=(1.0, 1.0), reads=(0.5, 0.6), fill="new")
    assert not map_.whole


@given(sizes=SIZES)
def test_new_coordinates_leave_the_old_ones_whole(sizes: tuple[int, int]) -> None:
    size, to = sizes
    map_ = extended(size, to=to)
    assert map_.whole
    assert map_.sources.count(None) == to - size


def test_placing_puts_each_source_into_its_slot() -> None:
    assert placed((2, 0), size=4).sources == (1, None, 0, None)


def test_a_product_counts_pairs_with_the_outer_coordinate_slowest() -> None:
    outer, inner = placed((1,), size=2), clones((0, 1, 0), parent_size=2)
    map_ = product(outer, inner)
    assert map_.sources == (None, None, None, 0, 1, 0)
    assert map_.reads[3:] == (0.5, 1.0, 0.5)
    assert map_.parent_size == 2


@given(sizes=SIZES, inner=st.integers(1, 4))
def test_a_product_of_whole_maps_is_whole(sizes: tuple[int, int], inner: int) -> None:
    size, to = sizes
    outer = clones(tuple(unit % size for unit in range(to)), parent_size=size)
    assert product(outer, identity(inner)).whole
