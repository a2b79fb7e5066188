"""Sources and shards that cannot be used: refused by name, and nothing half-written."""

import json
import os
import shutil

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from growlm.corpus.manifest import Manifest, describe


def test_a_source_of_empty_files_is_refused(refusal, recipe):
    (recipe.parent / "data/tales.jsonl").write_text("")
    assert refusal("run", recipe, "--out", recipe.parent / "run") == (
        "expected source 'tales' to hold text; got 1 empty files, data/tales.jsonl first. "
        "Try other files."
    )
    assert not (recipe.parent / "run").exists()


def test_a_source_of_which_cleaning_leaves_nothing_is_refused(refusal, recipe):
    for path in (recipe.parent / "data/notes").iterdir():
        path.write_text("\n\n")
    line = refusal("run", recipe, "--out", recipe.parent / "run", "--quiet")
    assert "expected source 'notes' to hold text; got 60 empty documents." in line
    names = sorted(path.name for path in (recipe.parent / "run/corpus").iterdir())
    assert names == ["tales", "tokenizer.json"]


@pytest.mark.parametrize("kind", ["missing", "an empty folder", "a dangling link"])
def test_a_source_that_is_not_there_is_refused(refusal, recipe, kind):
    path = recipe.parent / "data/tales.jsonl"
    path.unlink()
    if kind == "an empty folder":
        path.mkdir()
    if kind == "a dangling link":
        path.symlink_to("nowhere")
    line = refusal("run", recipe, "--out", recipe.parent / "run")
    assert "got 'data/tales.jsonl', which matches none in" in line
    assert line.endswith("Try another path, relative to the recipe.")
    assert not (recipe.parent / "run").exists()


def test_a_source_that_is_not_there_can_be_planned_by_its_declared_tokens(
    growlm, refusal, recipe, edit
):
    shutil.rmtree(recipe.parent / "data")
    assert "or declared_tokens, to plan without it." in refusal("check", recipe)
    edit(recipe, "weight = 1.0", 'weight = 1.0\ndeclared_tokens = "1M"')
    edit(recipe, "weight = 0.5", 'weight = 0.5\ndeclared_tokens = "1M"')
    assert growlm("check", recipe).returncode == 0


def test_a_file_of_another_kind_is_refused(refusal, recipe, edit):
    edit(recipe, "data/tales.jsonl", "tiny.toml")
    line = refusal("run", recipe, "--out", recipe.parent / "run")
    assert "expected a source's file to end in one of .txt, .md, .tex, .jsonl" in line


