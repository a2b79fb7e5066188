"""Columns: in turn, together to the end, and one that fails leaves the others alone."""

import math
from pathlib import Path
from typing import Any

import pytest

from growlm.base.errors import EvaluationError, RecipeError
from growlm.pipeline.generating import USUAL
from growlm.web import columns
from growlm.web.columns import order_of, short_names, side_by_side

VALUES: dict[str, Any] = {
    "temperature": 0.5,
    "top_k": 0,
    "top_p": 0.9,
    "repetition_penalty": 1,
    "tokens": 20.0,
    "seed": 3.0,
    "greedy": False,
    "stop": True,
}


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw the page anew after every turn."""
    monkeypatch.setattr(columns, "SECONDS_BETWEEN_VIEWS", 0.0)


@pytest.mark.usefixtures("always")
def test_every_column_takes_a_token_in_turn_until_all_have_ended(scripted, piece):
    long = scripted("long", [piece("one"), piece(" two"), piece(" three", end="tokens")])
    short = scripted("short", [piece("uno", end="end of text")])
    views = list(side_by_side([long, short], "Count:", USUAL))
    assert [view.count('class="token"') for view, _ in views] == [0, 1, 2, 3, 3, 3]
    assert [view.count('class="token"') for _, view in views] == [0, 1, 1, 1, 1, 1]
    assert long.asked == short.asked == (("Count:",), USUAL)


def test_the_page_is_not_drawn_for_every_token(monkeypatch, scripted, piece):
    monkeypatch.setattr(columns, "SECONDS_BETWEEN_VIEWS", math.inf)
    many = scripted("many", [piece("a")] * 50)
    assert len(list(side_by_side([many], "", USUAL))) == 2


def test_a_mistake_stands_in_its_own_column(scripted, piece):
    refused = EvaluationError("a <short> prompt", got="17", fix="less")
    broken = scripted("broken", [piece("a")], mistake=refused)
    good = scripted("good", [piece("one"), piece(" two"), piece(" three", end="tokens")])
    *_, (first, second) = side_by_side([broken, good], "", USUAL)
    assert 'role="alert">expected a &lt;short&gt; prompt; got 17. Try less.</p>' in first
    assert second.count('class="token"') == 3


def test_what_the_controls_say_becomes_an_order():
    order = order_of(VALUES)
    assert (order.tokens, order.seed, order.top_k) == (20, 3, None)
    assert (order.temperature, order.repetition_penalty) == (0.5, 1.0)
    assert (order.greedy, order.stop) == (False, True)
    assert order_of({**VALUES, "top_k": 7.0}).top_k == 7


def test_an_emptied_control_is_named():
    with pytest.raises(RecipeError) as caught:
        order_of({**VALUES, "seed": None})
    assert str(caught.value) == "expected a number for seed; got none. Try the value it had."


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["runs/a/base/final", "runs/a/grown/final"], ["base", "grown"]),
        (["a/final", "b/step-2"], ["a/final", "b/step-2"]),
        (["runs/x", "runs/x/y"], ["runs/x", "y"]),
        (["runs/x"], ["runs/x"]),
        (["x", "x"], ["x", "x"]),
    ],
)
def test_columns_are_called_by_what_tells_them_apart(paths, names):
    assert short_names([Path(each) for each in paths]) == names
