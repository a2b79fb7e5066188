"""Signatures: MinHash of a text's shingles, and how alike two texts are by theirs."""

from functools import lru_cache

import numpy as np
from jaxtyping import Int64, UInt64

from growlm.corpus.arrays import NDArray
from growlm.corpus.permutation import key64

BANDS, ROWS = 14, 8
HASHES = BANDS * ROWS
"""Entries of a signature; two texts meet when one of its bands is the same in both."""

BLOCK = 1 << 16
"""Shingles hashed at once: what is worked on stays in the cache."""

_UPPER = np.uint64(32)
_DROPPED_BITS = np.uint64(4)
_HIGHEST = np.uint64(2**64 - 1)


def signatures(
    shingles_N: UInt64[NDArray[np.uint64], "N"], starts_S: Int64[NDArray[np.int64], "S"]
) -> UInt64[NDArray[np.uint64], "S 112"]:
    """Return a signature for each stretch of shingles: from its start to the next one's.

    Entry j is the least of A_j x + B_j modulo 2^64 over the upper halves x of the stretch, without
    its last four bits (Broder, 1997; the shift is for datatrove, which takes values of 2^61 and
    more for the end of a file).

    Args:
        shingles_N: Of all stretches, back to back.
        starts_S: Rising, the first 0; no stretch is empty.
    """
    found = np.full((starts_S.size, HASHES), _HIGHEST, dtype=np.uint64)
    values_N = shingles_N >> _UPPER
    for first in range(0, values_N.size, BLOCK):
        last = min(first + BLOCK, values_N.size)
        one = int(np.searchsorted(starts_S, first, side="right")) - 1
        end = int(np.searchsorted(starts_S, last, side="left"))
        segments = np.maximum(starts_S[one:end] - first, 0)
        least = _minima(values_N[first:last], segments)
        np.minimum(found[one:end], least, out=found[one:end])
    return found >> _DROPPED_BITS


@lru_cache
def constants() -> tuple[tuple[np.uint64, np.uint64], ...]:
    """Return A_j, which is odd, and B_j of every entry."""
    return tuple(
        (np.uint64(key64(f"(0, 'mhA', {j})") | 1), np.uint64(key64(f"(0, 'mhB', {j})")))
        for j in range(HASHES)
    )


def _minima(
    values_N: UInt64[NDArray[np.uint64], "N"], segments_S: Int64[NDArray[np.int64], "S"]
) -> UInt64[NDArray[np.uint64], "S 112"]:
    least = np.empty((HASHES, segments_S.size), dtype=np.uint64)
    product = np.empty_like(values_N)
    whole = segments_S.size == 1
    for j, (factor, summand) in enumerate(constants()):
        np.multiply(values_N, factor, out=product)
        np.add(product, summand, out=product)
        if whole:
            least[j, 0] = np.minimum.reduce(product)
        else:
            np.minimum.reduceat(product, segments_S, out=least[j])
    return least.T


def similarity(
    one_SK: UInt64[NDArray[np.uint64], "S 112"], other_SK: UInt64[NDArray[np.uint64], "S 112"]
) -> NDArray[np.float64]:
    """Return the estimated Jaccard similarity of pairs: the share of equal entries."""
    return (one_SK == other_SK).mean(axis=1)
