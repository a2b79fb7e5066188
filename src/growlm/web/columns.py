"""Side by side: several models write one prompt on, a token of each in turn."""

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from growlm.base.errors import GrowlmError, RecipeError
from growlm.pipeline.generating import Order, Piece
from growlm.web.tokens import Written, html, mistake

SECONDS_BETWEEN_VIEWS = 0.1
"""The page is drawn anew at most so often."""


@runtime_checkable  # the shape hook asks
class Writes(Protocol):
    """What a column needs of a model."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    def write(self, prompts: Sequence[str], order: Order) -> Iterator[Piece]:
        """Write prompts on."""
        ...


class Column:
    """One model's text as it grows; a mistake ends it, and leaves the other columns alone."""

    def __init__(self, writer: Writes, prompt: str, order: Order) -> None:
        self._name = writer.name
        self._prompt = prompt
        self._coming = writer.write([prompt], order)
        self._pieces: list[Piece] = []
        self._mistake = ""
        self.going = True

    def step(self) -> None:
        """Take one more token, if there is one."""
        try:
            piece = next(self._coming, None)
        except GrowlmError as error:
            self._mistake = mistake(str(error))
            piece = None
        if piece is not None:
            self._pieces.append(piece)
        self.going = piece is not None

    def view(self) -> str:
        """Return the column as HTML."""
        written = Written(name=self._name, prompt=self._prompt, pieces=self._pieces)
        return self._mistake or html(written)


def side_by_side(writers: Sequence[Writes], prompt: str, order: Order) -> Iterator[list[str]]:
    """Yield the columns as HTML again and again, until every text has ended."""
    columns = [Column(writer, prompt, order) for writer in writers]
    yield [column.view() for column in columns]
    drawn = time.monotonic()
    while any(column.going for column in columns):
        for column in columns:
            if column.going:
                column.step()
        if time.monotonic() - drawn >= SECONDS_BETWEEN_VIEWS:
            yield [column.view() for column in columns]
            drawn = time.monotonic()
    yield [column.view() for column in columns]


def order_of(values: Mapping[str, Any]) -> Order:
    """Return what the page's controls ask for; they give whole numbers as floats, and 0 for all.

    Raises:
        RecipeError: One of them is empty, or outside its range.
    """
    for name, value in values.items():
        if value is None:
            raise RecipeError(f"a number for {name}", got="none", fix="the value it had")
    return Order(
        tokens=max(1, int(values["tokens"])),
        seed=int(values["seed"]),
        temperature=float(values["temperature"]),
        top_k=int(values["top_k"]) or None,
        top_p=float(values["top_p"]),
        repetition_penalty=float(values["repetition_penalty"]),
        greedy=bool(values["greedy"]),
        stop=bool(values["stop"]),
    )


def short_names(paths: Sequence[Path]) -> list[str]:
    """Return what tells folders apart: their paths, without what all of them begin and end with.

    >>> short_names([Path("runs/demo/stages/base/final"), Path("runs/demo/stages/grown/final")])
    ['base', 'grown']
    """
    parts = [path.parts for path in paths]
    if len(set(parts)) < 2:
        return [str(path) for path in paths]
    before = _shared(parts)
    after = _shared([each[before:][::-1] for each in parts])
    found = [each[before : len(each) - after] for each in parts]
    return ["/".join(each) or str(path) for each, path in zip(found, paths, strict=True)]


def _shared(parts: Sequence[Sequence[str]]) -> int:
    """Return how many first parts all have in common."""
    return next(
        (count for count, each in enumerate(zip(*parts, strict=False)) if len(set(each)) > 1),
        min(map(len, parts)),
    )
