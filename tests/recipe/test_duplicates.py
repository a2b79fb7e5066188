"""The duplicates section: what only it can check."""

from collections.abc import Callable

import pytest
from pydantic import ValidationError

from growlm.base.errors import RecipeError
from growlm.recipe.duplicates import Duplicates
from growlm.recipe.experiment import Experiment

TABLE = ("[average]", "[duplicates]\nORDER\n\n[average]")


def test_a_book_may_not_be_dropped_unreported() -> None:
    with pytest.raises(ValidationError, match="book_report_share at or below book_drop_share"):
        Duplicates(book_drop_share=0.1)
    assert Duplicates(book_drop_share=0.2).book_drop_share == 0.2


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (
            'order = ["cod"]',
            "duplicates.order to name sources of text, each once, of docs, code; got 'cod'.",
        ),
        ('order = ["code", "code"]', "got 'code' twice. Try removing one."),
    ],
)
def test_an_order_names_sources_once(
    experiment_with: Callable[..., Experiment], order: str, words: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        experiment_with(TABLE, ("ORDER", order))
    assert words in str(caught.value)


def test_an_order_may_name_some_sources_only(experiment_with: Callable[..., Experiment]) -> None:
    section = experiment_with(TABLE, ("ORDER", 'order = ["code"]')).duplicates
    assert section is not None
    assert section.order == ("code",)
