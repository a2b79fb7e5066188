"""A seeded permutation of 0 .. n-1 that stores nothing: a Feistel network that walks its cycles."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from jaxtyping import Int64, UInt64

from growlm.corpus.arrays import NDArray

ROUNDS = 4
"""Fewer leave structure at some lags."""

_FACTOR = np.uint64(0xD6E8FEB86659FD93)
_HALF = np.uint64(32)


def key64(text: str) -> int:
    """Return 64 bits of an ASCII string: its BLAKE2b-64, read as little-endian."""
    return int.from_bytes(blake2b(text.encode("ascii"), digest_size=8).digest(), "little")


def mixs(bits_N: UInt64[NDArray[np.uint64], "N"]) -> UInt64[NDArray[np.uint64], "N"]:
    """Return 64-bit words stirred so that every output bit depends on every input bit."""
    bits_N = bits_N ^ (bits_N >> _HALF)
    for _ in range(2):
        bits_N *= _FACTOR
        bits_N ^= bits_N >> _HALF
    return bits_N


@dataclass(frozen=True, slots=True, kw_only=True)
class Permutation:
    """A permutation of 0 .. size-1, and back: one for all indices, or one for each.

    The network permutes 0 .. 4^h - 1 with 4^h < 4 size; an image outside is sent through again,
    until it falls inside (Black and Rogaway, "Ciphers with Arbitrary Finite Domains", CT-RSA
    2002).
    """

    size: Int64[NDArray[np.int64], "N"]

    keys: UInt64[NDArray[np.uint64], "R N"]
    """A key for each round."""

    def encode(self, index_N: Int64[NDArray[np.int64], "N"]) -> Int64[NDArray[np.int64], "N"]:
        """Return the images of indices in 0 .. size-1."""
        return self._walk(index_N, _forth)

    def decode(self, image_N: Int64[NDArray[np.int64], "N"]) -> Int64[NDArray[np.int64], "N"]:
        """Return the indices of images in 0 .. size-1."""
        return self._walk(image_N, _back)

    def _walk(
        self, index_N: NDArray[np.int64], network: Callable[..., NDArray[np.uint64]]
    ) -> NDArray[np.int64]:
        size_N = np.broadcast_to(self.size, index_N.shape).astype(np.uint64)
        half_N = _half_bits(size_N)
        keys_RN = np.broadcast_to(self.keys, (len(self.keys), index_N.size))
        word_N = network(index_N.astype(np.uint64), half_N, keys_RN)
        outside = np.flatnonzero(word_N >= size_N)
        while outside.size:
            word_M = network(word_N[outside], half_N[outside], keys_RN[:, outside])
            word_N[outside] = word_M
            outside = outside[word_M >= size_N[outside]]
        return word_N.astype(np.int64)


def permutation(size: int, *, key: str) -> Permutation:
    """Return the permutation of 0 .. size-1 that a key names."""
    return permutations([size], keys=[key], which_N=np.zeros(1, dtype=np.int64))


def permutations(
    sizes: Sequence[int], *, keys: Sequence[str], which_N: Int64[NDArray[np.int64], "N"]
) -> Permutation:
    """Return a permutation for each index: the one of several that ``which_N`` says."""
    rounds = [[key64(f"({key}, {number})") for key in keys] for number in range(ROUNDS)]
    return Permutation(
        size=np.array(sizes, dtype=np.int64)[which_N],
        keys=np.array(rounds, dtype=np.uint64)[:, which_N],
    )


def _half_bits(size_N: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return h of each size: half the bits of its largest index, rounded up, and at least 1."""
    bits_N = np.frexp((size_N - np.uint64(1)).astype(np.float64))[1]
    return ((np.maximum(bits_N, 2) + 1) // 2).astype(np.uint64)


def _forth(
    word_N: NDArray[np.uint64], half_N: NDArray[np.uint64], keys_RN: NDArray[np.uint64]
) -> NDArray[np.uint64]:
    mask_N = (np.uint64(1) << half_N) - np.uint64(1)
    left_N, right_N = _rounds(word_N >> half_N, word_N & mask_N, mask_N, keys_RN)
    return left_N << half_N | right_N


def _back(
    word_N: NDArray[np.uint64], half_N: NDArray[np.uint64], keys_RN: NDArray[np.uint64]
) -> NDArray[np.uint64]:
    """Undo ``_forth``: the same rounds, the other way round, on halves that change places."""
    mask_N = (np.uint64(1) << half_N) - np.uint64(1)
    right_N, left_N = _rounds(word_N & mask_N, word_N >> half_N, mask_N, keys_RN[::-1])
    return left_N << half_N | right_N


def _rounds(
    left_N: NDArray[np.uint64],
    right_N: NDArray[np.uint64],
    mask_N: NDArray[np.uint64],
    keys_RN: NDArray[np.uint64],
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    for key_N in keys_RN:
        left_N, right_N = right_N, left_N ^ (mixs(right_N + key_N) & mask_N)
    return left_N, right_N
