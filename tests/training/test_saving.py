"""What ranks write together is tested with ranks, in ``test_parallel.py``; here, what they say."""

from traceback import StackSummary

import pytest
from torch.distributed.checkpoint.api import CheckpointException

from growlm.base.errors import StorageError
from growlm.training.saving import _told

FULL = StorageError("a disk with room left", got="'full' at part", fix="freeing space")


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (FULL, "expected a disk with room left; got 'full' at part, on rank 3. Try freeing space."),
        (
            ValueError("odd"),
            "expected every rank to write its part of a checkpoint; got 'odd' on rank 3. Try the "
            "same command again: it goes on from the last checkpoint.",
        ),
    ],
)
def test_the_first_rank_that_could_not_write_is_named(cause, words):
    failures: dict[int, tuple[BaseException, StackSummary]] = {
        4: (OSError("later"), StackSummary()),
        3: (cause, StackSummary()),
    }
    assert str(_told(CheckpointException("write", failures))) == words
