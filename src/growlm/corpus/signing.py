"""Signing: one reading of some documents leaves their names, keys and signatures on the disk."""

import io
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import UInt64

from growlm.base.files import write_bytes, write_json
from growlm.base.memory import keep_freed
from growlm.corpus.arrays import NDArray
from growlm.corpus.canonical import alnum, canonical
from growlm.corpus.chunks import edges
from growlm.corpus.documents import Document, readings_of
from growlm.corpus.engine import Result
from growlm.corpus.finding import Place
from growlm.corpus.shingles import SIZE, Shingles, shingles
from growlm.corpus.signatures import HASHES, signatures
from growlm.recipe.sections import Source

BATCH_BYTES = 1 << 18
"""Canonical bytes signed at once."""

SHORTEST_ALNUM = 32
"""Bytes of letters and digits below which a text is the same only byte by byte."""

DOCUMENT = np.dtype(
    [
        ("uid", "V16"),
        ("key", "<u8", (2,)),
        ("path", "<u4"),
        ("row", "<u8"),
        ("words", "<u8"),
        ("signature", "<i8"),
        ("chunk", "<i8"),
    ]
)
"""A document: its name, the key of its words, its path's number, its row, and where its signature
and its first chunk stand, -1 without one."""

CHUNK = np.dtype([("document", "<u8"), ("first", "<u8"), ("last", "<u8")])
"""A chunk: its document, its first word and the one after its last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Portion:
    """Part of a source, signed by one worker."""

    source: Source
    folder: Path
    places: tuple[Place, ...]
    near: bool
    """Whether signatures are wanted beside the keys."""

    def __str__(self) -> str:
        names = ", ".join(str(place) for place in self.places[:3])
        return f"source {self.source.name}: {names}"


def sign(portion: Portion, out: Path, number: int) -> Result:
    """Sign the documents of a portion, and return their number and bytes.

    ``out`` gets, under the portion's number, the documents, signatures, chunks with theirs, and
    the paths and ids that the report names.

    Raises:
        CorpusError: A place cannot be opened.
        StorageError: ``out`` cannot be written.
    """
    started = time.process_time()
    keep_freed()  # fresh pages would cost more than the hashing that is done in them
    signed = _Signed(portion)
    found = readings_of(portion.source, portion.places, folder=portion.folder)
    for batch in _batches(got.document for got in found if got.document is not None):
        signed.add(batch)
    signed.write(out, number)
    return {
        "documents": len(signed.documents),
        "bytes": signed.size,
        "seconds": time.process_time() - started,
    }


def key_of(text: str, words: bytes, *, kind: str) -> bytes:
    """Return 16 bytes that texts share when they are the same.

    Code is the same when only blanks at the ends of lines differ; other text when its letters and
    digits are the same, unless it has few.

    Args:
        text: Cleaned.
        words: Its canonical form.
        kind: Its source's.
    """
    if kind == "code":
        lines = "\n".join(line.rstrip() for line in text.split("\n"))
        return _digest(lines.encode(), domain=b"code")
    letters = alnum(words)
    if len(letters) < SHORTEST_ALNUM:
        return _digest(text.encode(), domain=b"text")
    return _digest(letters, domain=b"alnum")


def _digest(content: bytes, *, domain: bytes) -> bytes:
    return blake2b(content, digest_size=16, person=domain).digest()


def _batches(
    found: Iterator[Document],
) -> Iterator[list[tuple[Document, bytes]]]:
    batch: list[tuple[Document, bytes]] = []
    size = 0
    for document in found:
        words = canonical(document.text)
        batch.append((document, words))
        size += len(words)
        if size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class _Signed:
    """What was signed so far."""

    def __init__(self, portion: Portion) -> None:
        self._portion = portion
        self._paths: dict[str, int] = {}
        self._ids: dict[int, str] = {}
        self._signatures: list[NDArray[np.uint64]] = []
        self._chunk_signatures: list[NDArray[np.uint64]] = []
        self._chunks: list[tuple[int, int, int]] = []
        self._signed = 0
        self.documents: list[tuple[bytes, tuple[int, int], int, int, int, int, int]] = []
        self.size = 0

    def add(self, batch: Sequence[tuple[Document, bytes]]) -> None:
        """Add some documents."""
        grams = shingles([words for _, words in batch])
        enough = grams.words >= SIZE if self._portion.near else np.zeros(len(batch), dtype=bool)
        signed = [int(i) for i in np.flatnonzero(enough)]
        books = self._portion.source.kind == "book"
        cuts = {i: _cuts(grams, i) for i in signed} if books else {}
        self._sign(_stretches(grams, signed, cuts), grams, count=len(signed))
        places = {i: self._signed - len(signed) + n for n, i in enumerate(signed)}
        for i, (document, words) in enumerate(batch):
            chunk = len(self._chunks) if i in cuts else -1
            number = len(self.documents)
            self._chunks += [(number, *span) for span in pairwise(cuts.get(i, []))]
            self._note(document, words, int(grams.words[i]), (places.get(i, -1), chunk))

    def write(self, out: Path, number: int) -> None:
        """Write everything down."""
        name = f"{number:05}"
        arrays = {
            "documents": np.array(self.documents, dtype=DOCUMENT),
            "signatures": np.concatenate([_none(), *self._signatures]),
            "chunks": np.array(self._chunks, dtype=CHUNK),
            "chunk_signatures": np.concatenate([_none(), *self._chunk_signatures]),
        }
        for kind, array in arrays.items():
            buffer = io.BytesIO()
            np.save(buffer, array)
            write_bytes(out / f"{name}.{kind}.npy", buffer.getvalue())
        write_json(out / f"{name}.names.json", {"paths": list(self._paths), "ids": self._ids})

    def _note(self, document: Document, words: bytes, count: int, at: tuple[int, int]) -> None:
        path = self._paths.setdefault(document.path, len(self._paths))
        if document.origin_id is not None:
            self._ids[len(self.documents)] = document.origin_id
        key = key_of(document.text, words, kind=self._portion.source.kind)
        halves = (int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little"))
        uid = bytes.fromhex(document.uid)
        self.documents.append((uid, halves, path, document.row, count, *at))
        text = document.text
        self.size += len(text) if text.isascii() else len(text.encode())

    def _sign(self, stretches: "_Stretches", grams: Shingles, *, count: int) -> None:
        if count:
            found = signatures(grams.hashes, np.array(stretches.starts))
            self._signatures.append(np.minimum.reduceat(found, stretches.firsts))
            self._chunk_signatures.append(found[stretches.chunks])
            self._signed += count


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stretches:
    """Shingles in stretches: of a text, or of its chunks and what crosses from one to the next."""

    starts: list[int]
    firsts: list[int]
    """The first stretch of each text."""
    chunks: list[int]
    """The stretches that are chunks."""


def _stretches(grams: Shingles, signed: Sequence[int], cuts: Mapping[int, list[int]]) -> _Stretches:
    starts: list[int] = []
    firsts: list[int] = []
    chunks: list[int] = []
    for i in signed:
        base = int(grams.starts[i])
        firsts.append(len(starts))
        for first in cuts.get(i, [])[:-1]:
            starts += [base + first - (SIZE - 1)] if first else []
            chunks.append(len(starts))
            starts.append(base + first)
        starts += [] if i in cuts else [base]
    return _Stretches(starts=starts, firsts=firsts, chunks=chunks)


def _cuts(grams: Shingles, i: int) -> list[int]:
    words, start = int(grams.words[i]), int(grams.starts[i])
    return edges(grams.hashes[start : start + words - SIZE + 1], words)


def _none() -> UInt64[NDArray[np.uint64], "S 112"]:
    return np.zeros((0, HASHES), dtype=np.uint64)
