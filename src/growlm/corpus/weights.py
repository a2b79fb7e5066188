"""Mixture weights in whole numbers: exact shares, dealt out evenly by nested Bresenham."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from jaxtyping import Int64

from growlm.base.errors import CorpusError
from growlm.corpus.arrays import NDArray

UNITS = 65_536
"""What the whole numbers of a mixture add up to."""


def quantize(weights: Sequence[float | str]) -> tuple[int, ...]:
    """Return weights as whole numbers that add up to 65,536.

    A weight counts as the decimal number it is written as, not as the binary fraction next to it.
    Each gets its share rounded down; what is left goes to the largest remainders, the earlier
    source first (the method of largest remainders, Hamilton's).

    >>> quantize([0.55, 0.1, 0.2, 0.1, 0.05])
    (36045, 6554, 13107, 6553, 3277)

    Raises:
        CorpusError: A weight is negative or no number, all are zero, or one is too small to count.
    """
    exact = [_exact(weight) for weight in weights]
    total = sum(exact)
    if not total:
        raise CorpusError(
            "a mixture of sources", got="no weight above 0", fix="weight = 1.0 for one of them"
        )
    shares = [weight * UNITS / total for weight in exact]
    units = [int(share) for share in shares]
    order = sorted(range(len(units)), key=lambda i: (units[i] - shares[i], i))
    for i in order[: UNITS - sum(units)]:
        units[i] += 1
    for number, (weight, unit) in enumerate(zip(exact, units, strict=True), start=1):
        if weight and not unit:
            raise CorpusError(
                f"every weight to be 0, or at least 1/{UNITS} of the mixture",
                got=f"{float(weight):g} for source {number} of {len(units)}",
                fix="a larger weight, or 0",
            )
    return tuple(units)


def counts(draws: int, units: Sequence[int]) -> tuple[int, ...]:
    """Return how many of the first draws fall to each source; they add up to the draws.

    >>> counts(7, (32768, 24576, 8192))
    (4, 3, 0)
    """
    return tuple(running_counts(np.array([draws]), units)[:, 0].tolist())


def running_counts(
    draws_N: Int64[NDArray[np.int64], "N"], units: Sequence[int]
) -> Int64[NDArray[np.int64], "S N"]:
    """Return, for each number of draws, how many of them fall to each source (S).

    Each further draw adds one to one source; at multiples of 65,536 the shares are exact.

    Args:
        draws_N: Numbers of draws from the start, below 2^47.
        units: Whole weights that add up to 65,536.
    """
    counts_SN = np.zeros((len(units), draws_N.size), dtype=np.int64)
    left_N, remaining = draws_N, UNITS
    for row_N, unit in zip(counts_SN, units, strict=True):
        if not remaining:
            break
        others_N = left_N * (remaining - unit) // remaining
        row_N[:] = left_N - others_N
        left_N, remaining = others_N, remaining - unit
    return counts_SN


def draw_of(
    rank_N: Int64[NDArray[np.int64], "N"], units: Sequence[int], *, source: int
) -> Int64[NDArray[np.int64], "N"]:
    """Return which draw, counted from 0, is number ``rank`` of a source's own, from 0 too.

    The way back of ``running_counts``, in whole numbers throughout. Of the draws that the sources
    before it leave over, a source takes number rank x left / unit, rounded down, where left is the
    weight of all that choose from them; and what an earlier source leaves over as number n was
    number ((n + 1) x left - 1) / (left - unit) of those that it chose from.

    >>> draw_of(np.arange(3), (32768, 24576, 8192), source=1).tolist()
    [1, 3, 5]

    Args:
        rank_N: Below 2^47.
        units: Whole weights that add up to 65,536.
        source: One whose weight is above 0.
    """
    left = UNITS - sum(units[:source])
    draw_N = rank_N * left // units[source]
    for unit in reversed(units[:source]):
        draw_N = ((draw_N + 1) * (left + unit) - 1) // left
        left += unit
    return draw_N


def _exact(weight: float | str) -> Fraction:
    try:
        value = Fraction(str(weight))
    except ValueError:
        value = Fraction(-1)
    if value < 0:
        raise CorpusError("a weight of at least 0", got=str(weight), fix="0.0, to leave it out")
    return value
