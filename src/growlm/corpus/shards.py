"""Shards: a source's documents as ids, back to back in files that training maps into memory."""

import hashlib
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64

from growlm.base.errors import CorpusError
from growlm.base.files import sha256_file, storage
from growlm.corpus import index, masks
from growlm.corpus.arrays import NDArray
from growlm.corpus.manifest import Manifest, ShardFacts, TokenizerFacts
from growlm.corpus.writing import CRC_BLOCK_BYTES, Ids, crc32_hex, writer

SPOT_CHECKS = 10
"""Blocks of a shard that a quick verification reads, the first and the last among them."""


def write(
    folder: Path,
    documents: Iterable[Ids],
    *,
    source: str,
    tokenizer: TokenizerFacts,
    shard_tokens: int,
) -> Manifest:
    """Write documents as shards, whole or not at all, and return their manifest.

    Args:
        folder: Where nothing is yet.
        documents: The ids of each, ending in the end of text; read once.
        source: The source's name.
        tokenizer: What the ids come from.
        shard_tokens: Tokens after which a new shard begins; a document is never cut.

    Raises:
        StorageError: Something is at ``folder`` already, or it cannot be written.
        CorpusError: There is no document, or one does not fit the tokenizer.
    """
    with writer(folder, source=source, tokenizer=tokenizer, shard_tokens=shard_tokens) as shards:
        for ids in documents:
            shards.add(ids)
    return Manifest.read(folder)


def verify(folder: Path, *, full: bool) -> None:
    """Check that a folder's files are what its manifest says.

    Args:
        folder: With a manifest.
        full: Read every byte; otherwise sizes, indices, and ten blocks of each shard.

    Raises:
        StorageError: A file cannot be read.
        CorpusError: A file differs; the message names it, and the first block that does.
    """
    for shard in Manifest.read(folder).shards:
        path = folder / f"{shard.name}.bin"
        with storage(path):
            size = path.stat().st_size
        if size != shard.bytes:
            raise _damaged(path, f"{size:,} bytes instead of {shard.bytes:,}")
        _verify_hash(path.with_suffix(".idx"), shard.idx_sha256)
        if shard.mask_sha256 is not None:
            _verify_hash(path.with_suffix(masks.SUFFIX), shard.mask_sha256)
        if full:
            _verify_all(path, shard)
        else:
            _verify_some(path, shard)


class TokenStream:
    """A source's shards as one stream of ids, mapped into memory.

    Args:
        folder: With a manifest.

    Raises:
        StorageError: A file cannot be read.
        CorpusError: There is no manifest, or a file is not as long as it says.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.manifest = Manifest.read(folder)
        dtype = index.DTYPES[self.manifest.dtype]
        self._shards: list[NDArray[Any]] = [
            _mapped(folder, shard, dtype) for shard in self.manifest.shards
        ]
        self.reading: Path | None = None
        """The file that is read just now, for who wonders why that takes long."""
        self._paths = [folder / f"{shard.name}.bin" for shard in self.manifest.shards]
        self._starts = np.cumsum([0, *(shard.n_tok for shard in self.manifest.shards)])
        self._masked_N2 = np.concatenate(
            [
                np.empty((0, 2), dtype=np.int64),
                *(
                    self._starts[number] + _mask(folder, shard)
                    for number, shard in enumerate(self.manifest.shards)
                    if shard.mask_sha256 is not None
                ),
            ]
        )

    @property
    def tokens(self) -> int:
        """Tokens in the stream."""
        return self.manifest.n_tok

    def gather(
        self, starts_N: Int64[NDArray[np.int64], "N"], length: int
    ) -> Int64[NDArray[np.int64], "N T"]:
        """Return ``length`` ids from each start; a window may run from one shard into the next.

        Raises:
            CorpusError: A window lies outside the stream.
        """
        ids_NT = np.empty((starts_N.size, length), dtype=np.int64)
        self.fill(ids_NT, np.arange(starts_N.size), starts_N)
        return ids_NT

    def fill(
        self,
        ids_BT: Int64[NDArray[np.int64], "B T"],
        rows_N: Int64[NDArray[np.int64], "N"],
        starts_N: Int64[NDArray[np.int64], "N"],
    ) -> None:
        """Write the ids from each start on into a row of a batch, as many as a row holds.

        Raises:
            CorpusError: A window lies outside the stream.
        """
        length = ids_BT.shape[1]
        self._check_inside(starts_N, length)
        shard_N = np.searchsorted(self._starts, starts_N, side="right") - 1
        local_N = starts_N - self._starts[shard_N]
        places: list[list[int]] = np.stack([rows_N, shard_N, local_N], axis=1).tolist()
        for row, number, start in places:
            self.reading = self._paths[number]
            window = self._shards[number][start : start + length]
            if window.size == length:
                ids_BT[row] = window
            else:
                self._across(ids_BT[row], number, start)
        self.reading = None

    @property
    def masked_tokens(self) -> int:
        """Tokens that are no targets."""
        return int((self._masked_N2[:, 1] - self._masked_N2[:, 0]).sum())

    def targets(
        self, starts_N: Int64[NDArray[np.int64], "N"], length: int
    ) -> Bool[NDArray[np.bool_], "N T"]:
        """Return which of the ``length`` ids from each start are targets, that is, not masked."""
        return masks.outside(self._masked_N2, starts_N, length)

    def documents(
        self, starts_N: Int64[NDArray[np.int64], "N"], length: int
    ) -> Int64[NDArray[np.int64], "N T"]:
        """Return the document of each of ``length`` ids from each start, counted in its window.

        A window's first document, number 0, may be the tail of one that began before it.

        Raises:
            StorageError: An index cannot be read.
            CorpusError: A window lies outside the stream, or an index is damaged.
        """
        self._check_inside(starts_N, length)
        return document_numbers(self._firsts, starts_N, length)

    @cached_property
    def _firsts(self) -> NDArray[np.int64]:
        """Position of each document's first token; read when it is first asked for."""
        lengths = self.document_lengths()
        return np.cumsum(lengths) - lengths

    def document_lengths(self) -> Int64[NDArray[np.int64], "D"]:
        """Return the tokens of each document, its end included, in the order of the stream.

        Raises:
            StorageError: An index cannot be read.
            CorpusError: An index is damaged, or does not fit its tokens.
        """
        return np.concatenate([self._lengths(shard) for shard in self.manifest.shards])

    def _check_inside(self, starts_N: NDArray[np.int64], length: int) -> None:
        if starts_N.size and (starts_N.min() < 0 or starts_N.max() + length > self.tokens):
            raise CorpusError(
                f"windows within the {self.tokens:,} tokens of {self._folder}",
                got=f"tokens {starts_N.min():,} to {starts_N.max() + length:,}",
                fix="the sampler that these shards were laid out for",
            )

    def _lengths(self, shard: ShardFacts) -> NDArray[np.int64]:
        path = self._folder / f"{shard.name}.idx"
        table = index.read(path)
        if table.dtype != self.manifest.dtype or table.lengths.sum() != shard.n_tok:
            raise _damaged(path, f"documents of {table.lengths.sum():,} {table.dtype} tokens")
        return table.lengths

    def _across(self, row_T: NDArray[np.int64], number: int, start: int) -> None:
        filled = 0
        while filled < row_T.size:
            self.reading = self._paths[number]
            piece = self._shards[number][start : start + row_T.size - filled]
            row_T[filled : filled + piece.size] = piece
            filled, number, start = filled + piece.size, number + 1, 0


