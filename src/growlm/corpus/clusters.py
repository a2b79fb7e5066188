"""Clusters: which signatures belong together, found band by band, the first of each named."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64, UInt64

from growlm.corpus.arrays import NDArray
from growlm.corpus.shingles import mixk
from growlm.corpus.signatures import BANDS, ROWS, similarity

COMPARED = 1 << 14
"""Pairs compared at once."""


class Signatures:
    """Signatures in several files, mapped into memory, numbered through in a chosen order."""

    def __init__(self, parts: Sequence[NDArray[np.uint64]]) -> None:
        self._parts = parts
        self._edges = np.cumsum([0, *(len(part) for part in parts)])

    def __len__(self) -> int:
        return int(self._edges[-1])

    def band(self, number: int) -> UInt64[NDArray[np.uint64], "N"]:
        """Return 64 bits of a band of each signature, which equal bands share."""
        hashes = np.zeros(len(self), dtype=np.uint64)
        for part, start in zip(self._parts, self._edges, strict=False):
            sums = np.zeros(len(part), dtype=np.uint64)
            for column in range(number * ROWS, (number + 1) * ROWS):
                sums = mixk(sums ^ part[:, column])
            hashes[start : start + len(part)] = sums
        return hashes

    def rows(self, numbers: Int64[NDArray[np.int64], "M"]) -> UInt64[NDArray[np.uint64], "M 112"]:
        """Return some signatures."""
        places = np.searchsorted(self._edges, numbers, side="right") - 1
        found = np.empty((numbers.size, BANDS * ROWS), dtype=np.uint64)
        for place in np.unique(places):
            here = places == place
            found[here] = self._parts[place][numbers[here] - self._edges[place]]
        return found


def first_of_each(found: Signatures, *, least: float) -> Int64[NDArray[np.int64], "N"]:
    """Return, for each signature, the first one of its cluster.

    Two signatures are neighbours when a band is the same in both and they are alike enough; a
    cluster is what neighbours reach.

    Args:
        found: Of all that are compared.
        least: Estimated Jaccard similarity of neighbours.
    """
    roots = list(range(len(found)))
    for number in range(BANDS):
        for one, other in _neighbours(found, found.band(number), least=least):
            first, second = _root(roots, one), _root(roots, other)
            roots[max(first, second)] = min(first, second)
    return np.array([_root(roots, i) for i in range(len(roots))], dtype=np.int64)


def _neighbours(
    found: Signatures, band_N: NDArray[np.uint64], *, least: float
) -> list[tuple[int, int]]:
    """Return pairs of a band: each signature with the one before it, and with the first."""
    order = np.argsort(band_N, kind="stable")
    same = np.flatnonzero(band_N[order[1:]] == band_N[order[:-1]])
    starts = np.flatnonzero(np.r_[True, band_N[order[1:]] != band_N[order[:-1]]])
    firsts = order[starts[np.searchsorted(starts, same + 1, side="right") - 1]]
    pairs = np.unique(
        np.concatenate(
            [np.stack([order[same], order[same + 1]], 1), np.stack([firsts, order[same + 1]], 1)]
        ),
        axis=0,
    )
    kept: list[tuple[int, int]] = []
    for start in range(0, len(pairs), COMPARED):
        some = pairs[start : start + COMPARED]
        alike = similarity(found.rows(some[:, 0]), found.rows(some[:, 1])) >= least
        kept += [(int(one), int(other)) for one, other in some[alike]]
    return kept


def _root(roots: list[int], i: int) -> int:
    while roots[i] != i:
        roots[i] = roots[roots[i]]
        i = roots[i]
    return i
