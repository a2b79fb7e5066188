"""Subsets: clean, not clean, not dirty, dirty; how far each is from all, and the verdict."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean
from types import MappingProxyType
from typing import Literal

from growlm.corpus.overlap.score import DIRTY, PARTIAL
from growlm.evaluation.contamination.items import LEAST, Item, deviation, mean_or_none
from growlm.evaluation.results import Mean

Name = Literal["clean", "not clean", "not dirty", "dirty"]

Verdict = Literal["evidence", "none", "insufficient", "no overlap", "not searched"]
"""Whether overlap shows in the scores: it does, it does not, a subset has too few examples, no
example overlaps, or nobody looked."""

FAR = 2.0
"""Standard errors from which a subset is far from all."""

ROUNDING = 1e-9
"""Of the largest score: scores that are spread by no more than this are equal, but for rounding."""

SUBSETS: Mapping[Name, Callable[[float], bool]] = MappingProxyType(
    {
        "clean": lambda score: score < PARTIAL,
        "not clean": lambda score: score >= PARTIAL,
        "not dirty": lambda score: score < DIRTY,
        "dirty": lambda score: score >= DIRTY,
    }
)
"""Which examples a subset has, by their score of overlap."""

_SIGNS: Mapping[Name, int] = MappingProxyType(
    {"clean": -1, "not clean": 1, "not dirty": -1, "dirty": 1}
)
"""On which side of all a subset is, where overlap helps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subset:
    """Some examples of a benchmark, against all of them."""

    name: Name
    mean: Mean | None
    """None of no examples."""

    z: float
    """(X - mu) / (sigma / sqrt n), as Llama 2's report counts; 0 where nothing differs."""

    z_finite: float
    """The same for a draw without return from a benchmark that has an end: the root of
    (N - n) / (n (N - 1)) in place of that of 1 / n."""

    @property
    def count(self) -> int:
        """How many examples."""
        return 0 if self.mean is None else self.mean.count


def subsets(items: Sequence[Item]) -> tuple[Subset, ...]:
    """Return the four subsets of the examples that have a score of overlap.

    Args:
        items: Any; those that have none count in no subset, and not among all.
    """
    pairs = [
        (each.contact.score, each.value)
        for each in items
        if each.contact is not None and each.tested
    ]
    return tuple(
        _subset(name, pairs, [value for score, value in pairs if inside(score)])
        for name, inside in SUBSETS.items()
    )


def verdict(found: Sequence[Subset]) -> Verdict:
    """Return what subsets say together.

    The rule is that of Llama 2's report (Touvron et al., arXiv:2307.09288, A.6): evidence where
    clean and not dirty lie more than two standard errors below all, not clean and dirty above.
    None of it counts where one of the four has fewer than 30 examples.
    """
    by_name = {each.name: each for each in found}
    if not by_name["not clean"].count:
        return "no overlap"
    if min(each.count for each in found) < LEAST:
        return "insufficient"
    far = all(_SIGNS[each.name] * each.z > FAR for each in found)
    return "evidence" if far else "none"


def _subset(name: Name, pairs: Sequence[tuple[float, float]], values: Sequence[float]) -> Subset:
    everything = [value for _, value in pairs]
    z = z_finite = 0.0
    spread = deviation(everything) if everything else 0.0
    if values and spread > ROUNDING * max(map(abs, everything)):
        whole, part = len(everything), len(values)
        away = (fmean(values) - fmean(everything)) / spread
        z = away * sqrt(part)
        rest = (whole - part) / (part * (whole - 1))
        z_finite = away / sqrt(rest) if rest else 0.0
    return Subset(name=name, mean=mean_or_none(values), z=z, z_finite=z_finite)
