"""Words in a row with a few that differ: what Llama 2 counts as contaminated."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

LEAST_WORDS = 10
"""Words at the beginning of a match that must all be the same."""

MOST_DIFFERING = 4
"""Words of a match that may differ; the last one is never among them."""


def matched_words(theirs: Sequence[bytes], mine: Sequence[bytes]) -> Iterator[tuple[int, int]]:
    """Yield where words of a text stand in a document, in words of the text, half-open.

    A match begins with ten words that are the same, goes on word by word past up to four that
    differ, and ends with one that is the same (Touvron et al., arXiv:2307.09288, appendix A.6).

    >>> words = b"a b c d e f g h i j k l m n".split()
    >>> list(matched_words(words, [*words[:11], b"x", *words[12:]]))
    [(0, 14)]
    """
    places: dict[tuple[bytes, ...], list[int]] = defaultdict(list)
    for at in range(len(mine) - LEAST_WORDS + 1):
        places[tuple(mine[at : at + LEAST_WORDS])].append(at)
    reached: dict[int, int] = {}
    for first in range(len(theirs) - LEAST_WORDS + 1):
        for at in places.get(tuple(theirs[first : first + LEAST_WORDS]), ()):
            last = first + _length(theirs[first:], mine[at:])
            if reached.get(at - first, -1) < last:
                reached[at - first] = last
                yield first, last


def _length(theirs: Sequence[bytes], mine: Sequence[bytes]) -> int:
    """Return the words of a match that begins here."""
    differing, length = 0, 0
    for number, (one, other) in enumerate(zip(theirs, mine, strict=False), 1):
        if one == other:
            length = number
        elif differing == MOST_DIFFERING:
            break
        else:
            differing += 1
    return length
