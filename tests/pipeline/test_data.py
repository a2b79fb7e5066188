"""Data: a child goes on where its parent stopped, in its recipe and outside it."""

import json

import numpy as np
import pytest

from growlm import checkpoint
from growlm.pipeline.data import packed_sources, stage_data
from growlm.pipeline.folder import RunFolder
from growlm.pipeline.open import plan_of

BASE = """
name = "child"
compile = false
{tokenizer}
[[source]]
name = "tales"
files = ["data/tales.jsonl"]
weight = 1.0
[[source]]
name = "notes"
files = ["data/notes"]
weight = 0.5
[validation]
share = 0.2
tokens = 256
[mixture]
block = 16
[[stage]]
name = "child"
grow = {{ from = "{parent}", layers = 2 }}
context = {context}
tokens = 512
batch = 128
optimizer = {{ peak_lr = 1e-2 }}
schedule = {{ kind = "cosine", warmup_steps = 1 }}
"""
TRAINED = "[tokenizer]\nvocab_size = 300"


def spans(plan, stage, sources):
    """Return (source, epoch, first token, last token) of every sample of a stage."""
    data = stage_data(plan, stage, sources)
    drawn = data.sampler.samples(data.first_cursor, data.last_cursor - data.first_cursor)
    firsts = drawn.slot * plan.slot + drawn.offset
    columns = (drawn.source, drawn.epoch, firsts, drawn.length)
    return [tuple(map(int, row)) for row in np.stack(columns, axis=1)]


def test_no_sample_of_a_lineage_is_seen_twice(finished):
    plan = plan_of(finished / "tiny.toml", ())
    sources = packed_sources(plan, RunFolder(path=finished / "run"))
    base, grown, scratch = (spans(plan, stage, sources) for stage in plan.stages)
    seen = [
        (source, epoch, token)
        for source, epoch, first, length in (*base, *grown)
        for token in range(first, first + length)
    ]
    assert len(seen) == len(set(seen)) == 1024 + 768
    # The control is the negative: it starts where the base started.
    assert {span[:2] for span in scratch} & {span[:2] for span in base}
    assert stage_data(plan, plan.stages[2], sources).first_cursor == 0


def test_a_child_of_the_recipe_goes_on_at_the_next_block_after_its_parent(finished):
    stages = finished / "run/stages"
    base, grown = (data_of(stages / name / "training/final") for name in ("base", "grown"))
    # 8 batches of 8 samples of 16 tokens end a block of 16 slots of 32; then 6 of 4 samples of 32.
    assert base.cursor == 64
    assert grown.cursor == 64 + 24
    assert grown.sampler["phases"] == [
        {"start_draw": 0, "context": 16},
        {"start_draw": 32, "context": 32},
    ]


def test_what_a_change_of_context_skips_is_not_counted_as_read(finished):
    sources = packed_sources(plan_of(finished / "tiny.toml", ()), RunFolder(path=finished / "run"))
    read = {}
    for block, first_cursor in ((16, 64), (4096, 2 * 4096)):
        plan = plan_of(finished / "tiny.toml", (f"mixture.block={block}",))
        data = stage_data(plan, plan.stage("grown"), sources)
        assert data.first_cursor == first_cursor
        read[block] = sum(data.epochs().values())
    assert read[4096] == pytest.approx(read[16], rel=0.1)


@pytest.fixture
def child(again):
    """Return a function: writes a recipe whose one stage grows from a checkpoint outside it."""

    def write(*, tokenizer=TRAINED, context=16, parent="./run/stages/base/training/final"):
        recipe = again / "child.toml"
        text = BASE.format(tokenizer=tokenizer, parent=parent, context=context)
        recipe.write_text(text, encoding="utf-8")
        return recipe

    return write


def data_of(path):
    """Return where a checkpoint stands in the data."""
    found = checkpoint.read_meta(path).data
    assert found is not None
    return found


def trained(growlm, recipe, *words):
    """Return what training said, and where its end stands in the data."""
    run = recipe.parent / "child-run"
    done = growlm("train", recipe, "--out", run, "--stage", "child", *words)
    assert done.returncode == 0, done.stderr
    return done.stderr, data_of(run / "stages/child/training/final")


@pytest.mark.parametrize("context", [16, 32])
def test_a_child_from_outside_over_the_same_texts_goes_on_where_its_parent_stopped(
    growlm, child, again, context
):
    said, data = trained(growlm, child(context=context))
    assert "sampler starts at 0" not in said
    samples = 512 // context
    assert data.cursor == 64 + samples
    assert data.sampler["slot"] == 32
    meta = checkpoint.read_meta(again / "child-run/stages/child/training/final")
    assert [ancestor.stage for ancestor in meta.lineage] == ["base", "child"]
    assert meta.tokens == 1024 + 512


def test_a_child_from_outside_may_bring_its_parent_s_tokenizer(growlm, child):
    tokenizer = '[tokenizer]\nfile = "run/stages/base/training/final/tokenizer.json"'
    said, data = trained(growlm, child(tokenizer=tokenizer))
    assert "sampler starts at 0" not in said
    assert data.cursor == 64 + 32


@pytest.mark.parametrize(
    "change",
    ["seed=2", "mixture.block=32", "stage.child.context=64", "texts"],
)
def test_a_child_from_outside_over_other_data_starts_at_0_and_says_so(growlm, child, change):
    recipe = child(tokenizer='[tokenizer]\nfile = "run/corpus/tokenizer.json"')
    words = ("--set", change)
    if change == "texts":
        (recipe.parent / "data/notes/00.txt").unlink()
        words = ()
    said, data = trained(growlm, recipe, *words)
    assert "note: stage 'child': its parent did not read these sources in this order" in said
    assert "so the sampler starts at 0 and may repeat what the parent has already seen" in said
    context = 64 if "context" in change else 16
    assert data.cursor == 512 // context
    log = (recipe.parent / "child-run/stages/child/training/log.jsonl").read_text()
    kinds = [json.loads(line)["kind"] for line in log.splitlines()]
    assert kinds.count("notice") == 1


def test_a_child_of_a_child_from_outside_goes_on_too(growlm, child, again):
    recipe = child(parent="./run/stages/grown/training/final", context=32)
    said, data = trained(growlm, recipe, "--set", "stage.child.grow.layers=4")
    assert "sampler starts at 0" not in said
    assert data.cursor == 64 + 24 + 16
    meta = checkpoint.read_meta(again / "child-run/stages/child/training/final")
    assert [each.layers for each in meta.lineage] == [1, 2, 4]
