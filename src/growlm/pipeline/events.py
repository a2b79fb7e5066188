"""What a running pipeline tells whoever iterates it."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass

from growlm.base.errors import GrowlmError


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A step begins, or goes on."""

    step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A step has nothing to do: its inputs and its recipe are as they were."""

    step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A step has done its work."""

    step: str
    seconds: float
    result: str
    """What came out, in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a step is."""

    step: str
    done: int
    total: int
    unit: str
    """What is counted."""
    loss: float | None
    """Training loss, nats per token."""
    tokens_per_second: float | None
    seconds_left: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something the user should know, though nothing is wrong."""

    text: str


Event = Begun | Skipped | Done | Progress | Notice
"""Anything a pipeline yields."""


def raised(error: GrowlmError | None) -> None:
    """Raise an error, if there is one."""
    if error is not None:
        raise error


@dataclass(slots=True)
class Stop:
    """Whether somebody asked the run to stop, and whether that can wait for a checkpoint."""

    signal_number: int | None = None
    deferred: bool = False
    grace_seconds: float | None = None
    """From a signal to the end of the process, where that is known."""
    until: float | None = None
    """When the run's time is up, on the clock of ``time.monotonic``, where it is limited."""
    patience_seconds: float | None = None
    """How long training may stand still, where somebody watches over it."""
    leave: Callable[[GrowlmError | None], None] = raised
    """Ends the process, from any thread, with what is wrong; None is for no word."""

    def due(self, seconds: float) -> bool:
        """Return whether to stop now, rather than after what takes so many seconds more."""
        late = self.until is not None and time.monotonic() + seconds > self.until
        return late or self.signal_number is not None

    @contextmanager
    def deferring(self) -> Generator[None, None, None]:
        """Let a request wait inside the block, which looks at ``signal_number`` by itself."""
        self.deferred = True
        try:
            yield
        finally:
            self.deferred = False
