"""Chunks of a book, cut where its words say so: the same words are cut alike in every book."""

import re
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt64

from growlm.corpus.arrays import NDArray
from growlm.corpus.canonical import canonical
from growlm.corpus.shingles import SIZE

SHORTEST, LONGEST, SHORTEST_TAIL = 2_000, 8_000, 1_000
"""Words of a chunk, and of the last one, at least or at most."""

_CUTTING_BITS = np.uint64(0x7FF)
_TOKEN = re.compile(r"[^\x00-\x20]+")


def edges(shingles_N: UInt64[NDArray[np.uint64], "N"], words: int) -> list[int]:
    """Return the words at which a text's chunks begin, and the number of its words.

    A chunk may end behind a shingle whose last eleven bits are zero, one in 2,048; it ends at the
    first such place from 2,000 words on, and at 8,000 without one. A tail below 1,000 words joins
    the chunk before it.

    Args:
        shingles_N: Of the whole text.
        words: Of it.
    """
    places = np.flatnonzero((shingles_N & _CUTTING_BITS) == 0) + SIZE
    found = [0]
    while words - found[-1] > SHORTEST:
        next_place = int(np.searchsorted(places, found[-1] + SHORTEST))
        end = int(places[next_place]) if next_place < places.size else words
        found.append(min(end, found[-1] + LONGEST, words))
    if found[-1] < words:
        found.append(words)
    if len(found) > 2 and found[-1] - found[-2] < SHORTEST_TAIL:
        del found[-2]
    return found


def without(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """Return a text without some of its words; what stands between kept words stays.

    >>> without("One, two, three; four.", [(1, 3)])
    'One, four.'

    Args:
        text: Any.
        spans: First word and the one after the last of each stretch that goes, rising.
    """
    kept: list[str] = []
    start = 0
    for first, last in _characters(text, spans):
        kept.append(text[start:first])
        start = last
    return "".join([*kept, text[start:]])


def _characters(text: str, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return where stretches of words begin, and where the words behind them do."""
    wanted = sorted({edge for span in spans for edge in span})
    places: dict[int, int] = {}
    words = 0
    for token in _TOKEN.finditer(text):
        if len(places) == len(wanted):
            break
        words += len(canonical(token[0]).split())
        while len(places) < len(wanted) and wanted[len(places)] < words:
            places[wanted[len(places)]] = token.start()
    return [(places.get(first, len(text)), places.get(last, len(text))) for first, last in spans]
