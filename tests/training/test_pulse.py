"""The pulse: what moves is left alone, and what stands still is named."""

import json
import threading

import pytest

from growlm.training.parallel import World
from growlm.training.pulse import DEFERENCE, LOOKS, Pulse, Watch, watched


class Ranks:
    """Ranks whose words change only where they are said to live."""

    def __init__(self, told, *, rank=0, living=()):
        self.rank, self.size, self.pulse = rank, len(told), Pulse(beats=7, step=3, doing="trains")
        self._told = dict(enumerate(told))
        self._living = living

    def leave_word(self, about, text):
        assert about == "pulse"
        self._told[self.rank] = json.loads(text)

    def confess(self, text):
        """Leave word; the verdict is enough here."""

    def confession(self):
        """Return nothing: no rank ended."""

    def words(self, about):
        assert about == "pulse"
        for rank in self._living:
            self._told[rank]["told"] += 1
        return {rank: json.dumps(each) for rank, each in self._told.items()}


def told(beats, doing, step=3):
    return {"told": 1, "beats": beats, "step": step, "doing": doing}


def verdict(ranks):
    """Look until something is wrong; return how often, and what it is."""
    watch = Watch(world=ranks, patience_seconds=1e-3, reading=lambda: "tales.bin")
    for looks in range(100):
        if (error := watch.look()) is not None:
            return looks, str(error)
    raise AssertionError("all is well")


def test_the_rank_with_the_fewest_beats_is_the_one_that_all_wait_for():
    ranks = Ranks([{}, told(7, "trains"), told(6, "reads shard.bin")], living=(1, 2))
    looks, words = verdict(ranks)
    assert looks == LOOKS
    assert words == (
        "expected step 3 to go on within 0.0 s (--patience); got rank 2 that reads shard.bin in "
        "step 3 and comes to no end. Try that disk or machine, then the same command: it goes on "
        "from the last checkpoint."
    )


def test_a_rank_of_which_nothing_is_heard_is_named_whatever_it_said_last():
    _, words = verdict(Ranks([{}, told(9, "trains"), told(9, "validates", 2)], living=(1,)))
    assert "got rank 2, of which nothing is heard since it validates in step 2." in words


def test_ranks_that_stand_still_at_the_same_place_are_all_named():
    _, words = verdict(Ranks([{}, told(7, "trains")], living=(1,)))
    assert "got rank 0 that trains in step 3 and comes to no end and rank 1 that trains" in words


def test_a_rank_that_is_not_the_first_speaks_later():
    looks, _ = verdict(Ranks([told(7, "trains"), {}], rank=1, living=(0,)))
    assert looks == LOOKS * DEFERENCE


def test_what_moves_or_rests_is_left_alone():
    ranks = Ranks([{}])
    watch = Watch(world=ranks, patience_seconds=1e-3, reading=lambda: None)
    for _ in range(3 * LOOKS):
        ranks.pulse.beat("trains")
        assert watch.look() is None
    with ranks.pulse.resting():
        assert all(watch.look() is None for _ in range(3 * LOOKS))
    assert ranks.pulse.beats == 7 + 3 * LOOKS + 1


def test_a_process_alone_says_which_file_it_reads():
    world, ended, found = World(), threading.Event(), list[str]()
    world.pulse.step = 4

    def leave(error):
        found.append(str(error))
        ended.set()

    with watched(world, patience_seconds=0.05, reading=lambda: "tales.bin", leave=leave):
        world.pulse.beat("reads")
        assert ended.wait(10.0)
    assert "got a process that reads tales.bin in step 4 and comes to no end" in found[0]


def fail(error):
    pytest.fail(str(error))


@pytest.mark.parametrize("patience", [None, 60.0])
def test_a_block_that_ends_in_time_ends_as_if_nobody_watched(patience):
    world = World()
    with watched(world, patience_seconds=patience, reading=lambda: None, leave=fail):
        world.pulse.beat("trains")
