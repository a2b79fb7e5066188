"""What the log shows of scores and overlap: frozen records, as in ``view.py``."""

from collections.abc import Mapping
from typing import Literal

from growlm.report.frozen import MeanView, View

Known = Literal["known", "partial", "unknown"]

Verdict = Literal["evidence", "none", "insufficient", "no overlap", "not searched"]


class SubsetView(View, frozen=True):
    """Some examples of a benchmark, against all of them."""

    name: Literal["clean", "not clean", "not dirty", "dirty"]
    mean: MeanView | None
    """None of no examples."""
    z: float
    """By the standard error of a sample."""
    z_finite: float
    """By that of a draw without return from the benchmark."""


class ThresholdView(View, frozen=True):
    """The score of the examples that overlap less than an edge."""

    edge: float
    """Share of an example's letters from which it is left out; at 0, above."""
    flagged: int
    """Examples left out."""
    rest: MeanView | None
    """Of the others."""
    gain: float | None
    """Mean of all less that of the others."""
    gain_stderr: float | None


class DoseView(View, frozen=True):
    """Examples that were trained on about equally often."""

    above: float | None
    """Exposures that all of them exceed; None for those never trained on."""
    most: float
    exposures: float
    """Their mean."""
    mean: MeanView
    gain: float | None
    """Their mean less that of the examples never trained on."""
    gain_stderr: float | None
    gain_per_exposure: float | None


class DifferenceView(View, frozen=True):
    """How much more a child gained on what it alone was trained on than on the rest."""

    exposed: MeanView
    """Child less parent, on examples that the child was trained on and its parent was not."""
    unexposed: MeanView
    """The same on those that neither was."""
    value: float
    stderr: float
    verdict: Literal["evidence", "none", "insufficient"]
    """Whether it is three standard errors above nothing; insufficient with under 30 examples."""


class ContaminationView(View, frozen=True):
    """What is known of a checkpoint's score and its training text."""

    stage: str
    checkpoint: str
    """Which of the stage's: ``final``, or its path."""
    task: str
    metric: str
    known: Known
    """How much of the checkpoint's lineage was searched for the task."""
    everything: MeanView
    """Over all examples, tested for overlap or not."""
    labels: Mapping[str, int]
    """Examples by label."""
    subsets: tuple[SubsetView, ...]
    verdict: Verdict
    thresholds: tuple[ThresholdView, ...]
    answered: MeanView | None
    """Over the examples that a document holds with their answer."""
    doses: tuple[DoseView, ...]
    """Scores by exposures."""
    parent: str | None
    """The checkpoint that it is compared with."""
    parent_known: Known | None
    gains: tuple[DoseView, ...]
    """Child less parent, by the child's exposures."""
    difference: DifferenceView | None

    def subset(self, name: str) -> SubsetView | None:
        """Return one of the four subsets; None where no text was searched."""
        return next((each for each in self.subsets if each.name == name), None)
