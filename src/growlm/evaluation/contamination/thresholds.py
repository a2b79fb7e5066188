"""Thresholds: the score without examples that overlap by so much, for every such edge."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean

from growlm.evaluation.contamination.items import Item, deviation, mean_or_none
from growlm.evaluation.results import Mean

ANY = 0.0
"""The edge that leaves out every example of which a document holds anything."""

EDGES = (ANY, 0.1, 0.2, 0.35, 0.5, 0.8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """The score of the examples below an edge."""

    edge: float
    """Of a document's share of an example's letters, from which it is left out; at 0, above."""
    flagged: int
    """Examples left out."""
    rest: Mean | None
    """Of the others; None where none are left."""

    gain: float | None
    """Mean of all less that of the others: what overlap may have brought."""

    gain_stderr: float | None
    """sigma / sqrt(N of the others)."""

    @property
    def z(self) -> float | None:
        """The gain by its standard error."""
        return self.gain / self.gain_stderr if self.gain is not None and self.gain_stderr else None


def thresholds(items: Sequence[Item]) -> tuple[Threshold, ...]:
    """Return the estimated performance gain for every edge; nothing without tested examples.

    The estimate is that of Singh et al., ConTAM (arXiv:2411.03923).
    """
    pairs = [
        (each.contact.score, each.value)
        for each in items
        if each.contact is not None and each.tested
    ]
    return tuple(_threshold(edge, pairs) for edge in EDGES) if pairs else ()


def _threshold(edge: float, pairs: Sequence[tuple[float, float]]) -> Threshold:
    values = [value for _, value in pairs]
    rest = [value for score, value in pairs if (score < edge if edge else not score)]
    return Threshold(
        edge=edge,
        flagged=len(pairs) - len(rest),
        rest=mean_or_none(rest),
        gain=fmean(values) - fmean(rest) if rest else None,
        gain_stderr=deviation(values) / sqrt(len(rest)) if rest else None,
    )
