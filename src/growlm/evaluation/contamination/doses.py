"""Doses: scores by number of exposures, and what training on examples did beyond training."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot, inf
from statistics import fmean
from typing import Literal

from growlm.evaluation.contamination.items import LEAST, Item, mean_or_none
from growlm.evaluation.results import Mean, mean_of

EDGES = (0.0, 1.5, 3.0, 6.0, 12.0, 24.0, inf)
"""Ends of the ranges of exposures; each belongs to the range that it ends.

They lie between the powers of two: an example that was put somewhere so many times is trained on
about as often, a little less where a document is held out, a little more where one is read again.
"""

FAR = 3.0
"""Standard errors from which a difference is evidence: several scores are looked at, each alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dose:
    """Examples that were trained on about equally often."""

    above: float | None
    """Exposures that all of them exceed; None for those never trained on."""
    most: float
    exposures: float
    """Their mean."""
    mean: Mean
    gain: float | None
    """Their mean less that of the examples never trained on; None where there are none of those."""
    gain_stderr: float | None

    @property
    def gain_per_exposure(self) -> float | None:
        """The gain by the exposures."""
        return self.gain / self.exposures if self.gain is not None and self.exposures else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How much more a child gained on what it was trained on than on what it was not."""

    exposed: Mean
    """Child less parent, on the examples that the child was trained on and its parent was not."""
    unexposed: Mean
    """The same on those that neither was."""

    @property
    def value(self) -> float:
        """The difference of the differences."""
        return self.exposed.value - self.unexposed.value

    @property
    def stderr(self) -> float:
        """Of the difference: each example is its own control, the two groups are apart."""
        return hypot(self.exposed.stderr, self.unexposed.stderr)

    @property
    def verdict(self) -> Literal["evidence", "none", "insufficient"]:
        """Whether it is more than three standard errors above nothing.

        A group of fewer than 30 examples is insufficient.
        """
        if min(self.exposed.count, self.unexposed.count) < LEAST:
            return "insufficient"
        return "evidence" if self.value > FAR * self.stderr else "none"


def doses(pairs: Sequence[tuple[float, float]]) -> tuple[Dose, ...]:
    """Return scores by number of exposures.

    Args:
        pairs: For each example its exposures and its score, or what it gained over the parent's.
    """
    groups = [
        (above, most, [pair for pair in pairs if _inside(pair[0], above, most)])
        for above, most in zip((None, *EDGES[:-1]), EDGES, strict=True)
    ]
    never = mean_or_none([value for _, value in groups[0][2]])
    return tuple(_dose(above, most, some, never) for above, most, some in groups if some)


def difference(items: Sequence[Item]) -> Difference | None:
    """Return the difference in differences against the parent; None where a group is empty.

    Examples that overlap are often the easier ones, which no comparison of groups can tell from
    what was learned of them. The parent knows how easy each of them is. That both groups would
    have gained the same is assumed.
    """
    gains = [(each, gain) for each in items if (gain := each.gain) is not None]
    fresh = [(each, gain) for each, gain in gains if not each.parent_exposures]
    exposed = [gain for each, gain in fresh if each.exposures]
    unexposed = [gain for each, gain in fresh if not each.exposures]
    if not exposed or not unexposed:
        return None
    return Difference(exposed=mean_of(exposed), unexposed=mean_of(unexposed))


def _inside(exposures: float, above: float | None, most: float) -> bool:
    if above is None:
        return not exposures
    return above < exposures <= most


def _dose(
    above: float | None, most: float, some: Sequence[tuple[float, float]], never: Mean | None
) -> Dose:
    mean = mean_of([value for _, value in some])
    compared = never if above is not None else None
    return Dose(
        above=above,
        most=most,
        exposures=fmean([exposures for exposures, _ in some]),
        mean=mean,
        gain=None if compared is None else mean.value - compared.value,
        gain_stderr=None if compared is None else hypot(mean.stderr, compared.stderr),
    )
