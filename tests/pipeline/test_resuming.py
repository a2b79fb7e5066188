"""A parent's schedule in its child: from where it goes on, and what it needs to know for that."""

import json
import shutil
import signal
from typing import TypeVar

import pytest

from growlm import checkpoint
from growlm.optim.schedule import Constant, Cosine, Linear, Resumed
from growlm.pipeline import rates
from growlm.pipeline.open import plan_of
from growlm.pipeline.resuming import course_facts, course_of_checkpoint, matched_step
from growlm.runlog import Notice, Step, ValidationLoss, read

RESUME = 'stage.grown.schedule={kind = "resume", warmup_steps = 0}'
EXACT = (RESUME, "stage.grown.grow.depth=insert")
NEARLY = (RESUME, "stage.grown.context=16", "stage.grown.grow.depth=stack")
Kind = TypeVar("Kind")
PARENT = Cosine(warmup_steps=2, steps=8, final_share=0.1)


def options(*changes):
    return [word for change in changes for word in ("--set", change)]


def log_of(run, stage, kind: type[Kind]) -> list[Kind]:
    records = read(run / "stages" / stage / "training/log.jsonl")
    return [each for each in records if isinstance(each, kind)]


def facts(run, stage="grown"):
    return checkpoint.read_meta(run / "stages" / stage / "training/final").training


CURVE = [(0, 5.0), (100, 4.0), (200, 4.5), (300, 3.5)]


@pytest.mark.parametrize(
    ("loss", "step"), [(6.0, 0), (5.0, 0), (4.5, 50), (4.0, 100), (3.75, 275), (3.5, 300), (3, 300)]
)
def test_a_loss_is_found_where_the_curve_first_comes_down_to_it(loss, step):
    assert matched_step(CURVE, float(loss)) == step


def test_the_child_of_an_exact_growth_goes_on_from_its_parents_last_step(growlm, recipe):
    run = recipe.parent / "run"
    done = growlm("train", recipe, "--out", run, "--stage", "grown", *options(*EXACT), "--json")
    assert done.returncode == 0, done.stderr
    schedule = Resumed(law=PARENT, start=8, steps=6, warmup_steps=0)
    rates = [record.lr for record in log_of(run, "grown", Step)]
    assert rates == [1e-2 * schedule(step) for step in range(6)]
    text = (
        "stage 'grown' resumes the schedule of its parent from the parent's step 8 of 8, its last, "
        "since the growth is exact; that is step 8 of now 14"
    )
    assert [record.text for record in log_of(run, "grown", Notice)] == [text]
    assert text in [json.loads(line).get("text") for line in done.stdout.splitlines()]
    assert facts(run)["schedule_start"] == 8
    assert facts(run)["schedule"] == {
        "kind": "cosine",
        "warmup_steps": 2,
        "steps": 14,
        "final_share": 0.1,
    }


def test_another_child_goes_on_from_where_its_parent_had_its_loss(growlm, recipe):
    run = recipe.parent / "run"
    done = growlm("train", recipe, "--out", run, "--stage", "grown", *options(*NEARLY))
    assert done.returncode == 0, done.stderr
    (first, *_) = log_of(run, "grown", ValidationLoss)
    curve = [(record.step, record.loss) for record in log_of(run, "base", ValidationLoss)]
    start = matched_step(curve, first.loss)
    assert 0 <= start <= 8
    assert facts(run)["schedule_start"] == start
    rates = [record.lr for record in log_of(run, "grown", Step)]
    schedule = Resumed(law=PARENT, start=start, steps=6, warmup_steps=0)
    assert rates == [1e-2 * schedule(step) for step in range(6)]
    (notice,) = log_of(run, "grown", Notice)
    assert f"step {start} of 8, where its validation loss was the child's" in notice.text


def test_what_was_found_is_used_again_after_a_stop(recipe, forked, outcome):
    changes = options(*NEARLY, "stage.grown.checkpoint_every=256")
    runs = [recipe.parent / name for name in ("whole", "stopped")]
    for run in runs:
        words = ("train", recipe, "--out", run, *changes, "--stage")
        assert forked(*words, "base").returncode == 0
        if run.name == "stopped":
            assert forked(*words, "grown", signal_at=[signal.SIGTERM, 3]).returncode == 75
            (run / "stages/base/training/log.jsonl").write_text("")  # it is not asked again
        assert forked(*words, "grown").returncode == 0
    assert outcome(runs[0]) == outcome(runs[1])
    assert len(log_of(runs[1], "grown", Notice)) == 1


def test_a_grandchild_goes_on_with_the_same_law(growlm, recipe):
    more = """
[[stage]]
name = "twice"
grow = { from = "grown", layers = 3, depth = "insert" }
context = 32
tokens = 512
batch = 256
optimizer = { peak_lr = 1e-2 }
schedule = { kind = "resume", warmup_steps = 0 }
"""
    recipe.write_text(recipe.read_text() + more)
    run = recipe.parent / "run"
    done = growlm("train", recipe, "--out", run, "--stage", "twice", *options(*EXACT))
    assert done.returncode == 0, done.stderr
    planned = plan_of(recipe, EXACT).stage("twice").schedule
    # Its batches are twice as large, so 14 steps of its parents' law are 7 of its own.
    law = Cosine(warmup_steps=1, steps=7, final_share=0.1)
    assert planned == Resumed(law=law, start=7, steps=2, warmup_steps=0)
    assert [record.lr for record in log_of(run, "twice", Step)] == [
        1e-2 * planned(step) for step in range(2)
    ]


