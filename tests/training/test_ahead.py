"""Batches ahead: what is read early is what would have been read."""

import gc
from collections.abc import Generator

import pytest
import torch

from growlm.training.ahead import ahead, collected_once
from growlm.training.step import Batch

GPU = torch.device("cuda")


class Reader:
    """Batches of two sequences, and the cursors that they were asked for at."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[int] = []
        self.pinned: list[int] = []
        # Without a GPU nothing can be pinned or moved to it: batches stay where they are.

        def pinned(batch: Batch) -> Batch:
            self.pinned.append(int(batch.ids[0, 0]))
            return batch

        monkeypatch.setattr(Batch, "pinned", pinned)
        monkeypatch.setattr(Batch, "to", lambda batch, _device: batch)

    def __call__(self, cursor: int) -> Batch:
        self.asked.append(cursor)
        if cursor < 0:
            raise ValueError(cursor)
        return Batch(ids=torch.full((2, 5), cursor), documents=None, counted=None)


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Reader:
    return Reader(monkeypatch)


def test_the_next_batch_is_read_while_one_is_used_and_none_past_the_last(reader: Reader) -> None:
    with ahead(reader, GPU, last=6) as batches:
        cursors = [int(batches(cursor).ids[0, 0]) for cursor in (0, 2, 4)]
    assert cursors == [0, 2, 4]
    assert reader.asked == reader.pinned == [0, 2, 4]


def test_after_a_roll_back_the_batch_that_is_asked_for_is_given(reader: Reader) -> None:
    with ahead(reader, GPU, last=8) as batches:
        cursors = [int(batches(cursor).ids[0, 0]) for cursor in (2, 4, 2, 4, 6)]
    assert cursors == [2, 4, 2, 4, 6]
    assert reader.asked == [2, 4, 6, 2, 4, 6]


def test_a_reader_that_fails_fails_the_step_that_needs_it(reader: Reader) -> None:
    with ahead(reader, GPU, last=8) as batches, pytest.raises(ValueError, match="-3"):
        batches(-3)


def test_on_a_cpu_a_batch_is_read_when_it_is_asked_for(reader: Reader) -> None:
    with ahead(reader, torch.device("cpu"), last=8) as batches:
        assert int(batches(4).ids[0, 0]) == 4
    assert reader.asked == [4]
    assert not reader.pinned


@pytest.fixture
def _thawed() -> Generator[None]:
    """Let the collector look at everything for once, which the tests spare it."""
    gc.unfreeze()
    yield
    gc.freeze()


@pytest.mark.usefixtures("_thawed")
def test_what_is_there_is_not_collected_again_until_the_end() -> None:
    with collected_once():
        assert gc.get_freeze_count() > 1000
    assert gc.get_freeze_count() == 0


def test_what_the_caller_froze_stays_frozen() -> None:
    before = gc.get_freeze_count()
    assert before > 100_000
    with collected_once():
        assert gc.get_freeze_count() == before
    assert gc.get_freeze_count() == before
