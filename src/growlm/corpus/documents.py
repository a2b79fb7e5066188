"""Documents: a source's texts in a fixed order, each with a name that outlives re-runs."""

import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from growlm.base.errors import CorpusError
from growlm.corpus import builtin, reading
from growlm.corpus.clean import clean
from growlm.recipe.sections import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A cleaned text and where it comes from."""

    source: str

    path: str
    """Its file, relative to the recipe's folder; for a built-in source, to the library's."""

    row: int
    """Its line in the file, from 0; 0 when the file is one document."""

    group: str
    """What the held-out split looks at: documents of one group stay together."""

    text: str

    @property
    def uid(self) -> str:
        """Its name in 32 hex digits: BLAKE2b-128 of source, path and row."""
        name = f"{self.source}\0{self.path}\0{self.row}"
        return blake2b(name.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What came of one text of a source."""

    document: Document | None
    """The document; None when cleaning left nothing."""

    bad_utf8: bool
    """Whether some of its bytes were not UTF-8."""


def documents(source: Source, *, folder: Path) -> Iterator[Document]:
    """Yield a source's documents, cleaned, without the empty ones, in a fixed order.

    Args:
        source: The recipe's section.
        folder: What the source's relative paths start from.

    Raises:
        CorpusError: A path matches nothing or cannot be read, or a line is not what it should be.
    """
    for got in readings(source, folder=folder):
        if got.document is not None:
            yield got.document


def readings(source: Source, *, folder: Path) -> Iterator[Reading]:
    """Yield what came of every text of a source, empty ones included, for counting.

    Raises:
        CorpusError: As :func:`documents` does.
    """
    if source.builtin is not None:
        for path, text in builtin.texts(source.builtin):
            yield _reading(source, path, reading.Raw(row=0, text=text, bad_utf8=False))
        return
    for path in reading.find(source.files, folder=folder):
        name = relative_name(path, folder=folder)
        for raw in reading.read(path, text_field=source.text_field):
            yield _reading(source, name, raw)


def listing(source: Source, *, folder: Path) -> list[dict[str, str | int]]:
    """Return facts that change when a source's input changes, ready for JSON.

    For files: relative path, bytes, and time of the last change. For a built-in source: Python's
    version, and the number and bytes of its modules.

    Raises:
        CorpusError: A path matches nothing, cannot be read, or all files are empty.
    """
    if source.builtin is not None:
        root = builtin.library()
        sizes = [(root / path).stat().st_size for path in builtin.module_paths()]
        version = platform.python_version()
        return [{"python": version, "files": len(sizes), "bytes": sum(sizes)}]
    paths = reading.find(source.files, folder=folder)
    facts = [_facts(path, folder=folder) for path in paths]
    if not any(fact["bytes"] for fact in facts):
        raise CorpusError(
            f"source '{source.name}' to hold text",
            got=f"{len(facts)} empty files, {relative_name(paths[0], folder=folder)} first",
            fix="other files",
        )
    return facts


def relative_name(path: Path, *, folder: Path) -> str:
    """Return a path relative to a folder, with slashes, free of undecodable bytes."""
    relative = Path(os.path.relpath(path, folder)).as_posix()
    return os.fsencode(relative).decode(errors="replace")


def _reading(source: Source, path: str, raw: reading.Raw) -> Reading:
    text = clean(raw.text)
    group = path if source.builtin is not None else text
    document = Document(source=source.name, path=path, row=raw.row, group=group, text=text)
    return Reading(document=document if text else None, bad_utf8=raw.bad_utf8)


def _facts(path: Path, *, folder: Path) -> dict[str, str | int]:
    reading.can_open(path)
    facts = path.stat()
    name = relative_name(path, folder=folder)
    return {"path": name, "bytes": facts.st_size, "mtime_ns": facts.st_mtime_ns}
