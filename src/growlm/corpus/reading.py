"""Files of text, found by path or glob and read as raw records, gzipped or not."""

import gzip
import json
import os
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from growlm.base.errors import CorpusError, nearest
from growlm.corpus.clean import decode

WHOLE_SUFFIXES = (".txt", ".md", ".tex")
LINE_SUFFIXES = (".jsonl",)
GZIP_MAGIC = b"\x1f\x8b"
WILDCARDS = frozenset("*?[")


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """A text as a file holds it, before cleaning."""

    row: int
    """Its line in the file, from 0; 0 when the file is one text."""

    text: str

    bad_utf8: bool
    """Whether some of its bytes were not UTF-8."""


def find(patterns: tuple[str, ...], *, folder: Path) -> list[Path]:
    """Return the files that the patterns name, each once, in the order of the patterns.

    A folder or a glob gives its files of known kinds in the byte order of their relative paths;
    hidden files and folders inside it are skipped.

    Args:
        patterns: Files, folders or globs.
        folder: What relative patterns start from.

    Raises:
        CorpusError: A pattern matches nothing, names a file of another kind, or cannot be read.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        try:
            matches = _matches(pattern, folder)
        except OSError as error:
            raise _unreadable(error, folder / pattern) from error
        if not matches:
            raise CorpusError(
                "a source's files to name at least one of " + ", ".join(_kinds()),
                got=f"'{pattern}', which matches none in {folder}",
                fix="another path, relative to the recipe",
            )
        found.update(dict.fromkeys(matches))
    return list(found)


def read(path: Path, *, text_field: str) -> Iterator[Raw]:
    """Yield the texts of one file.

    Args:
        path: A file of a known kind, gzipped or not.
        text_field: The field of a JSON line that holds the text; dots reach into objects.

    Raises:
        CorpusError: It cannot be read, ends early, or has a line that is no JSON object with
            that field.
    """
    with _opened(path) as file:
        if _kind(path) in LINE_SUFFIXES:
            for row, line in enumerate(file):
                if line.strip():
                    yield _from_line(line, row, path=path, text_field=text_field)
        else:
            text, bad = decode(file.read())
            yield Raw(row=0, text=text, bad_utf8=bad)


def can_open(path: Path) -> None:
    """Check that a file can be opened.

    Raises:
        CorpusError: It cannot.
    """
    with _opened(path):
        pass


def _matches(pattern: str, folder: Path) -> list[Path]:
    place = folder / pattern
    if place.is_dir():
        return _inside(place)
    if not WILDCARDS & set(pattern) or place.exists():
        return _named(place)
    parts = place.parts
    fixed = next(i for i, part in enumerate(parts) if WILDCARDS & set(part))
    root = Path(*parts[:fixed])
    hits = [path for path in root.glob("/".join(parts[fixed:])) if not _is_hidden(path, root)]
    files = [path for path in hits if path.is_file() and _is_known(path)]
    nested = [path for hit in hits if hit.is_dir() for path in _inside(hit)]
    return _in_byte_order({*files, *nested}, root)


def _named(path: Path) -> list[Path]:
    if path.exists() and not _is_known(path):
        raise CorpusError(
            "a source's file to end in one of " + ", ".join(_kinds()),
            got=str(path),
            fix="converting it, or renaming it to .txt when it is plain text",
        )
    return [path] if path.exists() else []


def _inside(root: Path) -> list[Path]:
    def refuse(error: OSError) -> None:
        raise error

    paths: list[Path] = []
    for place, folders, names in os.walk(root, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths += [Path(place, name) for name in names if not name.startswith(".")]
    return _in_byte_order({path for path in paths if path.is_file() and _is_known(path)}, root)


def _in_byte_order(paths: set[Path], root: Path) -> list[Path]:
    return sorted(paths, key=lambda path: os.fsencode(path.relative_to(root).as_posix()))


def _is_hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)


def _kind(path: Path) -> str:
    """Return the suffix that tells how to read a file; compression is told by its first bytes."""
    name = path.name.lower().removesuffix(".gz")
    return Path(name).suffix


def _is_known(path: Path) -> bool:
    return _kind(path) in (*WHOLE_SUFFIXES, *LINE_SUFFIXES)


def _kinds() -> list[str]:
    return [*WHOLE_SUFFIXES, *LINE_SUFFIXES, "each also as .gz"]


@contextmanager
def _opened(path: Path) -> Generator[IO[bytes], None, None]:
    """Open a file for reading, unzipped, and give its failures one clear line."""
    try:
        with path.open("rb") as file:
            zipped = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
            file.seek(0)
            if not zipped:
                yield file
                return
            with gzip.open(file) as unzipped:
                yield cast(IO[bytes], unzipped)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise CorpusError(
            "a gzip file that is whole", got=f"'{error}' in {path}", fix="fetching it again"
        ) from error
    except OSError as error:
        raise _unreadable(error, path) from error


def _unreadable(error: OSError, path: Path) -> CorpusError:
    return CorpusError(
        "a source that can be read",
        got=f"'{error.strerror or error}' at {error.filename or path}",
        fix="chmod, or another path",
    )


def _from_line(line: bytes, row: int, *, path: Path, text_field: str) -> Raw:
    text, bad = decode(line)
    place = f"{path} line {row + 1}"
    try:
        values = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        raise CorpusError(
            f"{place} to be JSON", got=str(error), fix="mending or deleting that line"
        ) from error
    return Raw(row=row, text=_field(values, text_field, place=place), bad_utf8=bad)


def _field(values: Any, text_field: str, *, place: str) -> str:
    value = values
    for name in text_field.split("."):
        if not isinstance(value, dict) or name not in value:
            raise _no_field(cast(Any, value), name, text_field=text_field, place=place)
        value = cast(dict[str, Any], value)[name]
    if not isinstance(value, str):
        got = type(value).__name__
        raise CorpusError(
            f"text in field '{text_field}' of {place}", got=got, fix="another text_field"
        )
    return value


def _no_field(value: Any, name: str, *, text_field: str, place: str) -> CorpusError:
    names = list(cast(dict[str, Any], value)) if isinstance(value, dict) else []
    return CorpusError(
        f"a field '{text_field}' in {place}",
        got="the fields " + ", ".join(names) if names else f"no fields but {value!r:.40}",
        fix=f"text_field = {nearest(name, names)}" if names else "one JSON object a line",
    )
