"""Growing a vocabulary: a tokenizer with tokens behind the parent's, and what they begin as."""

import json
from dataclasses import replace

import pytest
import torch

from growlm import checkpoint
from growlm.base.errors import RecipeError
from growlm.checkpoint import Contents
from growlm.corpus.tokenizer import parsed, with_tokens
from growlm.pipeline.cautions import cautions
from growlm.pipeline.open import plan_of

RECIPE = """
name = "child"
compile = false
tokenizer = {{ file = "more.json" }}
source = [{{ name = "tales", files = ["data/tales.jsonl"], weight = 1.0 }}]
validation = {{ share = 0.2, tokens = 256 }}
mixture = {{ block = 16 }}
[[stage]]
name = "child"
grow = {{ from = "{parent}", {grow} }}
context = 16
tokens = 512
batch = 128
optimizer = {{ peak_lr = 1e-2 }}
schedule = {{ kind = "cosine", warmup_steps = 1 }}
"""
BASE = "run/stages/base/training/final"
ROWS = 300


def merged(text):
    """Return a tokenizer that also knows the first two tokens of two words as one each."""
    values = json.loads(text)
    vocab = values["model"]["vocab"]
    for word in (" lantern", " thunder"):
        left, right, *_ = parsed(text).encode(word).tokens
        vocab[left + right] = len(vocab)
        values["model"]["merges"].append([left, right])
    return json.dumps(values)


@pytest.fixture
def recipe_of(again):
    """Return a function: the run's tokenizer, what grows, the parent -> a recipe."""

    def write(tokenizer, grow='new_tokens = "pieces"', parent=BASE):
        (again / "more.json").write_text(tokenizer)
        path = again / "child.toml"
        path.write_text(RECIPE.format(parent=parent, grow=grow))
        return path

    return write


@pytest.fixture
def known(again):
    return checkpoint.load_tokenizer(again / BASE)


def planned(recipe):
    return plan_of(recipe, ()).stage("child")


def rows(path):
    return checkpoint.load_weights(path)["embedding.weight"]


@pytest.mark.parametrize("how", ["pieces", "mean"])
def test_a_new_token_begins_as_the_mean_of_its_pieces_or_of_all(
    *, growlm, again, known, recipe_of, how
):
    recipe = recipe_of(merged(known), f'layers = 2, depth = "insert", new_tokens = "{how}"')
    run = again / "child"
    done = growlm("train", recipe, "--out", run, "--stage", "child")
    assert done.returncode == 0, done.stderr
    old, new = rows(again / BASE), rows(run / "stages/child/grown")
    assert torch.equal(new[:ROWS], old[:ROWS])
    plan = planned(recipe).origin.plan
    assert plan is not None
    pieces = plan.new_tokens
    assert [len(each) for each in pieces] == ([2, 2] if how == "pieces" else [0, 0])
    for row, each in zip(new[ROWS:], pieces, strict=False):
        wanted = old[list(each)].mean(0) if each else old[:ROWS].double().mean(0).float()
        torch.testing.assert_close(row, wanted, rtol=1e-6, atol=1e-7)

    meta = checkpoint.read_meta(run / "stages/child/training/final")
    assert meta.gpt_config().vocab_size == ROWS + 2
    assert checkpoint.load_tokenizer(run / "stages/child/training/final") == merged(known)
    assert meta.certificate is not None
    assert meta.certificate["sizes"]["vocab_size"] == [ROWS, ROWS + 2]


def test_the_texts_of_the_run_are_read_in_the_new_tokens(growlm, again, known, recipe_of):
    done = growlm("prepare", recipe_of(merged(known)), "--out", again / "child")
    assert done.returncode == 0, done.stderr
    facts = [
        json.loads((again / run / "corpus/tales/facts.json").read_text())
        for run in ("run", "child")
    ]
    assert facts[1]["train_bytes"] == facts[0]["train_bytes"]
    assert facts[1]["train_tokens"] < facts[0]["train_tokens"]


