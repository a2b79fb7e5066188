"""The pulse of a process that trains: what it does and since when, and which rank stands still."""

import json
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from growlm.base.errors import GrowlmError, TrainingError
from growlm.base.units import format_seconds

LOOKS = 20
"""Looks at the pulse within the time that it may stand still."""

LONGEST_PAUSE = 5.0
"""Seconds between two looks, at most."""

SILENT = 3
"""Looks within which every rank that lives has told of itself."""

DEFERENCE = 1.5
"""How much longer a rank waits that is not the first, so that the first one may speak."""

READS = "reads"
"""What a process does while it waits for its batch."""


@dataclass(slots=True)
class Pulse:
    """What a process does; all ranks beat alike, so one with fewer beats is behind."""

    beats: int = 0
    step: int = 0
    """The step at work, from 1."""
    doing: str = "begins"
    rests: bool = False
    """Whether it does something that may take any time."""

    def beat(self, doing: str) -> None:
        """Say what comes next."""
        self.doing = doing
        self.beats += 1

    @contextmanager
    def resting(self) -> Generator[None, None, None]:
        """Let the block take any time."""
        self.rests = True
        try:
            yield
        finally:
            self.rests = False
            self.beats += 1


@runtime_checkable
class Store(Protocol):
    """Where ranks leave word for each other."""

    rank: int
    size: int
    pulse: Pulse

    def leave_word(self, about: str, text: str) -> None:
        """Leave word, in place of what this rank left before."""
        ...

    def words(self, about: str) -> Mapping[int, str]:
        """Return what the ranks left."""
        ...

    def confess(self, text: str) -> None:
        """Leave word of what ends this rank."""
        ...

    def confession(self) -> str | None:
        """Return what ended another rank, where it left word."""
        ...


@dataclass(slots=True, kw_only=True)
class Watch:
    """Looks at the pulse now and then, and says which rank stands still when it does for too long.

    It counts its own looks and not the hours, so that a machine that slept is not taken for dead.
    """

    world: Store
    patience_seconds: float
    reading: Callable[[], object]
    """What is being read, or None."""
    stopped: threading.Event = field(default_factory=threading.Event)
    _looks: int = 0
    """How often it looked, and the pulse had not moved."""
    _beats: int = -1
    _told: int = 0

    @property
    def pause(self) -> float:
        """Seconds between two looks."""
        return min(self.patience_seconds / LOOKS, LONGEST_PAUSE)

    def look(self) -> GrowlmError | None:
        """Tell the others of this rank; return what is wrong when all is still for too long."""
        pulse = self.world.pulse
        moved = pulse.beats != self._beats or pulse.rests
        self._beats, self._looks = pulse.beats, 0 if moved else self._looks + 1
        self._tell(pulse)
        deference = DEFERENCE if self.world.rank else 1.0
        if self._looks * self.pause < self.patience_seconds * deference:
            return None
        found = self._judge(pulse)
        return found if pulse.beats == self._beats else None

    def _tell(self, pulse: Pulse) -> None:
        read = self.reading() if pulse.doing == READS else None
        doing = f"{READS} {read}" if read is not None else pulse.doing
        self._told += 1
        told = {"told": self._told, "beats": pulse.beats, "step": pulse.step, "doing": doing}
        self.world.leave_word("pulse", json.dumps(told))

    def _judge(self, pulse: Pulse) -> TrainingError:
        """Return which rank is behind, once all that live had time to tell of themselves."""
        before = self._heard()
        for _ in range(SILENT):
            self.stopped.wait(self.pause)
            self._tell(pulse)
        heard = self._heard()
        silent = [rank for rank, told in heard.items() if told == before.get(rank)]
        least = min(told["beats"] for told in heard.values())
        behind = silent or [rank for rank, told in heard.items() if told["beats"] == least]
        got = " and ".join(
            self._words(rank, heard[rank], heard=rank not in silent) for rank in behind
        )
        return TrainingError(
            f"step {pulse.step} to go on within {format_seconds(self.patience_seconds)} "
            "(--patience)",
            got=got,
            fix="that disk or machine, then the same command: it goes on from the last checkpoint",
        )

    def _words(self, rank: int, told: Mapping[str, Any], *, heard: bool) -> str:
        who = f"rank {rank}" if self.world.size > 1 else "a process"
        if not heard:
            return (
                f"{who}, of which nothing is heard since it {told['doing']} in step {told['step']}"
            )
        return f"{who} that {told['doing']} in step {told['step']} and comes to no end"

    def _heard(self) -> dict[int, dict[str, Any]]:
        return {rank: json.loads(text) for rank, text in self.world.words("pulse").items()}


@contextmanager
def watched(
    world: Store,
    *,
    patience_seconds: float | None,
    reading: Callable[[], object],
    leave: Callable[[GrowlmError | None], None],
) -> Generator[None, None, None]:
    """Watch over what the block does, on a thread.

    Args:
        world: The ranks.
        patience_seconds: How long the pulse may stand still; None, and nobody watches.
        reading: What is being read, or None.
        leave: Ends the process with what is wrong, since its main thread may never wake again; with
            None where another rank has said it.
    """
    if patience_seconds is None:
        yield
        return
    watch = Watch(world=world, patience_seconds=patience_seconds, reading=reading)

    def run() -> None:
        while not watch.stopped.wait(watch.pause):
            error = watch.look()
            if watch.stopped.is_set():
                return
            if world.rank and world.confession():
                leave(None)
            elif error is not None:
                world.confess(str(error))
                leave(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        watch.stopped.set()
        thread.join(timeout=1.0)
