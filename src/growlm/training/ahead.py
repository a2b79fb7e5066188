"""Batches made ready while the step before them is computed."""

import gc
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import torch

from growlm.training.step import Batch


@contextmanager
def ahead(
    batches: Callable[[int], Batch], device: torch.device, *, last: int
) -> Generator[Callable[[int], Batch], None, None]:
    """Give batches on a GPU, the next one read and pinned by a thread while this one is used.

    A batch depends on its cursor alone, so one that was read too early is as good. On a CPU, where
    a thread would take what computes, they are read when they are asked for.

    Args:
        batches: From a cursor to the batch that begins there.
        device: Where they are used.
        last: The cursor from which nothing is read.
    """
    if device.type != "cuda":
        yield batches
        return
    waiting: dict[int, Future[Batch]] = {}
    with ThreadPoolExecutor(max_workers=1) as reader:

        def read(cursor: int) -> Batch:
            return batches(cursor).pinned()

        def batch_at(cursor: int) -> Batch:
            found = waiting.pop(cursor, None) or reader.submit(read, cursor)
            batch = found.result()
            following = cursor + batch.ids.shape[0]
            waiting.clear()  # of what a roll-back made too early
            if following < last:
                waiting[following] = reader.submit(read, following)
            return batch.to(device)

        yield batch_at


_FROZEN = 10_000
"""Objects that somebody must have frozen; some Pythons freeze a few of their own."""


@contextmanager
def collected_once() -> Generator[None, None, None]:
    """Spare Python's collector all that is there already; it would look at it again and again.

    Where the caller has done so, that stays: ``gc.unfreeze`` knows no other way than all at once.
    """
    if gc.get_freeze_count() >= _FROZEN:
        yield
        return
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
