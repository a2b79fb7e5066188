"""Documents: a source's texts in a fixed order, each with a name that outlives re-runs."""

import platform
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from growlm.base.errors import CorpusError
from growlm.corpus import builtin, steps
from growlm.corpus.clean import clean
from growlm.corpus.faults import Faults, Limits
from growlm.corpus.finding import Place, facts, find, name_of
from growlm.corpus.packed import can_open
from growlm.corpus.reading import Form, Lost, Raw, read
from growlm.recipe.sections import Source

BAD_UTF8 = "bad_utf8"
"""What a text with bytes that are not UTF-8 is counted as."""

EMPTY, SHORT, FOREIGN = "empty", "too_short", "other_language"
"""Why a text gives no document: nothing is left of it, it is too short, in another language."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A cleaned text and where it comes from."""

    source: str

    path: str
    """Its file, relative to the recipe's folder, or its address; for a built-in source, relative
    to the library's."""

    row: int
    """Its line, row or piece in the file, from 0; 0 when the file is one document."""

    group: str
    """What the held-out split looks at: documents of one group stay together."""

    text: str

    origin_id: str | None = None
    """The id that its record gives itself, where the recipe asks for it."""

    @property
    def name(self) -> str:
        """What reports call it: its file, and from the file's second text on its line as well."""
        return f"{self.path}:{self.row + 1}" if self.row else self.path

    @property
    def uid(self) -> str:
        """Its name in 32 hex digits: BLAKE2b-128 of source, path and row."""
        name = f"{self.source}\0{self.path}\0{self.row}"
        return blake2b(name.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What came of one record of a source."""

    path: str
    row: int

    document: Document | None
    """The document; None when cleaning left nothing, or nothing could be read."""

    bad_utf8: bool
    """Whether some of its bytes were not UTF-8."""

    changed: tuple[str, ...]
    """The cleaning steps that changed it."""

    dropped: str | None
    """Why cleaning left no document."""

    lost: Lost | None
    """What could not be read."""

    @property
    def problem(self) -> "Problem | None":
        """What was lost or spoilt, and where; None when nothing was."""
        if self.lost is not None:
            kind, said = self.lost.kind, str(self.lost.error)
        elif self.bad_utf8:
            kind, said = BAD_UTF8, "bytes that are not UTF-8"
        else:
            return None
        return Problem(kind=kind, path=self.path, row=self.row, said=said)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What a source lost or had spoilt at one place."""

    kind: str
    """How it is counted: a ``Loss``, or ``bad_utf8``."""

    path: str

    row: int
    """From 0; of a broken file, the first that could not be read."""

    said: str


def documents(source: Source, *, folder: Path) -> Iterator[Document]:
    """Yield a source's documents, cleaned, without the empty ones, in a fixed order.

    Args:
        source: The recipe's section.
        folder: What the source's relative paths start from.

    Raises:
        CorpusError: A path matches nothing or cannot be read, or more is lost than may be.
    """
    for got in readings(source, folder=folder):
        if got.document is not None:
            yield got.document


def readings(source: Source, *, folder: Path) -> Iterator[Reading]:
    """Yield what came of every record of a source, lost and empty ones included, for counting.

    Raises:
        CorpusError: As :func:`documents` does; when it is read to its end, or long before.
    """
    places = units(source, folder=folder)
    limits = Limits(lost=source.max_lost_share, bad_utf8=source.max_bad_utf8_share)
    faults = Faults(limits, source=source.name, places=len(places))
    for got in readings_of(source, places, folder=folder):
        if got.lost is not None:
            faults.lost(got.lost)
        else:
            where = f"{got.path} row {got.row + 1}" if got.row else got.path
            faults.saw(bad_utf8=got.bad_utf8, where=where)
        yield got
    faults.check()


def units(source: Source, *, folder: Path) -> Sequence[Place]:
    """Return the parts of a source that can be read apart: its files, or a built-in source whole.

    Raises:
        CorpusError: A path matches nothing, or cannot be read.
    """
    return [builtin.library()] if source.builtin else find(source.files, folder=folder)


def readings_of(source: Source, places: Sequence[Place], *, folder: Path) -> Iterator[Reading]:
    """Yield what came of every record of some parts of a source, unjudged.

    Raises:
        CorpusError: One cannot be opened.
    """
    if source.builtin is not None:
        for path, text in builtin.texts(source.builtin):
            raw = Raw(row=0, text=text, origin_id=None, bad_utf8=False)
            yield _reading(source, path, raw)
        return
    split = re.compile(source.split) if source.split is not None else None
    form = Form(text_field=source.text_field, id_field=source.id_field, split=split)
    for place in places:
        name = name_of(place, folder=folder)
        for got in read(place, form):
            yield _lost(name, got) if isinstance(got, Lost) else _reading(source, name, got)


def listing(source: Source, *, folder: Path) -> list[dict[str, str | int]]:
    """Return facts that change when a source's input changes, ready for JSON.

    For files: path, bytes, and time of the last change or what their store says of it. For a
    built-in source: Python's version, and the number and bytes of its modules.

    Raises:
        CorpusError: A path matches nothing, cannot be read, or all files are empty.
    """
    if source.builtin is not None:
        root = builtin.library()
        sizes = [(root / path).stat().st_size for path in builtin.module_paths()]
        version = platform.python_version()
        return [{"python": version, "files": len(sizes), "bytes": sum(sizes)}]
    places = find(source.files, folder=folder)
    found: list[dict[str, str | int]] = []
    for place in places:
        if isinstance(place, Path):
            can_open(place)
        found.append(facts(place, folder=folder))
    if not any(fact["bytes"] for fact in found):
        raise CorpusError(
            f"source '{source.name}' to hold text",
            got=f"{len(found)} empty files, {name_of(places[0], folder=folder)} first",
            fix="other files",
        )
    return found


def _lost(path: str, lost: Lost) -> Reading:
    return Reading(
        path=path,
        row=lost.row,
        document=None,
        bad_utf8=False,
        changed=(),
        dropped=None,
        lost=lost,
    )


def _reading(source: Source, path: str, raw: Raw) -> Reading:
    text, changed = steps.cleaned(clean(raw.text), source.clean)
    dropped = _why_dropped(source, text)
    group = path if source.builtin is not None else text
    document = Document(
        source=source.name,
        path=path,
        row=raw.row,
        group=group,
        text=text,
        origin_id=raw.origin_id,
    )
    return Reading(
        path=path,
        row=raw.row,
        document=None if dropped else document,
        bad_utf8=raw.bad_utf8,
        changed=changed,
        dropped=dropped,
        lost=None,
    )


def _why_dropped(source: Source, text: str) -> str | None:
    if not text:
        return EMPTY
    if len(text) < source.min_characters:
        return SHORT
    if source.language is not None and steps.language_of(text) != source.language:
        return FOREIGN
    return None
