"""Findings: all that can be said of one score and the training text."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from growlm.corpus.ledger import Known
from growlm.corpus.overlap.reading import Contact
from growlm.corpus.overlap.score import Label
from growlm.evaluation.contamination.doses import Difference, Dose, difference, doses
from growlm.evaluation.contamination.items import Item, Scored, joined, mean_or_none
from growlm.evaluation.contamination.subsets import Subset, Verdict, subsets, verdict
from growlm.evaluation.contamination.thresholds import Threshold, thresholds
from growlm.evaluation.results import Mean, mean_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is known of a metric of a task."""

    task: str
    metric: str
    known: Known
    """How much of the checkpoint's lineage was searched for the task."""
    everything: Mean
    """Over all examples, tested for overlap or not."""
    labels: Mapping[Label, int]
    """Examples by label; empty where the texts were not searched."""
    subsets: tuple[Subset, ...]
    """Empty where the texts were not searched, and so below."""
    verdict: Verdict
    thresholds: tuple[Threshold, ...]
    answered: Mean | None
    """Over the examples that a document holds with their answer."""
    doses: tuple[Dose, ...]
    """By exposures; empty where nothing is known of any."""

    parent_known: Known | None
    """None without a parent's scores."""
    gains: tuple[Dose, ...]
    """Child less parent, by the child's exposures."""
    difference: Difference | None


def finding(
    child: Scored,
    metric: str,
    contacts: Mapping[int, Contact] | None,
    *,
    parent: Scored | None = None,
) -> Finding:
    """Return what is known of a metric of a task.

    Args:
        child: A checkpoint's scores and exposures.
        metric: Of which more is better.
        contacts: What the texts hold of every example; None where they were not searched.
        parent: The same of the checkpoint that it was grown from.

    Raises:
        EvaluationError: What ``joined`` raises.
    """
    items = joined(child, metric, contacts, parent=parent)
    found = subsets(items) if contacts is not None else ()
    served = child.history.known != "unknown"
    return Finding(
        task=child.score.task,
        metric=metric,
        known=child.history.known,
        everything=mean_of([each.value for each in items]),
        labels=Counter(each.contact.label for each in items if each.contact is not None),
        subsets=found,
        verdict=verdict(found) if found else "not searched",
        thresholds=thresholds(items),
        answered=_answered(items),
        doses=doses([(each.exposures, each.value) for each in items]) if served else (),
        parent_known=None if parent is None else parent.history.known,
        gains=doses([(each.exposures, each.gain) for each in items if each.gain is not None])
        if served
        else (),
        difference=difference(items) if served else None,
    )


def _answered(items: list[Item]) -> Mean | None:
    return mean_or_none([each.value for each in items if each.contact and each.contact.answered])
