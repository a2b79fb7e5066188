"""Rulings: which example stands in which document, and what training makes of that document."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from growlm.base.files import storage, write_text
from growlm.corpus.overlap.actions import LEAST_SCORE, kept_pieces
from growlm.corpus.overlap.score import Hit
from growlm.corpus.spans import Span
from growlm.recipe.overlap import Action


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """An example of a benchmark that stands in a document."""

    document: str
    """As reports call it."""
    benchmark: str
    index: int
    """The example's row in the benchmark, from 0."""
    score: float
    """The share of its letters that stands in this document."""
    answer_covered: bool
    characters: tuple[Span, ...]
    """What of the document it is, sorted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What happens about an example that stands in a document."""

    standing: Standing
    action: Action


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What training reads of a document: all of it, or a part between two cuts."""

    begin: int
    """Its first character in the document."""
    text: str
    rulings: tuple[Ruling, ...]
    """What still stands in it, in the piece's own characters."""

    @property
    def masked(self) -> list[Span]:
        """Return the characters that are no targets."""
        return [
            span
            for ruling in self.rulings
            if ruling.action == "mask"
            for span in ruling.standing.characters
        ]


def standings(benchmark: str, hits: Iterable[Hit]) -> Iterator[Standing]:
    """Yield every document in which an example of a benchmark stands."""
    for hit in hits:
        for place in hit.places:
            yield Standing(
                document=place.document,
                benchmark=benchmark,
                index=hit.index,
                score=place.score,
                answer_covered=place.answer_covered,
                characters=place.characters,
            )


def write(path: Path, found: Iterable[Standing]) -> None:
    """Write standings as JSON lines.

    Raises:
        StorageError: They cannot be written.
    """
    lines = (json.dumps(asdict(each), ensure_ascii=False) + "\n" for each in found)
    write_text(path, "".join(lines))


def read(path: Path) -> list[Standing]:
    """Read standings.

    Raises:
        StorageError: They cannot be read.
    """
    with storage(path), path.open("rb") as file:
        rows = [json.loads(line) for line in file]
    for row in rows:
        row["characters"] = tuple((first, last) for first, last in row["characters"])
    return [Standing(**row) for row in rows]


def rulings(
    found: Iterable[Standing], action_of: Callable[[str], Action]
) -> dict[str, tuple[Ruling, ...]]:
    """Return what happens about what stands in each document, by the document's name.

    Args:
        found: A source's standings.
        action_of: What the source is to do about a benchmark; examples of which a document holds
            less than a fifth are only reported.
    """
    by_document: defaultdict[str, list[Ruling]] = defaultdict(list)
    for each in found:
        action = action_of(each.benchmark) if each.score >= LEAST_SCORE else "report"
        by_document[each.document].append(Ruling(standing=each, action=action))
    return {name: tuple(some) for name, some in by_document.items()}


def pieces(text: str, ruled: Sequence[Ruling]) -> list[Piece]:
    """Return what training reads of a document: none where an example has it dropped.

    Args:
        text: The document.
        ruled: What happens about what stands in it.
    """
    if any(ruling.action == "drop" for ruling in ruled):
        return []
    cuts = [
        span for ruling in ruled if ruling.action == "excise" for span in ruling.standing.characters
    ]
    return [_piece(text, kept, ruled) for kept in kept_pieces(len(text), cuts)]


def _piece(text: str, kept: Span, ruled: Sequence[Ruling]) -> Piece:
    begin, end = kept
    inside = (_within(ruling, kept) for ruling in ruled if ruling.action != "excise")
    return Piece(
        begin=begin,
        text=text[begin:end],
        rulings=tuple(ruling for ruling in inside if ruling.standing.characters),
    )


def _within(ruling: Ruling, kept: Span) -> Ruling:
    """Return a ruling with the characters that lie in a piece, counted from its beginning."""
    begin, end = kept
    clipped = (
        (max(first, begin) - begin, min(last, end) - begin)
        for first, last in ruling.standing.characters
    )
    spans = tuple((first, last) for first, last in clipped if first < last)
    return replace(ruling, standing=replace(ruling.standing, characters=spans))
