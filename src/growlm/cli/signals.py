"""Signals: training saves before it stops; anything else stops at once and leaves nothing half."""

import signal
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

from growlm.base.errors import Stopped
from growlm.pipeline.events import Stop


@contextmanager
def caught() -> Generator[Stop, None, None]:
    """Yield what tells a pipeline that Ctrl-C or SIGTERM asked it to stop.

    Raises:
        Stopped: From inside the block, when the pipeline has nothing to save first, or when it is
            asked a second time.
    """
    stop = Stop()

    def handle(number: int, _frame: FrameType | None) -> None:
        if stop.deferred and stop.signal_number is None:
            stop.signal_number = number
            return
        raise Stopped(number, saved="what was whole before is kept", fix="the same command again")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
