"""``[duplicates]`` in a recipe: copies are left out of shards, held-out texts and tokenizer."""

import json

import pytest


@pytest.fixture
def with_copies(recipe, edit):
    """Return a recipe whose notes hold twenty of its tales, one of them in other words."""
    tales = (recipe.parent / "data/tales.jsonl").read_text().splitlines()
    for number, line in enumerate(tales[:20]):
        text = json.loads(line)["text"]
        path = recipe.parent / f"data/notes/copy{number:02}.txt"
        path.write_text(text.upper() if number else f"And {text}")
    edit(recipe, "[mixture]", "[duplicates]\nworkers = 1\n\n[mixture]")
    return recipe


def facts(run, source):
    return json.loads((run / f"corpus/{source}/facts.json").read_text())


def test_copies_are_left_out_and_counted_everywhere(growlm, with_copies):
    run = with_copies.parent / "run"
    done = growlm("prepare", with_copies, "--out", run)
    assert done.returncode == 0, done.stderr
    assert "of 200 documents, 19 the same and 1 nearly the same as another" in done.stderr
    notes, tales = facts(run, "notes"), facts(run, "tales")
    assert (notes["duplicates"], tales["duplicates"]) == (20, 0)
    assert notes["train_documents"] + notes["heldout_documents"] == 60
    report = json.loads((run / "corpus/duplicates/report.json").read_text())
    assert report["dropped"]["notes"] == {"kept": 60, "exact": 19, "near": 1, "book": 0}
    found = json.loads(growlm("check", with_copies, "--out", run, "--json").stdout)
    assert [source["left_out"] for source in found["sources"]] == [0, 20]
    assert "20 documents" in growlm("check", with_copies, "--out", run).stdout


def test_a_second_run_skips_and_another_order_keeps_the_others(growlm, with_copies, setting):
    run = with_copies.parent / "run"
    words = ("prepare", with_copies, "--out", run)
    assert growlm(*words).returncode == 0
    before = (run / "corpus/duplicates/report.json").stat().st_mtime_ns
    assert growlm(*words).returncode == 0
    assert (run / "corpus/duplicates/report.json").stat().st_mtime_ns == before
    done = growlm(*words, *setting('duplicates.order=["notes"]'))
    assert done.returncode == 0, done.stderr
    assert (facts(run, "notes")["duplicates"], facts(run, "tales")["duplicates"]) == (0, 20)


def test_the_number_of_workers_is_no_reason_to_search_again(growlm, with_copies, setting):
    run = with_copies.parent / "run"
    assert growlm("prepare", with_copies, "--out", run).returncode == 0
    before = (run / "corpus/duplicates/report.json").stat().st_mtime_ns
    again = growlm("prepare", with_copies, "--out", run, *setting("duplicates.workers=2"))
    assert again.returncode == 0
    assert (run / "corpus/duplicates/report.json").stat().st_mtime_ns == before


def test_a_source_of_copies_alone_is_refused(refusal, with_copies):
    for path in (with_copies.parent / "data/notes").iterdir():
        if not path.name.startswith("copy"):
            path.unlink()
    line = refusal("prepare", with_copies, "--out", with_copies.parent / "run", "--quiet")
    assert "source 'notes' to hold text; got 20 that stand elsewhere." in line