def test_special_tokens_get_rows_too(known, recipe_of):
    stage = planned(recipe_of(with_tokens(known, ["<|user|>", "<|tool|>"])))
    assert stage.config.vocab_size == ROWS + 2
    assert stage.origin.plan is not None
    text = parsed(known).decode([*stage.origin.plan.new_tokens[0]], skip_special_tokens=False)
    assert text == "<|user|>"


def test_the_parents_own_tokenizer_adds_nothing(known, recipe_of):
    stage = planned(recipe_of(known, "layers = 2"))
    assert stage.config.vocab_size == ROWS
    with pytest.raises(
        RecipeError, match=r"a growth that changes a size.*got neither\. Try layers"
    ):
        planned(recipe_of(known))


def test_a_tokenizer_that_moves_tokens_is_refused_with_the_first_of_them(growlm, known, recipe_of):
    values = json.loads(known)
    vocab = values["model"]["vocab"]
    vocab["!"], vocab['"'] = vocab['"'], vocab["!"]
    done = growlm("check", recipe_of(json.dumps(values)))
    assert done.returncode == 2
    assert done.stderr == (
        "growlm: stage.child: expected the parent's tokenizer, of 300 tokens, or a file with more "
        "behind them; got another: '!', id 2 instead of id 1. Try tokenizer.file = "
        f'"{BASE}/tokenizer.json".\n'
    )


@pytest.fixture
def roomy(again):
    """Return the place of a parent with three rows more than its tokenizer has ids."""
    path, place = again / BASE, "roomy/final"
    meta = checkpoint.read_meta(path)
    checkpoint.save(
        again / place,
        Contents(
            config=replace(meta.gpt_config(), vocab_size=ROWS + 3),
            stage=meta.stage,
            step=meta.step,
            lineage=meta.lineage,
            data=meta.data,
            training=meta.training,
            end_of_text=meta.end_of_text,
            tokenizer=checkpoint.load_tokenizer(path),
            certificate=None,
            weights=checkpoint.load_weights(path),
            optimizer=checkpoint.load_optimizer(path),
            random={},
        ),
    )
    return place


@pytest.mark.parametrize(("tokens", "spare", "size"), [(2, 2, 303), (3, 3, 303), (5, 3, 305)])
def test_rows_to_spare_are_taken_first_and_as_they_are(
    known, recipe_of, roomy, *, tokens, spare, size
):
    more = with_tokens(known, [f"<|{number}|>" for number in range(tokens)])
    recipe = recipe_of(more, "layers = 2", roomy)
    stage = planned(recipe)
    assert stage.config.vocab_size == size
    assert stage.origin.plan is not None
    assert len(stage.origin.plan.new_tokens) == tokens - spare
    *_, caution = cautions(plan_of(recipe, ()), stage)
    assert f"stage 'child': its tokenizer's first {spare} new ids take rows that" in caution


def test_a_child_in_rows_to_spare_is_trained(*, growlm, again, known, recipe_of, roomy):
    recipe = recipe_of(merged(known), 'layers = 2, depth = "insert"', roomy)
    run = again / "child"
    done = growlm("train", recipe, "--out", run, "--stage", "child")
    assert done.returncode == 0, done.stderr
    meta = checkpoint.read_meta(run / "stages/child/training/final")
    assert meta.gpt_config().vocab_size == ROWS + 3
    assert checkpoint.load_tokenizer(run / "stages/child/training/final") == merged(known)
    assert torch.equal(rows(run / "stages/child/grown"), rows(again / roomy))


def test_losses_in_other_tokens_are_not_compared_to_resume_a_schedule(growlm, known, recipe_of):
    recipe = recipe_of(merged(known), "layers = 2")
    words = ("--set", 'stage.child.schedule={kind = "resume", warmup_steps = 0}')
    done = growlm("check", recipe, *words)
    assert done.returncode == 2
    assert "expected the parent's tokens in a growth that is not exact" in done.stderr
