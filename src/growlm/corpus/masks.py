"""Masks: which tokens of a shard are no targets; they stay in sight of those behind them."""

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int64

from growlm.base.errors import CorpusError
from growlm.base.files import storage
from growlm.corpus.arrays import NDArray
from growlm.corpus.spans import Span

SUFFIX = ".mask"
MAGIC = b"CPMASK01"
HEADER = struct.Struct("<8sQ")
"""Magic, number of ranges; behind it the first token of each range and the one after its last."""


def encode(ranges: Sequence[Span]) -> bytes:
    """Return the file of a shard's ranges.

    Args:
        ranges: In tokens of the shard, sorted, with something between any two.
    """
    return HEADER.pack(MAGIC, len(ranges)) + np.array(ranges, dtype="<u8").tobytes()


def read(path: Path, *, tokens: int) -> Int64[NDArray[np.int64], "N 2"]:
    """Return the ranges of a shard's mask.

    Args:
        path: The file.
        tokens: The shard's.

    Raises:
        StorageError: It cannot be read.
        CorpusError: It is no such file, cut short, or of other tokens.
    """
    with storage(path):
        content = path.read_bytes()
    if len(content) < HEADER.size or not content.startswith(MAGIC):
        raise _broken(path, "another beginning")
    count = HEADER.unpack_from(content)[1]
    if len(content) != HEADER.size + 16 * count:
        raise _broken(path, f"{len(content):,} bytes for {count:,} ranges")
    ranges_N2 = np.frombuffer(content, dtype="<u8", offset=HEADER.size).reshape(-1, 2)
    edges = ranges_N2.reshape(-1)
    if not count or (edges[1:] <= edges[:-1]).any() or edges[-1] > tokens:
        raise _broken(path, f"ranges that do not rise within its {tokens:,} tokens")
    return ranges_N2.astype(np.int64)


def outside(
    ranges_N2: Int64[NDArray[np.int64], "N 2"],
    starts_B: Int64[NDArray[np.int64], "B"],
    length: int,
) -> Bool[NDArray[np.bool_], "B T"]:
    """Return which tokens of some windows lie in no range.

    Args:
        ranges_N2: As ``read`` returns them.
        starts_B: The first token of each window.
        length: Tokens of a window.
    """
    kept_BT = np.ones((starts_B.size, length), dtype=np.bool_)
    first_B = np.searchsorted(ranges_N2[:, 1], starts_B, side="right")
    last_B = np.searchsorted(ranges_N2[:, 0], starts_B + length, side="left")
    for row in np.flatnonzero(last_B > first_B).tolist():
        for first, last in ranges_N2[first_B[row] : last_B[row]] - starts_B[row]:
            kept_BT[row, max(first, 0) : last] = False
    return kept_BT


def _broken(path: Path, got: str) -> CorpusError:
    return CorpusError(
        f"{path} to be a shard's mask", got=got, fix="preparing the source again, or a copy of it"
    )
