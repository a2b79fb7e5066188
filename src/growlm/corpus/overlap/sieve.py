"""A sieve of hashes: which of many may be among few, so that few have to be searched for."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64, UInt8, UInt64

from growlm.corpus.arrays import NDArray

LEAST_BITS, MOST_BITS = 10, 30
"""Of a hash, for each bitmap: with 16 times as many bits as hashes, one in 250 passes by chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sieve:
    """Two bitmaps, one asked with the first bits of a hash and one with the last (Bloom, 1970)."""

    bits: int
    first: UInt8[NDArray[np.uint8], "B"]
    last: UInt8[NDArray[np.uint8], "B"]

    def passing(self, hashes_M: UInt64[NDArray[np.uint64], "M"]) -> Int64[NDArray[np.int64], " N"]:
        """Return where hashes stand that may be among the sieve's; all that are, few others."""
        found_N = np.flatnonzero(_marked(self.first, _first_bits(hashes_M, self.bits)))
        return found_N[_marked(self.last, _last_bits(hashes_M[found_N], self.bits))]


def sieve(hashes_N: UInt64[NDArray[np.uint64], "N"]) -> Sieve:
    """Return the sieve of hashes."""
    bits = min(MOST_BITS, max(LEAST_BITS, (16 * len(hashes_N) - 1).bit_length()))
    return Sieve(
        bits=bits,
        first=_marks(_first_bits(hashes_N, bits), bits),
        last=_marks(_last_bits(hashes_N, bits), bits),
    )


def _first_bits(
    hashes_N: UInt64[NDArray[np.uint64], "N"], bits: int
) -> Int64[NDArray[np.int64], "N"]:
    return (hashes_N >> np.uint64(64 - bits)).view(np.int64)


def _last_bits(
    hashes_N: UInt64[NDArray[np.uint64], "N"], bits: int
) -> Int64[NDArray[np.int64], "N"]:
    return (hashes_N & np.uint64((1 << bits) - 1)).view(np.int64)


def _marks(bits_N: Int64[NDArray[np.int64], "N"], bits: int) -> UInt8[NDArray[np.uint8], "B"]:
    marks = np.zeros(1 << bits, dtype=np.bool_)
    marks[bits_N] = True
    return np.packbits(marks, bitorder="little")


def _marked(
    bitmap_B: UInt8[NDArray[np.uint8], "B"], bits_N: Int64[NDArray[np.int64], "N"]
) -> Bool[NDArray[np.bool_], "N"]:
    marks_N = np.take(bitmap_B, bits_N >> 3)
    marks_N >>= (bits_N & 7).astype(np.uint8)
    return (marks_N & 1).view(np.bool_)
