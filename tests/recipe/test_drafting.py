"""Drafts: every one is a recipe, says why, and holds what was asked for."""

import re
from typing import Any

import pytest

from growlm.base.errors import RecipeError
from growlm.recipe.drafting import SIZES, Draft, text_of
from growlm.recipe.experiment import Experiment
from growlm.recipe.optimizer import WarmupStableDecay
from growlm.recipe.read import parse

ASKED: dict[str, Any] = {
    "name": "mine",
    "size": "124M",
    "sources": ("builtin",),
    "tokens": None,
    "context": None,
    "grown": True,
    "control": False,
}


def drafted(**changes: Any) -> Experiment:
    text = text_of(Draft(**{**ASKED, **changes}))
    return parse(text.encode(), name="mine.toml")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("grown", "control"), [(False, False), (True, False), (True, True)])
def test_every_draft_is_a_recipe(size: str, grown: bool, control: bool) -> None:  # noqa: FBT001
    found = drafted(size=size, grown=grown, control=control)
    assert len(found.stage) == 1 + grown + control
    last = found.stage[grown]
    layers = last.grow.layers if last.grow else last.model.layers if last.model else None
    assert layers == SIZES[size].layers
    assert all(stage.batch % (8 * stage.context) == 0 for stage in found.stage)


def test_tokens_and_context_are_those_that_were_asked_for() -> None:
    base, grown = drafted(tokens=3_000_000, context=512).stage
    assert (base.tokens, grown.tokens) == (2_250_000, 750_000)
    assert (base.context, grown.context) == (512, 512)
    assert base.schedule.warmup_steps == 0, "three steps have no room for one"
    (alone,) = drafted(grown=False).stage
    assert alone.schedule.warmup_steps == 496, "a tenth of its steps"
    assert alone.tokens == 20 * 124_000_000


def test_a_base_ends_on_its_plateau_and_its_child_falls_from_there() -> None:
    base, grown, scratch = drafted(control=True).stage
    assert base.schedule.kind == "constant"
    assert isinstance(grown.schedule, WarmupStableDecay)
    assert (grown.schedule.warmup_steps, grown.schedule.decay_share) == (0, 1.0)
    assert isinstance(scratch.schedule, WarmupStableDecay)
    assert scratch.schedule.warmup_steps == base.schedule.warmup_steps > 0
    assert scratch.schedule.decay_share == 0.2, "a plateau for the control, too"


def test_every_source_gets_a_name_of_its_own() -> None:
    sources = ("a/Tales.jsonl", "b/tales/*.txt", "builtin", "s3://big/2024/*.jsonl.gz", '1"/*')
    found = drafted(sources=sources).source
    assert [each.name for each in found] == ["tales", "tales2", "docs", "code", "big", "text"]
    assert found[4].files == ("s3://big/2024/*.jsonl.gz",)
    assert found[5].files == ('1"/*',)


def test_a_draft_says_why_above_every_section() -> None:
    asked: dict[str, Any] = {**ASKED, "control": True}
    lines = text_of(Draft(**asked)).splitlines()
    sections = [number for number, line in enumerate(lines) if re.match(r"\[\[?(?!log)", line)]
    told = [number for number in sections if lines[number - 1].startswith("#")]
    assert len(told) == len(sections) - 1, "of the two built-in sources, one"


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"size": "125M"},
            "expected --size to be one of 1M, 12M, 124M, 350M, 760M; got 125M. Try 12M.",
        ),
        ({"sources": ()}, "expected a source of text; got none. Try --source FILE, or builtin."),
        (
            {"grown": False, "control": True},
            "expected --control beside a grown stage; got --alone. Try leaving one of the two out.",
        ),
    ],
)
def test_what_cannot_be_drafted_is_refused(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(RecipeError) as told:
        drafted(**changes)
    assert str(told.value) == line