@pytest.mark.parametrize(
    ("schedule", "law", "words"),
    [
        (
            'kind = "linear"',
            Linear(warmup_steps=2, steps=8, final_share=0.0),
            "linear to 0% of the",
        ),
        ('kind = "constant"', Constant(warmup_steps=2, steps=8), "constant at the"),
    ],
    ids=["linear", "constant"],
)
def test_every_law_can_be_gone_on_with(finished, schedule, law, words):
    changes = (f"stage.base.schedule={{{schedule}, warmup_steps = 2}}", *EXACT)
    plan = plan_of(finished / "tiny.toml", changes)
    child = plan.stage("grown")
    assert child.schedule == Resumed(law=law, start=8, steps=6, warmup_steps=0)
    assert rates.words(child)["schedule"] == (
        f"{words} peak, the parent's, resumed at step 8 of now 14"
    )
    path = finished / "run/stages/base/training/final"
    meta = checkpoint.read_meta(path).model_copy(
        update={"training": course_facts(plan.stage("base"))}
    )
    course = course_of_checkpoint(path, meta)
    assert (course.law, course.start, course.steps) == (law, 0, 8)


OUTSIDE = """
name = "child"
compile = false
tokenizer = {{ file = "{parent}/tokenizer.json" }}
source = [{{ name = "tales", files = ["data/tales.jsonl"], weight = 1.0 }}]
validation = {{ share = 0.2, tokens = 256 }}
mixture = {{ block = 16 }}
[[stage]]
name = "child"
grow = {{ from = "{parent}", layers = 2, depth = "{depth}" }}
context = 16
tokens = 512
batch = 128
optimizer = {{ peak_lr = 1e-2 }}
schedule = {{ kind = "resume", warmup_steps = 1 }}
"""


@pytest.fixture
def outside(again):
    """Return a function: parent's folder, depth operator -> a recipe that grows from it."""

    def write(parent, depth):
        path = again / "child.toml"
        path.write_text(OUTSIDE.format(parent=parent, depth=depth))
        return path

    return write


@pytest.mark.parametrize("depth", ["insert", "stack"])
def test_a_parent_outside_the_recipe_is_gone_on_with_too(growlm, again, outside, depth):
    recipe = outside("run/stages/base/training/final", depth)
    done = growlm("train", recipe, "--out", again / "child", "--stage", "child")
    assert done.returncode == 0, done.stderr
    start = facts(again / "child", "child")["schedule_start"]
    assert start == 8 if depth == "insert" else 0 <= start <= 8


def test_a_parent_that_does_not_say_how_its_rate_went_is_refused_first(growlm, again, outside):
    child = again / "run/stages/grown/grown"
    done = growlm("check", outside("run/stages/grown/grown", "insert"))
    assert done.returncode == 2
    assert done.stderr == (
        "growlm: stage.child: expected a parent that says how its learning rate went, for "
        f"schedule.kind = resume; got none said in {child}, which no stage of a recipe ended with. "
        'Try kind = "warmup-stable-decay".\n'
    )


def test_a_parent_without_its_log_is_refused_first_where_losses_are_compared(
    growlm, again, outside
):
    shutil.copytree(again / "run/stages/base/training/final", again / "alone/final")
    done = growlm("check", outside("alone/final", "stack"))
    assert done.returncode == 2
    assert (
        "expected a parent with a log of its losses on tales, for a growth that is" in done.stderr
    )
    assert done.stderr.endswith('Try kind = "warmup-stable-decay", or an exact growth.\n')
    assert growlm("check", outside("alone/final", "insert")).returncode == 0


def test_losses_at_two_contexts_are_not_compared(growlm, recipe):
    done = growlm("check", recipe, *options(*NEARLY, "stage.grown.context=32"))
    assert done.returncode == 2
    assert done.stderr == (
        "growlm: stage.grown: expected the parent's context, 16, in a growth that is not exact, "
        "whose losses schedule.kind = resume compares with the parent's; got context = 32. "
        "Try context = 16, or an exact growth.\n"
    )


@pytest.mark.parametrize("stage", ["base", "grown"])
def test_losses_with_and_without_masking_are_not_compared(growlm, recipe, stage):
    masked = f"stage.{stage}.document_masking=true"
    done = growlm("check", recipe, *options(*NEARLY, masked))
    assert done.returncode == 2
    theirs, ours = ("true", "false") if stage == "base" else ("false", "true")
    assert done.stderr == (
        f"growlm: stage.grown: expected the parent's document_masking, {theirs}, in a growth that "
        "is not exact, whose losses schedule.kind = resume compares with the parent's; got "
        f"document_masking = {ours}. Try document_masking = {theirs}, or an exact growth.\n"
    )


def test_a_parent_outside_the_recipe_says_whether_documents_were_masked(growlm, outside):
    recipe = outside("run/stages/base/training/final", "stack")
    assert growlm("check", recipe).returncode == 0
    done = growlm("check", recipe, *options("stage.child.document_masking=true"))
    assert done.returncode == 2
    assert "expected the parent's document_masking, false, in a growth that" in done.stderr


def test_a_source_that_the_parent_was_not_validated_on_is_refused(growlm, recipe):
    without = "stage.base.weights={notes = 0.0}"
    done = growlm("check", recipe, *options(*NEARLY, without))
    assert done.returncode == 2
    assert "expected a parent with a log of its losses on notes, for a growth" in done.stderr


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (EXACT, "cosine to 10% of the peak, the parent's, resumed at step 8 of now 14"),
        (
            NEARLY,
            "cosine to 10% of the peak, the parent's, resumed where its validation loss was the "
            "child's",
        ),
    ],
    ids=["exact", "not exact"],
)
def test_check_says_from_where_a_schedule_is_resumed(growlm, recipe, changes, words):
    done = growlm("check", recipe, *options(*changes), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["stages"][1]["learning_rate"]["schedule"] == words
    assert words in growlm("check", recipe, *options(*changes)).stdout
