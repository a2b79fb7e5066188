"""A seeded permutation of 0 .. n-1 that stores nothing: a Feistel network that walks its cycles."""

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from jaxtyping import Int64, UInt64
from numpy.typing import NDArray

ROUNDS = 4
"""Fewer leave structure at some lags."""

_FACTOR = np.uint64(0xD6E8FEB86659FD93)
_HALF = np.uint64(32)


def key64(text: str) -> int:
    """Return 64 bits of an ASCII string: its BLAKE2b-64, read as little-endian."""
    return int.from_bytes(blake2b(text.encode("ascii"), digest_size=8).digest(), "little")


def mixs(bits_N: UInt64[NDArray[np.uint64], "N"]) -> UInt64[NDArray[np.uint64], "N"]:
    """Return 64-bit words stirred so that every output bit depends on every input bit."""
    bits_N = (bits_N ^ (bits_N >> _HALF)) * _FACTOR
    bits_N = (bits_N ^ (bits_N >> _HALF)) * _FACTOR
    return bits_N ^ (bits_N >> _HALF)


@dataclass(frozen=True, slots=True, kw_only=True)
class Permutation:
    """A permutation of 0 .. size-1.

    The network permutes 0 .. 4^h - 1 with 4^h < 4 size; an image outside is sent through again,
    until it falls inside (Black and Rogaway, "Ciphers with Arbitrary Finite Domains", CT-RSA
    2002).
    """

    size: int

    keys: tuple[int, ...]
    """One 64-bit key for each round."""

    def encode(self, index_N: Int64[NDArray[np.int64], "N"]) -> Int64[NDArray[np.int64], "N"]:
        """Return the images of indices in 0 .. size-1."""
        if self.size == 1:
            return np.zeros_like(index_N)
        image_N = self._network(index_N.astype(np.uint64))
        outside = np.flatnonzero(image_N >= self.size)
        while outside.size:
            image_N[outside] = self._network(image_N[outside])
            outside = outside[image_N[outside] >= self.size]
        return image_N.astype(np.int64)

    def _network(self, bits_N: UInt64[NDArray[np.uint64], "N"]) -> UInt64[NDArray[np.uint64], "N"]:
        half_bits = (max(2, (self.size - 1).bit_length()) + 1) // 2
        shift, mask = np.uint64(half_bits), np.uint64((1 << half_bits) - 1)
        left_N, right_N = bits_N >> shift, bits_N & mask
        for key in self.keys:
            left_N, right_N = right_N, left_N ^ (mixs(right_N + np.uint64(key)) & mask)
        return left_N << shift | right_N


def permutation(size: int, *, key: str) -> Permutation:
    """Return the permutation of 0 .. size-1 that a key names."""
    keys = tuple(key64(f"({key}, {number})") for number in range(ROUNDS))
    return Permutation(size=size, keys=keys)
