"""Writing shards document by document, so that memory does not grow with the corpus."""

import hashlib
import zlib
from array import array
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from growlm.base.errors import CorpusError
from growlm.base.files import sha256_bytes, storage, whole_folder
from growlm.corpus import index, masks
from growlm.corpus.arrays import NDArray
from growlm.corpus.manifest import (
    DtypeName,
    Manifest,
    ShardFacts,
    TokenizerFacts,
    describe,
    dtype_for,
)
from growlm.corpus.spans import Span, merged

CRC_BLOCK_BYTES = 1 << 22
MAX_SHARD_TOKENS = 1 << 30
Ids = Sequence[int] | NDArray[np.integer]


@contextmanager
def writer(
    folder: Path, *, source: str, tokenizer: TokenizerFacts, shard_tokens: int
) -> Generator["Writer", None, None]:
    """Yield a writer whose shards become ``folder`` when the block ends well, and only then.

    Args:
        folder: Where nothing is yet.
        source: The source's name.
        tokenizer: What the ids come from.
        shard_tokens: Tokens after which a new shard begins, up to 2^30; a document is never cut.

    Raises:
        StorageError: Something is at ``folder`` already, or it cannot be written.
        CorpusError: No document was added, or shards would be too large.
    """
    with whole_folder(folder) as place:
        shards = Writer(place, source=source, tokenizer=tokenizer, shard_tokens=shard_tokens)
        try:
            yield shards
            shards.finish()
        finally:
            shards.abandon()


class Writer:
    """Shards in the making; memory holds four MiB of them and one number per document."""

    def __init__(
        self, folder: Path, *, source: str, tokenizer: TokenizerFacts, shard_tokens: int
    ) -> None:
        self._folder = folder
        self._source = source
        self._tokenizer = tokenizer
        self._shard_tokens = _checked(shard_tokens)
        self._shards: list[ShardFacts] = []
        self._open: _Shard | None = None

    @property
    def tokens(self) -> int:
        """Tokens so far; the next document begins at this place of the stream."""
        closed = sum(shard.n_tok for shard in self._shards)
        return closed + (self._open.tokens if self._open is not None else 0)

    def add(self, ids: Ids, *, masked: Sequence[Span] = ()) -> None:
        """Append a document, which ends in the end of text.

        Args:
            ids: Its tokens.
            masked: Which of them are no targets, as ranges that neither touch nor overlap.

        Raises:
            CorpusError: It does not, or has an id outside the vocabulary.
        """
        ids_T = np.asarray(ids, dtype=np.int64)
        self._check(ids_T)
        if self._open is not None and self._open.tokens + ids_T.size > self._shard_tokens:
            self._close_shard()
        if self._open is None:
            name = f"{len(self._shards):05d}"
            self._open = _Shard(self._folder, name, dtype=dtype_for(self._tokenizer.vocab))
        self._open.add(ids_T, masked)

    def finish(self) -> Manifest:
        """Close the last shard, write the manifest, and return it.

        Raises:
            CorpusError: No document was added.
        """
        self._close_shard()
        if not self._shards:
            raise CorpusError(
                f"at least one document in {self._folder.name} of source '{self._source}'",
                got="none",
                fix="more text",
            )
        manifest = describe(tuple(self._shards), source=self._source, tokenizer=self._tokenizer)
        manifest.write(self._folder)
        return manifest

    def abandon(self) -> None:
        """Let go of an open file, if any."""
        if self._open is not None:
            self._open.abandon()

    def _close_shard(self) -> None:
        if self._open is not None:
            self._shards.append(self._open.close())
            self._open = None

    def _check(self, ids_T: NDArray[np.int64]) -> None:
        vocab, eos = self._tokenizer.vocab, self._tokenizer.eos
        if not ids_T.size or ids_T[-1] != eos:
            raise CorpusError(
                f"a document that ends in the end of text, id {eos}",
                got=f"{ids_T[-1:].tolist()} at its end",
                fix="appending it",
            )
        if ids_T.min() < 0 or ids_T.max() >= vocab:
            raise CorpusError(
                f"ids from 0 to {vocab - 1}",
                got=f"{ids_T.min()} to {ids_T.max()}",
                fix="the tokenizer that the ids come from",
            )


def crc32_hex(block: bytes) -> str:
    """Return the CRC-32 of a block in 8 hex digits.

    >>> crc32_hex(bytes.fromhex("05000600000000000700e8fd09000000"))
    '535e9665'
    """
    return f"{zlib.crc32(block):08x}"


def _checked(shard_tokens: int) -> int:
    if not 0 < shard_tokens <= MAX_SHARD_TOKENS:
        raise CorpusError(
            f"shards of 1 to {MAX_SHARD_TOKENS:,} tokens",
            got=f"{shard_tokens:,}",
            fix=f"{MAX_SHARD_TOKENS:,}",
        )
    return shard_tokens


class _Shard:
    """One pair of files in the making."""

    def __init__(self, folder: Path, name: str, *, dtype: DtypeName) -> None:
        self.tokens = 0
        self._folder = folder
        self._name = name
        self._dtype: DtypeName = dtype
        self._lengths = array("i")
        self._pending = bytearray()
        self._crcs: list[str] = []
        self._masked: list[Span] = []
        self._sha256 = hashlib.sha256()
        with storage(folder):
            self._file = (folder / f"{name}.bin").open("xb")

    def add(self, ids_T: NDArray[np.int64], masked: Sequence[Span]) -> None:
        self._masked += [(self.tokens + first, self.tokens + last) for first, last in masked]
        self._lengths.append(ids_T.size)
        self.tokens += ids_T.size
        self._pending += ids_T.astype(index.DTYPES[self._dtype]).tobytes()
        while len(self._pending) >= CRC_BLOCK_BYTES:
            self._flush()

    def close(self) -> ShardFacts:
        if self._pending:
            self._flush()
        with storage(self._folder):
            self._file.close()
            table = index.encode(np.array(self._lengths, dtype=np.int64), dtype=self._dtype)
            (self._folder / f"{self._name}.idx").write_bytes(table)
            mask = self._mask()
        return ShardFacts(
            name=self._name,
            n_tok=self.tokens,
            n_doc=len(self._lengths),
            bytes=self.tokens * index.DTYPES[self._dtype].itemsize,
            sha256=self._sha256.hexdigest(),
            idx_sha256=sha256_bytes(table),
            crc32_4MiB=tuple(self._crcs),
            mask_sha256=mask,
        )

    def _mask(self) -> str | None:
        """Write the mask where there is one, and return its SHA-256."""
        if not self._masked:
            return None
        content = masks.encode(merged(self._masked))
        (self._folder / self._name).with_suffix(masks.SUFFIX).write_bytes(content)
        return sha256_bytes(content)

    def abandon(self) -> None:
        self._file.close()

    def _flush(self) -> None:
        block = bytes(self._pending[:CRC_BLOCK_BYTES])
        del self._pending[:CRC_BLOCK_BYTES]
        with storage(self._folder):
            self._file.write(block)
        self._sha256.update(block)
        self._crcs.append(crc32_hex(block))
