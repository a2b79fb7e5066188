"""The hash kernel: hashes of windows of bytes, of words, and of any number of words in a row."""

from collections.abc import Collection
from functools import lru_cache

import numpy as np
from jaxtyping import Int, UInt8, UInt64

from growlm.corpus.arrays import NDArray
from growlm.corpus.shingles import mixk

_WINDOW_BASE = 0x9E3779B97F4A7C15
_WORD_BASE = 0xC2B2AE3D27D4EB4F

BLOCK_WINDOWS = 1 << 14
"""Windows hashed at once: what is added to stays in the cache."""


def windows(
    bytes_N: UInt8[NDArray[np.uint8], "N"], *, size: int, stride: int
) -> UInt64[NDArray[np.uint64], "M"]:
    """Return the hashes of all ``size`` bytes that begin at a multiple of ``stride``.

    A window's hash does not depend on where it stands: mixk(sum of byte j times P^j).
    """
    count = max(0, (len(bytes_N) - size) // stride + 1)
    sums_M = np.zeros(count, dtype=np.uint64)
    powers = _powers(_WINDOW_BASE, size)
    for first in range(0, count, BLOCK_WINDOWS):
        sums = sums_M[first : first + BLOCK_WINDOWS]
        begin, reach = first * stride, (len(sums) - 1) * stride + 1
        product = np.empty_like(sums)
        for j in range(size):
            np.multiply(bytes_N[begin + j : begin + j + reach : stride], powers[j], out=product)
            sums += product
    return mixk(sums_M)


def word_hashes(words: list[bytes]) -> UInt64[NDArray[np.uint64], "N"]:
    """Return a hash for each word: mixk(sum of byte j times P^j, plus the length)."""
    if not words:
        return np.zeros(0, dtype=np.uint64)
    lengths = np.fromiter(map(len, words), dtype=np.int64, count=len(words))
    return hashes_of(np.frombuffer(b"".join(words), dtype=np.uint8), lengths)


def hashes_of(
    bytes_M: UInt8[NDArray[np.uint8], "M"], lengths_N: Int[NDArray[np.int64], "N"]
) -> UInt64[NDArray[np.uint64], "N"]:
    """Return a hash for each word of words that lie back to back, none of them empty."""
    starts = np.cumsum(lengths_N) - lengths_N
    place_M = np.arange(len(bytes_M)) - np.repeat(starts, lengths_N)
    terms_M = bytes_M * _powers(_WINDOW_BASE, int(lengths_N.max()))[place_M]
    return mixk(np.add.reduceat(terms_M, starts) + lengths_N.astype(np.uint64))


def ngrams(
    words_N: UInt64[NDArray[np.uint64], "N"], *, sizes: Collection[int]
) -> dict[int, UInt64[NDArray[np.uint64], " M"]]:
    """Return, for each size, the hashes of that many words in a row, wherever they begin.

    A hash is mixk(sum of word hash j times Q^j); the sums of one size go on to the next.
    """
    found: dict[int, NDArray[np.uint64]] = {}
    longest = max(sizes, default=0)
    powers = _powers(_WORD_BASE, longest)
    sums_M = np.zeros(len(words_N) + 1, dtype=np.uint64)
    for size in range(1, longest + 1):
        count = max(0, len(words_N) - size + 1)
        sums_M = sums_M[:count]
        sums_M += words_N[size - 1 : size - 1 + count] * powers[size - 1]
        if size in sizes:
            found[size] = mixk(sums_M)
    return found


@lru_cache(maxsize=64)
def _powers(base: int, count: int) -> UInt64[NDArray[np.uint64], "N"]:
    steps = np.full(count, base, dtype=np.uint64)
    steps[:1] = 1
    return np.multiply.accumulate(steps)
