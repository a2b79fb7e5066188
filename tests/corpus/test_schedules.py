import pytest

from growlm.base.errors import CorpusError
from growlm.corpus.schedules import (
    Layout,
    Weighting,
    check_block,
    check_context,
    check_sources,
    check_starts,
    check_weighting,
)

SOURCES = (Layout(name="a", tokens=4096), Layout(name="b", tokens=1311))


@pytest.mark.parametrize(("tokens", "slots"), [(2048, 1), (3071, 1), (3072, 2), (4096, 3)])
def test_an_epoch_leaves_room_for_its_offset_and_its_last_target(tokens, slots):
    assert Layout(name="a", tokens=tokens).slots(1024) == slots


def test_names_are_their_own_and_not_the_samplers():
    check_sources(SOURCES)
    with pytest.raises(CorpusError, match="none of them 'blk'; got a, blk"):
        check_sources([SOURCES[0], Layout(name="blk", tokens=4096)])
    with pytest.raises(CorpusError, match="names of their own"):
        check_sources([SOURCES[0], SOURCES[0]])


@pytest.mark.parametrize("block", [0, -2, 3, 4095])
def test_a_block_is_a_power_of_two(block):
    check_block(1)
    check_block(4096)
    with pytest.raises(CorpusError, match="a power of two"):
        check_block(block)


def test_changes_stand_on_the_grid_of_blocks():
    check_starts([0, 64, 640], block=64)
    with pytest.raises(CorpusError, match=r"multiple of 64 draws; got draw 100\. Try 64 or 128"):
        check_starts([0, 100], block=64)


@pytest.mark.parametrize("starts", [[], [64], [0, 128, 64], [0, 64, 64]])
def test_changes_are_in_order_from_draw_0(starts):
    with pytest.raises(CorpusError, match="in order, the first at draw 0"):
        check_starts(starts, block=64)


def test_a_context_divides_the_slot():
    check_context(512, slot=1024)
    with pytest.raises(CorpusError, match=r"divides the slot of 1024 tokens; got 600\. Try 512"):
        check_context(600, slot=1024)
    with pytest.raises(CorpusError, match=r"got 2048\. Try 1024"):
        check_context(2048, slot=1024)


def test_weights_are_one_for_each_source():
    with pytest.raises(CorpusError, match="1 weights for 2 sources"):
        check_weighting(Weighting(start_draw=0, weights=(1.0,)), SOURCES, slot=512)


def test_a_source_that_is_drawn_has_two_slots():
    check_weighting(Weighting(start_draw=0, weights=(0.5, 0.5)), SOURCES, slot=512)
    check_weighting(Weighting(start_draw=0, weights=(1.0, 0.0)), SOURCES, slot=1024)
    with pytest.raises(CorpusError, match=r"'b' to have at least two slots of 1024.*1,311 tokens"):
        check_weighting(Weighting(start_draw=0, weights=(0.5, 0.5)), SOURCES, slot=1024)
