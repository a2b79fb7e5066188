"""``shards`` of a source: what another run packed is fetched, checked, and known beforehand."""

import json
import shutil
from pathlib import Path

import pytest

from growlm.corpus.manifest import Manifest

TALES, NOTES = 'files = ["data/tales.jsonl"]', 'files = ["data/notes"]'


@pytest.fixture(scope="module")
def theirs(tmp_path_factory, write_searched, growlm):
    """Return the folder of a recipe whose run has prepared its sources, searched ones."""
    folder = tmp_path_factory.mktemp("theirs")
    recipe = write_searched(folder)
    done = growlm("prepare", recipe, "--out", folder / "run")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def ours(recipe, theirs, edit):
    """Return a recipe that takes its tales from them, and reads its notes; with its run's words."""
    place = theirs / "run/corpus"
    edit(recipe, "vocab_size = 300", f'file = "{place}/tokenizer.json"')
    edit(recipe, TALES, f'shards = "{place}/tales"')
    return recipe


def manifests(run, source):
    return [Manifest.read(run / "corpus" / source / half) for half in ("train", "validation")]


def table(growlm, recipe):
    done = growlm("check", recipe, "--out", recipe.parent / "run", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_check_knows_the_tokens_of_shards_that_it_does_not_fetch(growlm, ours, theirs, edit):
    shutil.copytree(theirs / "run/corpus/tales", ours.parent / "tales")
    for path in (ours.parent / "tales").rglob("0*"):
        path.unlink()
    edit(ours, str(theirs / "run/corpus/tales"), "tales")
    train, _ = manifests(theirs / "run", "tales")
    rows = table(growlm, ours)["sources"]
    assert (rows[0]["tokens"], rows[0]["known"]) == (train.n_tok, "packed")
    assert rows[1]["known"] == "estimated"
    assert not (ours.parent / "run").exists()


def test_shards_are_fetched_once_and_are_then_the_same_source(growlm, ours, theirs, contents):
    run = ours.parent / "run"
    done = growlm("prepare", ours, "--out", run)
    assert done.returncode == 0, done.stderr
    assert manifests(run, "tales") == manifests(theirs / "run", "tales")
    found, packed = contents(run / "corpus/tales"), contents(theirs / "run/corpus/tales")
    assert {path for path in packed if found[path] != packed[path]} == set()
    again = growlm("prepare", ours, "--out", run)
    assert again.stderr.count("skipped") == 3
    assert table(growlm, ours)["sources"][0]["known"] == "packed"


def test_shards_that_were_packed_anew_are_fetched_anew(growlm, ours, theirs, edit):
    run, copy = ours.parent / "run", ours.parent / "tales"
    shutil.copytree(theirs / "run/corpus/tales", copy)
    edit(ours, str(theirs / "run/corpus/tales"), "tales")
    assert growlm("prepare", ours, "--out", run).returncode == 0
    shutil.rmtree(copy)
    shutil.copytree(theirs / "run/corpus/notes", copy)
    assert growlm("prepare", ours, "--out", run).returncode == 0
    assert manifests(run, "tales") == manifests(theirs / "run", "notes")
    assert json.loads((run / "corpus/tales/facts.json").read_text())["source"] == "tales"


def test_shards_at_an_address_are_a_source(growlm, ours, theirs, edit):
    store = pytest.importorskip("fsspec").filesystem("memory")
    place = theirs / "run/corpus/tales"
    for path in place.rglob("*.*"):
        store.pipe_file(f"/box/{path.relative_to(place)}", path.read_bytes())
    edit(ours, str(place), "memory://box")
    done = growlm("prepare", ours, "--out", ours.parent / "run")
    store.store.clear()
    assert done.returncode == 0, done.stderr
    assert manifests(ours.parent / "run", "tales") == manifests(theirs / "run", "tales")


def test_shards_of_another_tokenizer_are_refused_with_both_digests(refusal, ours, theirs):
    other = ours.parent / "tokenizer.json"
    content = (theirs / "run/corpus/tokenizer.json").read_text()
    other.write_text(content + "\n")
    for command in ("check", "prepare"):
        choice = ("--set", 'tokenizer.file="tokenizer.json"')
        line = refusal(command, ours, "--out", ours.parent / "run", *choice, "--quiet")
        train, _ = manifests(theirs / "run", "tales")
        assert f"got those of another tokenizer, {train.tokenizer.sha256}, at " in line
        assert f"shards of source 'tales' by {other}, SHA-256 " in line
    assert not (ours.parent / "run").exists()


def test_shards_whose_documents_end_otherwise_are_refused(refusal, ours):
    token = json.loads(Path(_tokenizer(ours)).read_text())["model"]["vocab"]
    letter = next(word for word in token if word.isalpha())
    line = refusal("check", ours, "--set", f'tokenizer.end_of_text="{letter}"')
    assert f"whose documents end in id {token[letter]}; got id 0" in line


def _tokenizer(recipe):
    return next(
        line.split('"')[1] for line in recipe.read_text().splitlines() if "tokenizer.json" in line
    )


def test_a_run_takes_nothing_from_its_own_corpus(*, refusal, ours, theirs, contents, edit):
    run = theirs / "run"
    before = contents(run / "corpus")
    line = refusal("prepare", ours, "--out", run, "--quiet")
    assert "source 'tales' to come from elsewhere than the run's own corpus; got /" in line
    edit(ours, f'shards = "{run}/corpus/tales"', TALES)
    line = refusal("prepare", ours, "--out", run, "--quiet")
    assert "tokenizer.file to come from elsewhere than the run's own corpus; got /" in line
    assert contents(run / "corpus") == before


def test_where_they_were_searched_is_known_and_where_not_is_said(growlm, ours, theirs, edit):
    run, place = ours.parent / "run", theirs / "run/corpus"
    assert growlm("prepare", ours, "--out", run).returncode == 0
    (row, *_) = table(growlm, ours)["exposures"]
    assert (row["benchmark"], row["lineage"]) == ("lambada", "partial")

    edit(ours, NOTES, f'shards = "{place}/notes"')
    assert growlm("prepare", ours, "--out", run).returncode == 0
    found, packed = table(growlm, ours), table(growlm, theirs / "tiny.toml")
    assert {each["lineage"] for each in found["exposures"]} == {"known"}
    assert found["exposures"] == packed["exposures"]
    assert found["notices"] == packed["notices"]


def test_what_was_not_looked_for_in_them_is_said(growlm, ours, theirs, edit):
    against = '[overlap]\nagainst = [{ name = "quiz", file = "data/quiz.jsonl" }]'
    edit(ours, "[mixture]", f"{against}\n\n[duplicates]\n\n[mixture]")
    shutil.copy(theirs / "data/lambada.jsonl", ours.parent / "data/quiz.jsonl")
    assert table(growlm, ours)["notices"][-2:] == [
        "source 'tales' comes as shards: [duplicates] does not look for its texts in the other "
        "sources",
        "source 'tales' comes as shards that nobody searched for quiz: what of it stands in them "
        "is not known",
    ]
