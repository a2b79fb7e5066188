"""Bootstrap: how far a quotient of sums would stray with other documents of the same kind."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from growlm.base.seeds import seed_for

RESAMPLES = 1_000

LEVEL = 0.95
"""Share of the resamples that lie inside the interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Bounds of a confidence interval."""

    low: float
    high: float


def interval(above: Sequence[float], below: Sequence[float], *, name: str) -> Interval:
    """Return the percentile interval of ``sum(above) / sum(below)`` over resampled pairs.

    Efron, The Annals of Statistics 7 (1979), 1-26: documents are drawn anew with replacement.

    Args:
        above: A number for each document, such as its bits.
        below: Another, such as its bytes; resamples in which all are 0 are left out.
        name: Of the random stream: the same pairs give the same interval.
    """
    stream = np.random.default_rng(seed_for(0, "bootstrap", name))
    pairs = np.array([above, below], dtype=np.float64)
    count = pairs.shape[1]
    sums = np.empty((2, RESAMPLES))
    for number in range(RESAMPLES):
        sums[:, number] = pairs[:, stream.integers(0, count, count)].sum(axis=1)
    sums = sums[:, sums[1] > 0]
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(sums[0] / sums[1], [tail, 1 - tail])
    return Interval(low=float(low), high=float(high))
