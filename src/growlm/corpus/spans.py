"""Spans: half-open ranges of letters, words, characters or tokens."""

from collections.abc import Iterable

Span = tuple[int, int]
"""First, and one after the last."""


def merged(spans: Iterable[Span]) -> list[Span]:
    """Return sorted spans that neither touch nor overlap, and cover the same.

    >>> merged([(5, 9), (0, 2), (2, 3), (6, 7)])
    [(0, 3), (5, 9)]
    """
    found: list[Span] = []
    for first, last in sorted(spans):
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    return found


def union(spans: Iterable[Span]) -> int:
    """Return how much spans cover together.

    >>> union([(0, 4), (2, 6), (9, 10)])
    7
    """
    covered, reached = 0, 0
    for first, last in sorted(spans):
        covered += max(0, last - max(first, reached))
        reached = max(reached, last)
    return covered
