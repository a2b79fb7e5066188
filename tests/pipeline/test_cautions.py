"""Cautions: an annealed parent is named by check, and before a run does anything."""

import json

import pytest

from growlm.base.version import VERSION
from growlm.pipeline.cautions import cautions
from growlm.pipeline.events import Begun, Notice, Stop
from growlm.pipeline.open import plan_of, run_of
from growlm.pipeline.run import everything

ANNEALED = (
    "stage 'grown' grows from 'base', at 10% of its peak learning rate: annealed parents are "
    "reported to make worse children (arXiv:2510.08008, known at second hand); "
    "stage.base.schedule.final_lr_share = 1.0 keeps one on its plateau"
)


def told(recipe, *changes):
    plan = plan_of(recipe, changes)
    return [text for stage in plan.stages for text in cautions(plan, stage)]


def test_a_parent_whose_rate_runs_down_is_named(recipe):
    assert told(recipe) == [ANNEALED]


@pytest.mark.parametrize(("share", "named"), [("0.49", True), ("0.5", False), ("1.0", False)])
def test_half_of_the_peak_is_where_annealing_begins(recipe, *, share, named):
    assert bool(told(recipe, f"stage.base.schedule.final_lr_share={share}")) is named


@pytest.mark.parametrize(
    ("parent", "how", "instead"),
    [
        ("base/training/final", "at 10% of its peak learning rate", "an earlier checkpoint of its"),
        ("grown/average", "an average of checkpoints", "an earlier checkpoint of its stage"),
        ("grown/grown", "", ""),
    ],
)
def test_so_is_one_from_outside_the_recipe(again, *, parent, how, instead):
    recipe = again / "tiny.toml"
    text = recipe.read_text().replace(
        'from = "base", layers = 2', f'from = "run/stages/{parent}", layers = 3'
    )
    recipe.write_text(text.replace("vocab_size = 300", 'file = "run/corpus/tokenizer.json"'))
    found = told(recipe)
    assert len(found) == bool(how)
    assert all(f"', {how}: annealed" in text and instead in text for text in found)


def test_check_ends_with_it(growlm, recipe):
    assert growlm("check", recipe).stdout.endswith(f"note: {ANNEALED}\n")
    assert json.loads(growlm("check", recipe, "--json").stdout)["notices"] == [ANNEALED]


def test_it_is_said_before_a_stage_is_trained(growlm, recipe):
    done = growlm("train", recipe, "--stage", "grown", "--out", recipe.parent / "run", "--json")
    first, second, *_ = (json.loads(line) for line in done.stdout.splitlines())
    assert first == {"event": "notice", "text": ANNEALED}
    assert second == {"event": "begun", "step": "prepare:tokenizer"}


def test_it_is_said_before_a_run_does_anything(recipe):
    with run_of(recipe, (), out=recipe.parent / "run", stop=Stop(), version=VERSION) as job:
        events = everything(job)
        assert next(events) == Notice(text=ANNEALED)
        assert next(events) == Begun(step="prepare:tokenizer")


def test_it_is_not_said_of_what_is_trained_already_or_not_asked_for(growlm, again, recipe):
    done = growlm("run", again / "tiny.toml", "--out", again / "run", "--json")
    assert ANNEALED not in done.stdout
    done = growlm("train", recipe, "--out", recipe.parent / "run", "--stage", "base", "--json")
    assert ANNEALED not in done.stdout


@pytest.mark.parametrize(
    ("units", "state", "named"),
    [
        ("noised", "asymmetric", False),
        ("noised", "drop", False),
        ("uneven", "exact", True),
        ("even", "copy", True),
        ("even", "drop", True),
        ("even", "asymmetric", False),
    ],
)
def test_copies_that_nothing_parts_are_named(recipe, *, units, state, named):
    grow = 'grow = { from = "base", layers = 2, depth = "interleave"'
    assert grow in recipe.read_text()
    wider = f'mlp = 128, units = "{units}", optimizer_state = "{state}"'
    deeper = grow.replace("interleave", "insert")
    recipe.write_text(recipe.read_text().replace(grow, f"{deeper}, {wider}"))
    texts = [text for text in told(recipe) if "start equal and nothing parts them" in text]
    assert len(texts) == named
    assert all(text.startswith("stage 'grown': copies of mlp start equal") for text in texts)
