"""Files far away, by address: ``s3://``, ``gs://``, ``https://`` and whatever else fsspec knows."""

import io
import re
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, TypeVar

from growlm.base.errors import CorpusError, GrowlmError
from growlm.corpus.optional import missing

PAUSES_SECONDS = (0.5, 2.0, 8.0)
"""Waits before a read that failed is tried again."""

BUFFER_BYTES = 1 << 20

T = TypeVar("T")

_ADDRESS = re.compile(r"^[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_CHANGES = ("ETag", "etag", "sha256", "md5Hash", "mtime", "LastModified", "last_modified")
"""What stores call the facts that change with a file's content."""


def is_address(name: str) -> bool:
    """Return whether a name is an address and no path.

    >>> is_address("s3://bucket/a.jsonl"), is_address("data/a.jsonl"), is_address("C:/a.txt")
    (True, False, False)
    """
    return _ADDRESS.match(name) is not None


def find(pattern: str) -> list[str]:
    """Return the addresses of all files that a glob or a folder names, in byte order.

    Raises:
        CorpusError: The place cannot be listed, or a package for it is missing.
    """

    def list_all() -> list[str]:
        store, path = _store(pattern)
        inside = path if any(mark in path for mark in "*?[") else f"{path.rstrip('/')}/**"
        found = [name for name in store.glob(inside) if not _is_hidden(str(name), path)]
        return sorted((str(store.unstrip_protocol(name)) for name in found), key=str.encode)

    return _asked(list_all, pattern)


def spelt(address: str) -> str:
    """Return an address as its store spells it, so that one file has one name.

    Raises:
        CorpusError: A package for it is missing.
    """
    store, path = _store(address)
    return str(store.unstrip_protocol(path))


def facts(address: str) -> dict[str, str | int]:
    """Return a file's address and size, and what its store says of its version.

    Raises:
        CorpusError: It cannot be reached.
    """

    def ask() -> dict[str, str | int]:
        store, path = _store(address)
        known = store.info(path)
        versions = {key: str(known[key]) for key in _CHANGES if known.get(key)}
        return {"path": address, "bytes": int(known.get("size") or 0), **versions}

    return _asked(ask, address)


@contextmanager
def opened(address: str) -> Generator[io.BufferedIOBase, None, None]:
    """Open a file for reading; a read that fails is tried again a few times.

    Raises:
        CorpusError: It cannot be reached.
    """

    def reach() -> Any:
        store, path = _store(address)
        return store.open(path, "rb")

    with _asked(reach, address) as file, io.BufferedReader(Far(file, address), BUFFER_BYTES) as far:
        yield far


class Far(io.RawIOBase):
    """A far file whose failures are told in one line."""

    def __init__(self, file: Any, address: str) -> None:
        self._file = file
        self._address = address

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return whether it can be read from another place."""
        return bool(self._file.seekable())

    def tell(self) -> int:
        """Return the place of the next byte."""
        return int(self._file.tell())

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        return int(self._file.seek(offset, whence))

    def readinto(self, buffer: Any) -> int:
        """Read what fits, or some of it.

        Raises:
            CorpusError: Every try failed.
        """
        place = self.tell()

        def again() -> bytes:
            if self.tell() != place:
                self.seek(place)
            return self._file.read(len(buffer))

        content = _asked(again, self._address)
        buffer[: len(content)] = content
        return len(content)


def _store(address: str) -> tuple[Any, str]:
    try:
        import fsspec.core  # only far files need it
    except ImportError as error:
        raise missing("fsspec", extra="remote", purpose=f"read {address}") from error
    try:
        reach: Any = fsspec.core.url_to_fs  # pyright: ignore[reportUnknownVariableType]
        store, path = reach(address)
    except ImportError as error:  # fsspec says which package a protocol needs
        protocol = address.partition("://")[0]
        raise CorpusError(
            f"the package that reads {protocol}:// addresses",
            got=f"'{error}'",
            fix=f"pip install 'fsspec[{protocol}]'",
        ) from error
    return store, str(path)


def _asked(question: Callable[[], T], address: str) -> T:
    """Return the answer of a far machine, asked again after each pause when it fails."""
    for pause in PAUSES_SECONDS:
        try:
            return question()
        except (GrowlmError, FileNotFoundError, PermissionError):
            break
        except Exception:  # noqa: BLE001 - every store has errors of its own
            time.sleep(pause)
    try:
        return question()
    except GrowlmError:
        raise
    except Exception as error:
        raise _unreachable(error, address) from error


def _unreachable(error: Exception, address: str) -> CorpusError:
    said = str(error).partition("\n")[0][:200] or type(error).__name__
    return CorpusError(
        "a source that can be reached",
        got=f"'{said}' at {address}",
        fix="another address, or the store's own login and network",
    )


def _is_hidden(name: str, root: str) -> bool:
    fixed = root.partition("*")[0]
    return any(part.startswith(".") for part in name.removeprefix(fixed).split("/"))
