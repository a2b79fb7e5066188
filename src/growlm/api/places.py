"""What every function of the door takes: a place on the disk, and who is told what happens."""

from collections.abc import Callable, Iterator
from pathlib import Path

from growlm.pipeline.events import Event

Place = str | Path
"""A file or a folder."""

Tell = Callable[[Event], object]
"""Told of everything that is done, as it is done: ``print``, for one."""


def nobody(_event: Event) -> None:
    """Hear an event, and say nothing."""


def told(events: Iterator[Event], tell: Tell) -> None:
    """Carry steps out, and tell of each."""
    for event in events:
        tell(event)


def place_of(place: Place | None) -> Path | None:
    """Return a place, if one is named."""
    return None if place is None else Path(place)
