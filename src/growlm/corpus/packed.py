"""Files as bytes, near or far, unpacked by what their first bytes say; a cut is always told."""

import bz2
import io
import zlib
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from growlm.base.errors import CorpusError
from growlm.corpus import remote
from growlm.corpus.finding import Place, unreadable
from growlm.corpus.optional import missing

PACKED_BYTES = 1 << 16
"""Packed bytes unpacked at once."""

BUFFER_BYTES = 1 << 20


class Broken(Exception):  # noqa: N818 - a finding of its reader's, who counts it
    """A packed file that ends early, or is not what its first bytes say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """A way of packing files."""

    name: str
    suffix: str
    magic: bytes

    unpacker: Callable[[], Any]
    """Makes what unpacks one member: an object like ``bz2.BZ2Decompressor()``."""

    padded: bool
    """Whether zeros may follow a member."""


def _unpack_zstd() -> Any:
    try:
        import zstandard  # only files that it packed need it
    except ImportError as error:
        raise missing("zstandard", extra="zstd", purpose="unpack .zst files") from error
    return zstandard.ZstdDecompressor(max_window_size=1 << 31).decompressobj()


PACKINGS = (
    Packing(
        name="gzip",
        suffix=".gz",
        magic=b"\x1f\x8b",
        unpacker=lambda: zlib.decompressobj(wbits=31),
        padded=True,
    ),
    Packing(name="bzip2", suffix=".bz2", magic=b"BZh", unpacker=bz2.BZ2Decompressor, padded=False),
    Packing(
        name="zstd", suffix=".zst", magic=b"\x28\xb5\x2f\xfd", unpacker=_unpack_zstd, padded=False
    ),
)
"""Every way of packing that is read."""


@contextmanager
def opened(place: Place) -> Generator[io.BufferedIOBase, None, None]:
    """Open a place for reading, unpacked.

    Raises:
        CorpusError: It cannot be read, or a package for it is missing.
        Broken: It is packed and not whole; raised when the reader comes to that point.
    """
    with plain(place) as file:
        packing = _packing(file, name=str(place))
        if packing is None:
            yield file
        else:
            yield io.BufferedReader(Members(file, packing), BUFFER_BYTES)


@contextmanager
def plain(place: Place) -> Generator[io.BufferedIOBase, None, None]:
    """Open a place for reading, as it lies.

    Raises:
        CorpusError: It cannot be read.
    """
    if isinstance(place, str):
        with remote.opened(place) as far:
            yield far
        return
    try:
        with Path.open(place, "rb") as file:
            yield file
    except OSError as error:
        raise unreadable(error, place) from error


def can_open(place: Place) -> None:
    """Check that a place can be opened.

    Raises:
        CorpusError: It cannot.
    """
    with plain(place):
        pass


def broken_error(error: Broken, place: Place) -> CorpusError:
    """Return the one line for a packed file that is not whole."""
    return CorpusError(f"{error.args[0]}", got=f"'{error.args[1]}' in {place}", fix=error.args[2])


def damage(name: str, said: object) -> Broken:
    """Return what is wrong with a file: what it should be, what was said, what to try."""
    return Broken(f"a {name} file that is whole", str(said), "fetching it again")


class Members(io.RawIOBase):
    """What the members of a packed file hold, one after another; the end must be an end."""

    def __init__(self, file: io.BufferedIOBase, packing: Packing) -> None:
        self._file = file
        self._packing = packing
        self._unpacker: Any = None
        self._rest = b""
        self._ready = b""
        self._any = False

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Unpack what fits, or some of it.

        Raises:
            Broken: The file ends inside a member, or holds something else.
        """
        while not self._ready:
            packed = self._rest or self._file.read(PACKED_BYTES)
            self._rest = b""
            if not packed:
                self._check_end()
                return 0
            self._ready = self._unpacked(packed)
        size = min(len(buffer), len(self._ready))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size

    def _unpacked(self, packed: bytes) -> bytes:
        if self._unpacker is None:
            if self._any and self._packing.padded:
                packed = packed.lstrip(b"\0")
                if not packed:
                    return b""
            self._unpacker, self._any = self._packing.unpacker(), True
        try:
            content = bytes(self._unpacker.decompress(packed))
        except CorpusError:
            raise
        except Exception as error:  # each library has an error of its own
            raise damage(self._packing.name, error) from error
        if self._unpacker.eof:
            self._rest, self._unpacker = self._unpacker.unused_data, None
        return content

    def _check_end(self) -> None:
        if self._unpacker is not None:
            raise damage(self._packing.name, "it ends inside the packed data")


def _packing(file: io.BufferedIOBase, *, name: str) -> Packing | None:
    """Return how a file is packed, by its first bytes, and go back to its beginning."""
    head = file.read(4)
    file.seek(0)
    for packing in PACKINGS:
        if head.startswith(packing.magic):
            return packing
        if 0 < len(head) < len(packing.magic) and name.endswith(packing.suffix):
            raise damage(packing.name, "it ends inside its first bytes")
    return None
