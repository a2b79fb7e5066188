"""``growlm log``: the page of a whole run, and of one that has only begun."""

import json
import re
import shutil

import pytest

from growlm.report.page import FILES


@pytest.fixture(scope="module")
def page(finished):
    return (finished / "run/log.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def text(finished):
    return (finished / "run/log.md").read_text(encoding="utf-8")


def test_the_page_fetches_nothing(page):
    head, _, _ = page.partition("<script")
    assert "default-src 'none'" in head
    tags = re.findall(r"<(?!a\b)[a-z]+[^>]*\b(?:src|href|srcset|data|poster|action)=[^>]*>", head)
    assert tags[0] == '<link rel="icon" href="data:,">'
    assert all('src="data:image/svg+xml;base64,' in tag for tag in tags[1:])
    assert not re.search(r"<script[^>]*\bsrc\s*=", page)
    assert "@import" not in head
    assert not re.search(r"url\(\s*['\"]?(?!data:)", head)


def test_the_page_and_the_text_name_every_stage(page, text):
    for stage in ("base", "grown", "scratch"):
        assert f"`{stage}`" in text
        assert f'data-stage="{stage}"' in page


def test_the_ledger_has_both_conventions(text):
    _, _, rest = text.partition("\n## Ledger")
    ledger, _, _ = rest.partition("\n## ")
    assert re.search(r"parents? charged", ledger, re.IGNORECASE)
    assert re.search(r"parents? free", ledger, re.IGNORECASE)
    assert "`scratch`" in ledger


def test_the_log_shows_the_certificate_and_each_context(text, finished):
    results = json.loads((finished / "run/results.json").read_text())
    certificate = next(stage["certificate"] for stage in results["stages"] if stage["certificate"])
    assert certificate["child_sha256"][:12] in text
    assert "interleave" in text
    for context in (32, 64, 128):
        assert re.search(rf"\b{context}\b", text)


def test_the_picture_is_a_png(finished):
    assert (finished / "run/curves.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_the_log_is_written_again_when_one_of_its_files_is_gone(growlm, again, monkeypatch):
    monkeypatch.setattr("growlm.report.page.png", lambda *_, **__: b"png")
    monkeypatch.setattr("growlm.report.page.html", lambda *_, **__: "<html></html>")
    (again / "run/curves.png").unlink()
    told = growlm("log", again / "run")
    assert told.returncode == 0
    assert told.stderr.splitlines()[0] == "log …"
    assert all(str(again / "run" / name) in told.stderr for name in FILES)
    assert (again / "run/curves.png").read_bytes() == b"png"
    assert (
        growlm("log", again / "run").stderr == "log: skipped, nothing it depends on has changed\n"
    )


def test_a_run_that_has_only_begun_has_its_log_too(growlm, recipe, monkeypatch):
    monkeypatch.setattr("growlm.report.page.png", lambda *_, **__: b"png")
    monkeypatch.setattr("growlm.report.page.html", lambda *_, **__: "<html></html>")
    run = recipe.parent / "run"
    assert growlm("prepare", recipe, "--out", run).returncode == 0
    assert growlm("log", run, "--quiet").returncode == 0
    assert "(not begun)" in (run / "log.md").read_text(encoding="utf-8")
    assert growlm("train", recipe, "--out", run, "--stage", "base", "--quiet").returncode == 0
    assert growlm("log", run, "--quiet").returncode == 0
    text = (run / "log.md").read_text(encoding="utf-8")
    assert "`base`" in text
    assert "(not begun)" in text


def test_a_log_needs_no_texts_once_they_are_packed(growlm, again):
    shutil.rmtree(again / "data")
    told = growlm("log", again / "run", "--json")
    assert json.loads(told.stdout) == {"event": "skipped", "step": "log"}


@pytest.fixture
def quick(monkeypatch):
    """Leave out of pages what takes seconds to make."""
    monkeypatch.setattr("growlm.report.markup.bundle", lambda: "bundle()")
    monkeypatch.setattr("growlm.report.figures.still", lambda _: "<svg/>")
    monkeypatch.setattr("growlm.report.page.png", lambda *_, **__: b"png")


@pytest.mark.usefixtures("quick")
def test_several_runs_are_overlaid_in_a_folder_of_their_own(growlm, again, finished, tmp_path):
    out = tmp_path / "together"
    told = growlm("log", finished / "run", again / "run", "--out", out, "--json")
    assert (told.returncode, told.stderr) == (0, "")
    assert json.loads(told.stdout) == {"written": [str(out / name) for name in FILES]}
    text = (out / "log.md").read_text(encoding="utf-8")
    assert "`tiny, seed 1, 2: grown`" in text


def test_a_page_of_several_runs_needs_a_place_of_its_own(refusal, finished, again, tmp_path):
    run, other, out = finished / "run", again / "run", tmp_path / "x"
    assert "got 2 runs without --out" in refusal("log", run, other, code=2)
    assert "got 1 run with --out" in refusal("log", run, "--out", out, code=2)
    assert "twice" in refusal("log", run, run, "--out", out, code=2)
    for inside in (other, other / "page"):
        assert "that is no run's" in refusal("log", run, other, "--out", inside, code=2)


def test_a_recipes_baselines_stand_in_its_results(growlm, recipe, edit, monkeypatch):
    monkeypatch.setattr("growlm.report.page.png", lambda *_, **__: b"png")
    monkeypatch.setattr("growlm.report.page.html", lambda *_, **__: "<html></html>")
    section = (
        '[[baseline]]\nname = "Pythia"\nsource = "a page"\nscores = { piqa = { acc = 0.6 } }\n\n'
    )
    edit(recipe, "[log]", section + "[log]")
    run = recipe.parent / "run"
    assert growlm("prepare", recipe, "--out", run, "--quiet").returncode == 0
    assert growlm("log", run, "--quiet").returncode == 0
    (found,) = json.loads((run / "results.json").read_text())["baselines"]
    assert (found["name"], found["scores"]) == ("Pythia", {"piqa": {"acc": 0.6}})
