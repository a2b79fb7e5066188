"""Megatron's ``.idx`` files: where each document of a ``.bin`` file begins and ends."""

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from growlm.base.errors import CorpusError
from growlm.base.files import storage
from growlm.corpus.arrays import NDArray
from growlm.corpus.manifest import DtypeName

MAGIC = b"MMIDIDX\0\0"
VERSION = 1
HEADER = struct.Struct("<9sQBQQ")
"""Magic, version, code of the dtype, sequences, document indices."""

CODES: dict[DtypeName, int] = {"i32": 4, "u16": 8}
"""Megatron's codes of the dtypes written here."""

DTYPES: dict[DtypeName, np.dtype[np.generic]] = {"i32": np.dtype("<i4"), "u16": np.dtype("<u2")}
"""How tokens lie on the disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """What an ``.idx`` file says."""

    dtype: DtypeName

    lengths: Int64[NDArray[np.int64], "N"]
    """Tokens of each document."""


def encode(lengths_N: NDArray[np.int64], *, dtype: DtypeName) -> bytes:
    """Return the ``.idx`` file of documents that lie back to back, one sequence each.

    Args:
        lengths_N: Tokens of each document, its end included, below 2^31.
        dtype: How the ``.bin`` file stores a token.
    """
    documents = lengths_N.size
    ends_N = np.cumsum(lengths_N, dtype="<i8") * DTYPES[dtype].itemsize
    offsets_N = np.concatenate([np.zeros(1, dtype="<i8"), ends_N])[:documents]
    header = HEADER.pack(MAGIC, VERSION, CODES[dtype], documents, documents + 1)
    order = np.arange(documents + 1, dtype="<i8")
    return header + lengths_N.astype("<i4").tobytes() + offsets_N.tobytes() + order.tobytes()


def read(path: Path) -> Index:
    """Return what an ``.idx`` file says; a document of several sequences counts as one.

    Raises:
        StorageError: It cannot be read.
        CorpusError: It is no such file, of another dtype, or cut short.
    """
    with storage(path):
        content = path.read_bytes()
    if len(content) < HEADER.size or not content.startswith(MAGIC):
        raise _broken(path, "another beginning")
    _, number, code, sequences, indices = HEADER.unpack_from(content)
    names: dict[int, DtypeName] = {code: name for name, code in CODES.items()}
    if number != VERSION or code not in names:
        raise _broken(path, f"version {number} with dtype code {code}")
    if len(content) != HEADER.size + 12 * sequences + 8 * indices:
        raise _broken(path, f"{len(content):,} bytes for {sequences:,} sequences")
    lengths = np.frombuffer(content, dtype="<i4", count=sequences, offset=HEADER.size)
    edges = np.frombuffer(content, dtype="<i8", count=indices, offset=HEADER.size + 12 * sequences)
    ends = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths, dtype=np.int64)])
    if edges.size == 0 or edges[0] != 0 or edges[-1] != sequences or (np.diff(edges) < 0).any():
        raise _broken(path, "document indices out of order")
    return Index(dtype=names[code], lengths=np.diff(ends[edges]))


def _broken(path: Path, got: str) -> CorpusError:
    return CorpusError(
        f"{path} to be an index of version {VERSION} for u16 or i32 tokens",
        got=got,
        fix="preparing the source again",
    )