def document_numbers(
    firsts_D: Int64[NDArray[np.int64], "D"],
    starts_N: Int64[NDArray[np.int64], "N"],
    length: int,
) -> Int64[NDArray[np.int64], "N T"]:
    """Return the document of each token of some windows, counted from 0 within the window.

    Two binary searches find the documents that begin inside a window.

    >>> document_numbers(np.array([0, 3, 4, 9]), np.array([0, 3]), 5).tolist()
    [[0, 0, 0, 1, 2], [0, 1, 1, 1, 1]]

    Args:
        firsts_D: Position of each document's first token, rising.
        starts_N: Position of each window's first token.
        length: Tokens in a window.
    """
    low_N = np.searchsorted(firsts_D, starts_N, side="right")
    high_N = np.searchsorted(firsts_D, starts_N + length, side="left")
    inside_N = high_N - low_N
    window_M = np.repeat(np.arange(starts_N.size), inside_N)
    nth_M = np.arange(window_M.size) - np.repeat(np.cumsum(inside_N) - inside_N, inside_N)
    numbers_NT = np.zeros((starts_N.size, length), dtype=np.int64)
    numbers_NT[window_M, firsts_D[low_N[window_M] + nth_M] - starts_N[window_M]] = 1
    return np.cumsum(numbers_NT, axis=1, out=numbers_NT)  # a second matrix would cost far more


def _mapped(folder: Path, shard: ShardFacts, dtype: np.dtype[np.generic]) -> NDArray[Any]:
    path = folder / f"{shard.name}.bin"
    with storage(path):
        size = path.stat().st_size
        if size != shard.bytes or size != shard.n_tok * dtype.itemsize:
            raise _damaged(path, f"{size:,} bytes instead of {shard.n_tok * dtype.itemsize:,}")
        # A plain array on the map: slicing a memmap itself costs more than copying a window.
        return np.asarray(np.memmap(path, dtype=dtype, mode="r"))


def _mask(folder: Path, shard: ShardFacts) -> NDArray[np.int64]:
    return masks.read((folder / shard.name).with_suffix(masks.SUFFIX), tokens=shard.n_tok)


def _verify_all(path: Path, shard: ShardFacts) -> None:
    digest = hashlib.sha256()
    with storage(path), path.open("rb") as file:
        for number, crc in enumerate(shard.crc32_4MiB):
            block = file.read(CRC_BLOCK_BYTES)
            _verify_block(path, block, number, crc=crc)
            digest.update(block)
    if digest.hexdigest() != shard.sha256:
        raise _damaged(path, f"SHA-256 {digest.hexdigest()[:12]} instead of {shard.sha256[:12]}")


def _verify_some(path: Path, shard: ShardFacts) -> None:
    last = len(shard.crc32_4MiB) - 1
    numbers = sorted({round(last * i / (SPOT_CHECKS - 1)) for i in range(SPOT_CHECKS)})
    with storage(path), path.open("rb") as file:
        for number in numbers:
            file.seek(number * CRC_BLOCK_BYTES)
            block = file.read(CRC_BLOCK_BYTES)
            _verify_block(path, block, number, crc=shard.crc32_4MiB[number])


def _verify_block(path: Path, block: bytes, number: int, *, crc: str) -> None:
    if crc32_hex(block) != crc:
        first = number * CRC_BLOCK_BYTES
        place = f"block {number} (bytes {first:,} to {first + len(block):,})"
        raise _damaged(path, f"CRC-32 {crc32_hex(block)} instead of {crc} in {place}")


def _verify_hash(path: Path, sha256: str) -> None:
    found = sha256_file(path)
    if found != sha256:
        raise _damaged(path, f"SHA-256 {found[:12]} instead of {sha256[:12]}")


def _damaged(path: Path, got: str) -> CorpusError:
    return CorpusError(
        f"{path} as it was written", got=got, fix="preparing the source again, or a copy of it"
    )
