"""Shingles: 64-bit hashes of all five words in a row, for many texts at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Int64, UInt64

from growlm.corpus.arrays import NDArray

SIZE = 5
"""Words in a shingle."""

BLOCK_BYTES = 1 << 15
"""Canonical bytes hashed at once; a longer word makes a longer block."""

_P, _P_INVERSE = 0x9E3779B97F4A7C15, 0xF1DE83E19937733D
_Q = 0xC2B2AE3D27D4EB4F
_FIRST, _SECOND = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)
_SHIFT = np.uint64(33)
_BLANK = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Shingles:
    """The shingles of some texts, back to back."""

    hashes: UInt64[NDArray[np.uint64], "N"]

    starts: Int64[NDArray[np.int64], "D"]
    """Where each text's begin."""

    words: Int64[NDArray[np.int64], "D"]
    """Words of each text; its shingles are four fewer, and none where that is less than one."""


def shingles(texts: Sequence[bytes]) -> Shingles:
    """Return the shingles of some canonical texts.

    A word's hash is mixk(sum of byte j times P^j, plus the length), a shingle's mixk(sum of word
    hash j times Q^j), all modulo 2^64.
    """
    content = b" ".join(texts) + b" "
    hashes_W, begins_W = _words(content)
    edges = np.cumsum([0, *(len(text) + 1 for text in texts)])
    first_D = np.searchsorted(begins_W, edges)
    words_D = np.diff(first_D)
    grams_N = ngrams(hashes_W)
    kept_D = np.maximum(words_D - (SIZE - 1), 0)
    starts_D = np.cumsum(kept_D) - kept_D
    if len(texts) > 1:
        places = np.arange(int(kept_D.sum())) + np.repeat(first_D[:-1] - starts_D, kept_D)
        grams_N = grams_N.take(places)
    return Shingles(hashes=grams_N, starts=starts_D, words=words_D)


def ngrams(words_N: UInt64[NDArray[np.uint64], "N"]) -> UInt64[NDArray[np.uint64], "M"]:
    """Return the hashes of all five words in a row."""
    count = max(0, words_N.size - SIZE + 1)
    sums, product = words_N[:count].copy(), np.empty(count, dtype=np.uint64)
    factor = 1
    for place in range(1, SIZE):
        factor = factor * _Q % 2**64
        np.multiply(words_N[place : place + count], np.uint64(factor), out=product)
        sums += product
    return mixk(sums)


def mixk(bits_N: UInt64[NDArray[np.uint64], "N"]) -> UInt64[NDArray[np.uint64], "N"]:
    """Return numbers stirred so that every bit depends on every bit.

    MurmurHash3's finalizer (Appleby).
    """
    shifted_N = bits_N >> _SHIFT
    bits_N = bits_N ^ shifted_N
    for factor in (_FIRST, _SECOND):
        bits_N *= factor
        np.right_shift(bits_N, _SHIFT, out=shifted_N)
        bits_N ^= shifted_N
    return bits_N


def _words(content: bytes) -> tuple[UInt64[NDArray[np.uint64], "W"], Int64[NDArray[np.int64], "W"]]:
    """Return the hash and the place of every word of bytes that end with a blank."""
    hashes: list[NDArray[np.uint64]] = []
    begins: list[NDArray[np.int64]] = []
    sums = np.zeros(1, dtype=np.uint64)  # one array for all blocks: new memory is slow memory
    start = 0
    while start < len(content):
        end = content.find(b" ", start + BLOCK_BYTES) + 1 or len(content)
        if sums.size <= end - start:
            sums = np.zeros(1 + max(end - start, 2 * BLOCK_BYTES), dtype=np.uint64)
        found, places = _block(np.frombuffer(content, np.uint8, end - start, start), sums)
        hashes.append(found)
        begins.append(places + start)
        start = end
    return np.concatenate(hashes), np.concatenate(begins)


def _block(
    bytes_N: NDArray[np.uint8], sums_M: NDArray[np.uint64]
) -> tuple[UInt64[NDArray[np.uint64], "W"], Int64[NDArray[np.int64], "W"]]:
    """Return the words of a block; ``sums_M`` is written over but for its first entry, a zero."""
    ends = np.flatnonzero(bytes_N == _BLANK)
    begins = np.zeros_like(ends)
    np.add(ends[:-1], 1, out=begins[1:])
    lengths = ends - begins
    if not lengths.all():
        real = np.flatnonzero(lengths)
        begins, ends, lengths = begins.take(real), ends.take(real), lengths.take(real)
    size = bytes_N.size
    sums_N = sums_M[1 : size + 1]
    np.multiply(bytes_N, _powers(_P, size)[:size], out=sums_N, dtype=np.uint64)
    np.cumsum(sums_N, out=sums_N)
    totals = sums_M.take(ends) - sums_M.take(begins)
    totals *= _powers(_P_INVERSE, size).take(begins)
    totals += lengths.view(np.uint64)
    return mixk(totals), begins


def _powers(base: int, count: int) -> UInt64[NDArray[np.uint64], "N"]:
    return _power_table(base, 1 << (count - 1).bit_length())


@lru_cache(maxsize=4)
def _power_table(base: int, count: int) -> UInt64[NDArray[np.uint64], "N"]:
    steps = np.full(count, base, dtype=np.uint64)
    steps[0] = 1
    return np.multiply.accumulate(steps)
