"""Signals: training saves before it stops; anything else stops at once and leaves nothing half."""

import os
import signal
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

from growlm.base.errors import GrowlmError, Stopped
from growlm.base.units import format_seconds
from growlm.pipeline.events import Stop

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
"""Ctrl-C, and what schedulers send before they take a machine away."""

Handler = Callable[[int, FrameType | None], None]


@contextmanager
def caught(
    *,
    grace_seconds: float | None = None,
    wall_seconds: float | None = None,
    patience_seconds: float | None = None,
) -> Generator[Stop, None, None]:
    """Yield what tells a pipeline that a signal asked it to stop, or that its time is up.

    Args:
        grace_seconds: From a signal that waits for a checkpoint to the end, saved or not.
        wall_seconds: From now to when the pipeline's time is up.
        patience_seconds: How long training may stand still before the process is left.

    Raises:
        Stopped: From inside the block, when the pipeline has nothing to save first, when it is
            asked a second time, or when its grace is over.
    """
    until = None if wall_seconds is None else time.monotonic() + wall_seconds
    stop = Stop(
        grace_seconds=grace_seconds, until=until, patience_seconds=patience_seconds, leave=_leave
    )
    handlers: dict[int, Handler] = {number: _asked(stop) for number in SIGNALS}
    handlers[signal.SIGALRM] = _late(stop)
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield stop
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(error: GrowlmError | None) -> None:
    """Say what is wrong, if there is a word to say, and end the process at once."""
    if error is not None:
        sys.stderr.write(f"growlm: {error}\n")
        sys.stderr.flush()
    os._exit(error.exit_code if error else 1)


def _asked(stop: Stop) -> Handler:
    def handle(number: int, _frame: FrameType | None) -> None:
        second = stop.signal_number is not None
        if stop.deferred and not second:
            stop.signal_number = number
            signal.setitimer(signal.ITIMER_REAL, stop.grace_seconds or 0.0)
            return
        kept = "what was whole before is kept"
        raise Stopped(number, saved=kept, fix="the same command again", at_once=second)

    return handle


def _late(stop: Stop) -> Handler:
    def handle(_number: int, _frame: FrameType | None) -> None:
        if stop.deferred:
            raise Stopped(
                stop.signal_number,
                saved=f"no checkpoint was whole within {format_seconds(stop.grace_seconds or 0.0)} "
                "(--grace); what was whole before is kept",
                fix="the same command again",
                at_once=True,
            )

    return handle
