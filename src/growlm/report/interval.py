"""Means over seeds with their 95 % intervals: Student's t, since seeds are few."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev

CONFIDENCE = 0.95

_QUANTILES = (12.70620, 4.30265, 3.18245, 2.77645, 2.57058, 2.44691, 2.36462, 2.30600, 2.26216)
"""Of Student's t at 97.5 %, for 1 to 9 degrees of freedom; beyond, a series is as exact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A mean, and where the truth lies with a confidence of 95 %."""

    mean: float
    low: float | None
    """None for a single value, of which nobody knows the spread."""
    high: float | None
    count: int


def interval(values: Sequence[float]) -> Interval | None:
    """Return the mean of some values with its interval; None when there are none.

    mean +- t s / sqrt(n), with t of n - 1 degrees of freedom.

    >>> interval([1.0])
    Interval(mean=1.0, low=None, high=None, count=1)
    """
    if not values:
        return None
    mean, count = fmean(values), len(values)
    if count == 1:
        return Interval(mean=mean, low=None, high=None, count=1)
    half = quantile(count - 1) * stdev(values) / math.sqrt(count)
    return Interval(mean=mean, low=mean - half, high=mean + half, count=count)


def quantile(freedom: int) -> float:
    """Return Student's t at 97.5 %.

    Many degrees of freedom: Cornish and Fisher's series in 1 / freedom, to its third term
    (Abramowitz and Stegun, 26.7.5).

    >>> round(quantile(2), 3), round(quantile(30), 3)
    (4.303, 2.042)
    """
    if freedom <= len(_QUANTILES):
        return _QUANTILES[freedom - 1]
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3
