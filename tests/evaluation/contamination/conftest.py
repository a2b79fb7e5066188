"""What the tests of contamination share: items and scores from plain numbers."""

from collections.abc import Callable
from typing import Any

import pytest

from growlm.corpus.overlap.reading import Contact
from growlm.corpus.overlap.score import Label
from growlm.evaluation.contamination.items import History, Item, Scored
from growlm.evaluation.results import ExampleScore, TaskScore


def label_of(overlap: float) -> Label:
    return "dirty" if overlap >= 0.8 else "partial" if overlap >= 0.2 else "clean"


def make_contact(overlap: float, label: Label | None = None, answered: Any = None) -> Contact:
    return Contact(label=label or label_of(overlap), score=overlap, answered=answered)


def make_item(
    value: float, overlap: float | None = 0.0, *, parent: Any = None, **changes: Any
) -> Item:
    given = {"exposures": 0.0, "parent_value": parent, "parent_exposures": 0.0}
    contact = None if overlap is None else make_contact(overlap, changes.pop("label", None))
    return Item(value=value, contact=contact, **{**given, **changes})


def make_scored(values: Any, known: Any = "known", **exposures: float) -> Scored:
    """Return a checkpoint's ``acc`` of rows 0, 1 and so on; exposures as ``_3=2.0`` for row 3."""
    examples = tuple(ExampleScore(index=n, values={"acc": v}) for n, v in enumerate(values))
    served = {int(name[1:]): times for name, times in exposures.items()}
    return Scored(
        score=TaskScore(task="quiz", examples=examples),
        history=History(known=known, exposures=served),
    )


@pytest.fixture(scope="session")
def contact() -> Callable[..., Contact]:
    return make_contact


@pytest.fixture(scope="session")
def item() -> Callable[..., Item]:
    return make_item


@pytest.fixture(scope="session")
def scored() -> Callable[..., Scored]:
    return make_scored
