"""Dotted overrides of a recipe's tables."""

from typing import Any

import pytest

from growlm.base.errors import RecipeError
from growlm.recipe.overrides import override


def tables() -> dict[str, Any]:
    return {
        "seed": 1,
        "stage": [{"name": "1", "tokens": 1}, {"name": "1.1b", "model": {"layers": 2}}],
        "average": {"stages": ["1"]},
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2", 2),
        ("2.0", 2.0),
        ("true", True),
        ("[1, 2]", [1, 2]),
        ('"2"', "2"),
        ("1M", "1M"),
        ("interleave", "interleave"),
        ("007", "007"),
        ("a=b", "a=b"),
        ("", ""),
    ],
)
def test_a_value_is_toml_or_else_a_string(text: str, value: Any) -> None:
    values = tables()
    override(values, f"seed={text}")
    assert values == {**tables(), "seed": value}
    assert type(values["seed"]) is type(value)


def test_an_entry_of_a_list_is_entered_by_its_name() -> None:
    values = tables()
    override(values, "stage.1.tokens=5")
    assert values["stage"] == [{"name": "1", "tokens": 5}, tables()["stage"][1]]


def test_a_name_with_a_dot_wins_over_the_shorter_name_before_it() -> None:
    values = tables()
    override(values, "stage.1.1b.model.layers=6")
    assert values["stage"] == [tables()["stage"][0], {"name": "1.1b", "model": {"layers": 6}}]


def test_a_table_that_is_not_there_yet_is_made() -> None:
    values = tables()
    override(values, "evaluate.last_word.source=docs")
    assert values["evaluate"] == {"last_word": {"source": "docs"}}


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("seed", "--set to be key=value; got 'seed'. Try --set stage.base.tokens=1M."),
        ("=1", "--set to be key=value; got '=1'. Try --set stage.base.tokens=1M."),
        ("a..b=1", "--set to be key=value; got 'a..b=1'. Try --set stage.base.tokens=1M."),
        (
            "stage.2.tokens=1",
            "--set stage.2.tokens to enter a list by the name of an entry; got '2'. "
            "Try one of 1, 1.1b.",
        ),
        (
            "stage.1.1b=3",
            "--set stage.1.1b to end in a key; got an entry of a list. Try adding .KEY to it.",
        ),
        (
            "seed.x=1",
            "--set seed.x to lead through tables; got 'seed', which is a value. Try --set seed=1.",
        ),
        (
            "average.stages.x=1",
            "--set average.stages.x to enter a list by the name of an entry; got 'x'. "
            "Try a list of named tables, such as stage.",
        ),
    ],
)
def test_an_assignment_that_leads_nowhere_is_refused(assignment: str, words: str) -> None:
    with pytest.raises(RecipeError) as caught:
        override(tables(), assignment)
    assert str(caught.value) == f"expected {words}"
