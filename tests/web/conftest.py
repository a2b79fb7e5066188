"""What tests of the playground share: a writer that needs no model, and texts that mean harm."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from growlm.base.errors import GrowlmError
from growlm.pipeline.generating import Order, Piece

HOSTILE = '<img src=x onerror="harm()">\'</span><script>harm()</script>\x1b&lt;'


@dataclass
class Scripted:
    """A writer that writes what it was told, and then fails if it was told to."""

    name: str
    pieces: Sequence[Piece]
    mistake: GrowlmError | None = None

    def write(self, prompts: Sequence[str], order: Order) -> Iterator[Piece]:
        """Write."""
        self.asked = (tuple(prompts), order)
        yield from self.pieces
        if self.mistake is not None:
            raise self.mistake


@pytest.fixture(scope="session")
def hostile() -> str:
    """Return a text that would run if a page obeyed it."""
    return HOSTILE


@pytest.fixture(scope="session")
def piece() -> Callable[..., Piece]:
    """Return a factory: a text, changes -> a piece."""

    def make(text: str, **changes: Any) -> Piece:
        plain: dict[str, Any] = {
            "row": 0,
            "id": 1,
            "text": text,
            "probability": 0.25,
            "alternatives": ((" the", 0.5), (text, 0.25)),
            "end": None,
            "seconds": 0.5,
        }
        return Piece(**{**plain, **changes})

    return make


@pytest.fixture(scope="session")
def scripted() -> type[Scripted]:
    """Return the class of writers that need no model."""
    return Scripted
