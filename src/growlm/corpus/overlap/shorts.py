"""Short texts of benchmarks, which no run could show: found whole, word for word, or not at all."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Int64

from growlm.corpus.arrays import NDArray
from growlm.corpus.overlap.canonical import character_spans, words as words_of

SHORTEST_WORDS, SHORTEST_LETTERS = 3, 12
"""A text with fewer cannot be told from chance, and is not looked for."""

PROBE = 8
"""Letters that are looked up at once, as one 64-bit word."""

STRIDE = SHORTEST_LETTERS - PROBE + 1
"""Letters from one probe of a document to the next: each short text holds a probe."""

_BITS = 20
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Shorts:
    """Short texts, ready to be looked for."""

    words: Mapping[int, tuple[bytes, ...]]
    """Their words, by the number of the text."""
    probes: Mapping[int, list[tuple[int, int]]]
    """For each probe, the texts that hold it, and where."""
    marks: Bool[NDArray[np.bool_], "B"]
    """Which slots the probes fall into."""

    @cached_property
    def streams(self) -> dict[int, bytes]:
        """Their letters."""
        return {number: b"".join(words) for number, words in self.words.items()}

    def found(
        self, joined: bytes, starts_D: Int64[NDArray[np.int64], "D"]
    ) -> dict[int, list[tuple[int, int]]]:
        """Return, by document of a batch, the texts whose letters it holds, and from which one on.

        Args:
            joined: The letters of all documents.
            starts_D: Where each of them begins.
        """
        if not self.probes:
            return {}
        count = (len(joined) - PROBE) // STRIDE + 1
        probes = np.ndarray(count, dtype="<u8", buffer=joined, strides=(STRIDE,)).copy()
        hits = np.flatnonzero(np.take(self.marks, _slot(probes)))
        by_document: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for at, probe in zip((hits * STRIDE).tolist(), probes[hits].tolist(), strict=True):
            for number, offset in self.probes.get(probe, ()):
                if joined.startswith(self.streams[number], at - offset):
                    document = int(np.searchsorted(starts_D, at, side="right")) - 1
                    by_document[document].append((number, at - offset - int(starts_D[document])))
        return by_document

    def confirmed(
        self, text: str, found: Sequence[tuple[int, int]]
    ) -> list[tuple[int, tuple[int, int]]]:
        """Return the texts that a document holds word for word, and where, in characters."""
        found = sorted(set(found))
        spans = [(first, first + len(self.streams[number])) for number, first in found]
        return [
            (number, (lo, hi))
            for (number, _), (lo, hi) in zip(found, character_spans(text, spans), strict=True)
            if tuple(words_of(text[lo:hi])) == self.words[number]
        ]


def shorts(words: Mapping[int, tuple[bytes, ...]]) -> Shorts:
    """Return texts by number as what looks for them; each has twelve letters or more."""
    probes: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for number, each in words.items():
        stream = b"".join(each)
        for offset in range(STRIDE):
            probes[int.from_bytes(stream[offset : offset + PROBE], "little")].append(
                (number, offset)
            )
    marks = np.zeros(1 << _BITS, dtype=np.bool_)
    marks[_slot(np.fromiter(probes, dtype=np.uint64, count=len(probes)))] = True
    return Shorts(words=words, probes=dict(probes), marks=marks)


def _slot(probes_N: NDArray[np.uint64]) -> Int64[NDArray[np.int64], "N"]:
    return (probes_N * _FACTOR >> np.uint64(64 - _BITS)).astype(np.int64)
