"""Items: scores of examples, joined with what the texts hold and what was trained on."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from growlm.base.errors import EvaluationError
from growlm.corpus.ledger import Known
from growlm.corpus.overlap.reading import Contact
from growlm.corpus.overlap.score import Label
from growlm.evaluation.results import Mean, TaskScore, mean_of

LEAST = 30
"""Examples below which a subset is too small for a verdict."""

TESTED: frozenset[Label] = frozenset({"clean", "partial", "dirty"})
"""Labels of examples long enough, and telling enough, to have a score of overlap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What a checkpoint's ledger says of one benchmark."""

    known: Known
    """How much of its lineage was searched for the benchmark."""
    exposures: Mapping[int, float]
    """How often examples were trained on, by row; never is absent."""


NOBODY_KNOWS = History(known="unknown", exposures={})
"""Of a checkpoint whose data are unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """A checkpoint's scores of a task, and what it was trained on of it."""

    score: TaskScore
    history: History


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """An example as the statistics take it."""

    value: float
    """What a metric says; more is better."""
    contact: Contact | None
    """What the texts hold of it; None where they were not searched."""
    exposures: float
    parent_value: float | None
    """What the metric says of the parent; None without one."""
    parent_exposures: float

    @property
    def gain(self) -> float | None:
        """How much better than the parent."""
        return None if self.parent_value is None else self.value - self.parent_value

    @property
    def tested(self) -> bool:
        """Whether it has a score of overlap."""
        return self.contact is not None and self.contact.label in TESTED


def joined(
    child: Scored,
    metric: str,
    contacts: Mapping[int, Contact] | None,
    *,
    parent: Scored | None,
) -> list[Item]:
    """Return the examples of a task in the order of their rows.

    Args:
        child: The checkpoint.
        metric: Of which more is better: ``acc``, ``acc_norm`` or ``log_likelihood_nats``.
        contacts: What the texts hold of each row; None where they were not searched.
        parent: The same of the checkpoint that it was grown from.

    Raises:
        EvaluationError: An example has no such metric, the searched benchmark has no such row, or
            the parent was scored on other examples.
    """
    values = _values(child.score, metric)
    others = None if parent is None else _values(parent.score, metric)
    if contacts is not None:
        _check_rows(child.score, values.keys() - contacts.keys(), rows=len(contacts))
    if others is not None and others.keys() != values.keys():
        raise EvaluationError(
            f"parent and child to be scored on the same examples of {child.score.task}",
            got=f"{len(others.keys() ^ values.keys())} of one alone",
            fix="evaluating both with the same limits",
        )
    return [
        Item(
            value=value,
            contact=None if contacts is None else contacts[index],
            exposures=child.history.exposures.get(index, 0.0),
            parent_value=None if others is None else others[index],
            parent_exposures=0.0 if parent is None else parent.history.exposures.get(index, 0.0),
        )
        for index, value in sorted(values.items())
    ]


def mean_or_none(values: Sequence[float]) -> Mean | None:
    """Return the mean of values, if there are any."""
    return mean_of(values) if values else None


def deviation(values: Sequence[float]) -> float:
    """Return the standard deviation of a whole benchmark, by its count and not by one less.

    >>> deviation([1.0, 0.0, 0.0, 1.0])
    0.5
    """
    middle = fmean(values)
    return fmean([(value - middle) ** 2 for value in values]) ** 0.5


def _values(score: TaskScore, metric: str) -> dict[int, float]:
    score.mean(metric)  # which says what metrics there are
    return {each.index: each.values[metric] for each in score.examples}


def _check_rows(score: TaskScore, beyond: Iterable[int], *, rows: int) -> None:
    row = min(beyond, default=None)
    if row is not None:
        raise EvaluationError(
            f"examples of {score.task} among the {rows} that the texts were searched for",
            got=f"row {row}",
            fix="a search for the file that was scored",
        )