def test_a_line_that_is_no_json_is_refused_by_its_number(refusal, recipe):
    with (recipe.parent / "data/tales.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"text": \n')
    line = refusal("run", recipe, "--out", recipe.parent / "run", "--quiet")
    assert "data/tales.jsonl line 121 to be JSON; got " in line


def test_a_source_that_this_user_may_not_read_is_refused(refusal, shared_recipe, as_nobody):
    path = shared_recipe.parent / "data/tales.jsonl"
    path.chmod(0)
    with as_nobody():
        line = refusal("run", shared_recipe, "--out", shared_recipe.parent / "run")
    assert f"expected a source that can be read; got 'Permission denied' at {path}." in line


def test_a_source_too_small_for_the_tokenizer_is_refused(refusal, recipe, setting):
    words = ("prepare", recipe, "--out", recipe.parent / "run", "--quiet")
    line = refusal(*words, *setting("tokenizer.vocab_size=60000"))
    assert "sources with enough text for a tokenizer of 60,000 tokens; got enough for " in line
    assert list((recipe.parent / "run/corpus").iterdir()) == []
    size = line.split("tokenizer.vocab_size = ")[1].split(",")[0]
    assert "Try tokenizer.vocab_size = " in line
    assert int(size) < 60_000


LONG = [
    f"stage.{stage}.{key}=1024" for stage in ("grown", "scratch") for key in ("context", "batch")
]
"""Changes that make the contexts of the later stages long."""


@pytest.mark.parametrize(
    ("documents", "share", "words"),
    [
        (1, 0.2, "at least one held-out document of source 'notes'; got none of 1 with"),
        (6, 0.2, "source 'notes' to have at least two slots of 1024 tokens; got"),
        (60, 0.03, "held-out documents of 'notes' to fill one window of 1024 tokens; got"),
    ],
)
def test_a_source_too_small_for_a_later_stage_is_refused_before_training(
    refusal, recipe, setting, *, documents, share, words
):
    for path in sorted((recipe.parent / "data/notes").iterdir())[documents:]:
        path.unlink()
    changes = setting(
        *LONG, "stage.grown.tokens=6144", "validation.tokens=1024", f"validation.share={share}"
    )
    line = refusal("run", recipe, "--out", recipe.parent / "run", "--quiet", *changes)
    assert f"expected {words}" in line
    assert not (recipe.parent / "run/stages").exists()


def test_shards_that_another_tokenizer_wrote_are_refused(refusal, again):
    place = again / "run/corpus/notes/train"
    found = Manifest.read(place)
    other = found.tokenizer.model_copy(update={"sha256": "0" * 64})
    describe(found.shards, source="notes", tokenizer=other).write(place)
    shutil.rmtree(again / "run/stages")
    words = ("train", again / "tiny.toml", "--out", again / "run", "--stage", "base", "--quiet")
    corpus = again / "run/corpus"
    assert refusal(*words) == (
        f"expected shards in {corpus / 'notes'} that {corpus / 'tokenizer.json'} wrote; got those "
        f"of another tokenizer. Try removing {corpus / 'notes'}: the source is then packed again."
    )


@pytest.mark.parametrize("name", ["train/00000.bin", "validation/00000.idx"])
def test_shards_with_a_flipped_bit_are_refused_and_can_be_made_again(
    growlm, refusal, again, flip, *, name
):
    shutil.rmtree(again / "run/stages")
    place = again / "run/corpus/tales"
    flip(place / name)
    words = ("train", again / "tiny.toml", "--out", again / "run", "--stage", "base", "--quiet")
    line = refusal(*words)
    assert f"expected {place / name} as it was written; got " in line
    assert line.endswith(f"Try removing {place}: the source is then packed again.")
    shutil.rmtree(place)
    assert growlm(*words).returncode == 0


def test_a_brought_tokenizer_that_is_none_is_refused(refusal, recipe, edit):
    edit(recipe, "vocab_size = 300", 'file = "tokenizer.json"')
    line = refusal("check", recipe, code=2)
    assert "expected tokenizer.file to be there; got " in line
    (recipe.parent / "tokenizer.json").write_text('{"model": {}}')
    line = refusal("check", recipe, code=2)
    assert "expected tokenizer.file to be a tokenizer.json of Hugging Face tokenizers" in line
    (recipe.parent / "tokenizer.json").write_text("<html>")
    assert "tokenizer.json to be JSON; got " in refusal("check", recipe)


def test_a_brought_tokenizer_of_another_kind_has_as_many_ids_as_pieces(growlm, recipe, edit):
    pieces = ["<|endoftext|>", *sorted(pre_tokenizers.ByteLevel.alphabet()), "ing"]
    tokenizer = Tokenizer(models.Unigram([(piece, -1.0) for piece in pieces]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.add_special_tokens(["<|endoftext|>"])
    tokenizer.save(str(recipe.parent / "pieces.json"))
    edit(recipe, "vocab_size = 300", 'file = "pieces.json"')
    words = (recipe, "--out", recipe.parent / "run")
    assert json.loads(growlm("check", *words, "--json").stdout)["vocab_size"] == len(pieces) == 258
    done = growlm("prepare", *words)
    assert "prepare:tokenizer: 258 tokens (" in done.stderr


def test_too_few_passages_end_a_run_that_keeps_what_it_trained(refusal, recipe, setting):
    run = recipe.parent / "run"
    line = refusal("run", recipe, "--out", run, "--quiet", *setting("validation.share=0.02"))
    assert "expected at least 10 passages for the last-word task; got " in line
    assert (run / "stages/base/training/final/checkpoint.json").is_file()
    assert not (run / "stages/base/evaluation.json").exists()


def test_texts_are_not_looked_for_in_the_folder_the_command_runs_in(
    growlm, recipe, tmp_path_factory, monkeypatch
):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    words = ("prepare", os.path.relpath(recipe), "--quiet")
    assert growlm(*words).returncode == 0
    assert os.listdir("runs/tiny/corpus") != []  # noqa: PTH208 - a relative place
