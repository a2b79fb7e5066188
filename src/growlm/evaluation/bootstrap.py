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
    """Bounds of a confidence interval, and the standard error beside them."""

    low: float
    high: float
    stderr: float
    """Standard deviation of the resamples; 0 where all documents are alike, or there is one."""


def interval(above: Sequence[float], below: Sequence[float]) -> Interval:
    """Return the percentile interval of ``sum(above) / sum(below)`` over resampled pairs.

    Efron, The Annals of Statistics 7 (1979), 1-26: documents are drawn anew with replacement. As
    many documents are always drawn alike, so the same ones give the same interval wherever they
    are scored.

    Args:
        above: A number for each document, such as its bits.
        below: Another, such as its bytes; resamples in which all are 0 are left out.
    """
    stream = np.random.default_rng(seed_for(0, "bootstrap"))
    pairs = np.array([above, below], dtype=np.float64)
    count = pairs.shape[1]
    sums = np.empty((2, RESAMPLES))
    for number in range(RESAMPLES):
        sums[:, number] = pairs[:, stream.integers(0, count, count)].sum(axis=1)
    sums = sums[:, sums[1] > 0]
    quotients = sums[0] / sums[1]
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(quotients, [tail, 1 - tail])
    return Interval(low=float(low), high=float(high), stderr=float(quotients.std(ddof=1)))
