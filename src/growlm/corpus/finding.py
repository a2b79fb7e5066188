"""Finding a source's texts: files, folders, globs and addresses, in an order that stays."""

import os
from collections.abc import Sequence
from pathlib import Path

from growlm.base.errors import CorpusError
from growlm.corpus import hub, remote

WHOLE_SUFFIXES = (".txt", ".md", ".tex")
LINE_SUFFIXES = (".jsonl",)
TABLE_SUFFIXES = (".parquet",)
PACKED_SUFFIXES = (".gz", ".zst", ".bz2")
WILDCARDS = frozenset("*?[")

Place = Path | str
"""A file on a disk, or the address of a file or of a data set."""


def find(patterns: Sequence[str], *, folder: Path) -> list[Place]:
    """Return the places that the patterns name, each once, in the order of the patterns.

    A folder or a glob gives its files of known kinds in the byte order of their relative paths;
    hidden files and folders inside it are skipped.

    Args:
        patterns: Files, folders, globs or addresses.
        folder: What relative patterns start from.

    Raises:
        CorpusError: A pattern matches nothing, names a file of another kind, or cannot be read.
    """
    found: dict[Place, None] = {}
    for pattern in patterns:
        matches = _far(pattern) if remote.is_address(pattern) else _near(pattern, folder)
        if not matches:
            where = "" if remote.is_address(pattern) else f" in {folder}"
            raise CorpusError(
                "a source's files to name at least one of " + ", ".join(_kinds()),
                got=f"'{pattern}', which matches none{where}",
                fix="another path, relative to the recipe",
            )
        found.update(dict.fromkeys(matches))
    return list(found)


def facts(place: Place, *, folder: Path) -> dict[str, str | int]:
    """Return what changes when a place's content does, with its size in ``bytes``.

    Raises:
        CorpusError: It cannot be read.
    """
    if isinstance(place, str):
        return hub.facts(place) if hub.is_dataset(place) else remote.facts(place)
    known = place.stat()
    name = name_of(place, folder=folder)
    return {"path": name, "bytes": known.st_size, "mtime_ns": known.st_mtime_ns}


def name_of(place: Place, *, folder: Path) -> str:
    """Return an address, or a path relative to a folder with slashes and no undecodable bytes."""
    if isinstance(place, str):
        return place
    relative = Path(os.path.relpath(place, folder)).as_posix()
    return os.fsencode(relative).decode(errors="replace")


def kind_of(name: str) -> str:
    """Return the suffix that tells how to read a file; compression is told by its first bytes.

    >>> kind_of("a/B.JSONL.gz"), kind_of("https://a.org/b.txt.zst?download=1"), kind_of("c.gz")
    ('.jsonl', '.txt', '')
    """
    bare = name.lower()
    if remote.is_address(bare):
        bare = bare.partition("?")[0].partition("#")[0]
    for suffix in PACKED_SUFFIXES:
        bare = bare.removesuffix(suffix)
    return Path(bare).suffix


def _far(pattern: str) -> list[Place]:
    if hub.is_dataset(pattern):
        return [hub.pinned(pattern)]
    if WILDCARDS & set(pattern.partition("?")[0]) or not is_known(pattern):
        return [each for each in remote.find(pattern) if is_known(each)]
    return [remote.spelt(pattern)]


def is_known(name: str) -> bool:
    """Return whether a file's name tells how it is read."""
    return kind_of(name) in (*WHOLE_SUFFIXES, *LINE_SUFFIXES, *TABLE_SUFFIXES)


def _near(pattern: str, folder: Path) -> list[Place]:
    try:
        return [*_matches(pattern, folder)]
    except OSError as error:
        raise unreadable(error, folder / pattern) from error


def unreadable(error: Exception, place: Place) -> CorpusError:
    """Return the one line for a place that the system, or a far machine, will not give."""
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    where = getattr(error, "filename", None) or place
    return CorpusError(
        "a source that can be read", got=f"'{said}' at {where}", fix="chmod, or another path"
    )


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
    files = [path for path in hits if path.is_file() and is_known(path.name)]
    nested = [path for hit in hits if hit.is_dir() for path in _inside(hit)]
    return _in_byte_order({*files, *nested}, root)


def _named(path: Path) -> list[Path]:
    if path.exists() and not is_known(path.name):
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
    known = {path for path in paths if path.is_file() and is_known(path.name)}
    return _in_byte_order(known, root)


def _in_byte_order(paths: set[Path], root: Path) -> list[Path]:
    return sorted(paths, key=lambda path: os.fsencode(path.relative_to(root).as_posix()))


def _is_hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)


def _kinds() -> list[str]:
    return [*WHOLE_SUFFIXES, *LINE_SUFFIXES, *TABLE_SUFFIXES, "each also as .gz, .zst or .bz2"]
