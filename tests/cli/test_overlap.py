"""The overlap command: what it finds and writes, and one line for what it cannot read."""

import gzip
import json

import pytest

PASSAGE = (
    "The lantern over the harbor wall went out twice before midnight, and each time the old "
    "keeper climbed the ninety steps, lit it again, and came down without a word to the"
)
OTHER = (
    "A basket of green apples stood on the scale while the clerk argued with himself about "
    "the price of sugar, the weather, and the last election but one, which he had lost"
)


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    """A folder with two sources and a benchmark in LAMBADA's form, which is where we are."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "books").mkdir()
    (tmp_path / "books/one.txt").write_text(f"Chapter 1\n\n{PASSAGE.upper()} BOATS.\n\nThe end.\n")
    (tmp_path / "books/two.txt").write_text("Nothing to see here.\nMove along.\n")
    lines = [{"text": "short"}, {"text": f"and so {OTHER[:80]}"}]
    (tmp_path / "web.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    rows = [{"text": f"{OTHER} twice"}, {"text": f"{PASSAGE} boats"}]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "lambada.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    return tmp_path


WORDS = ("--source", "books=books", "--source", "web=*.jsonl", "--against", "lambada.jsonl.gz")


def test_it_writes_what_stands_where(growlm, corpus):
    done = growlm("overlap", *WORDS, "--out", "out")
    assert done.returncode == 0, done.stderr
    found = json.loads((corpus / "out/overlap.json").read_text(encoding="utf-8"))
    books, web = found["overlaps"]
    (hit,) = books["hits"]
    assert (hit["index"], hit["label"], hit["score"], hit["answer_covered"]) == (
        1,
        "dirty",
        1.0,
        True,
    )
    (place,) = hit["places"]
    ((first, last),) = place["characters"]
    text = (corpus / "books/one.txt").read_text(encoding="utf-8")
    assert place["document"] == "books/one.txt"
    assert text[first:last] == f"{PASSAGE.upper()} BOATS."
    assert [(hit["index"], hit["label"]) for hit in web["hits"]] == [(0, "partial")]
    assert web["hits"][0]["places"][0]["document"] == "web.jsonl:2"
    assert found["benchmarks"][0]["fields"] == {"text": "text", "answer": "@last-word"}
    assert "## lambada in books" in (corpus / "out/overlap.md").read_text(encoding="utf-8")


@pytest.mark.usefixtures("corpus")
def test_it_tells_how_it_goes_and_what_came_of_it(growlm):
    done = growlm("overlap", *WORDS, "--out", "out")
    assert "overlap:books: 2 documents, " in done.stderr
    assert "4 documents scanned, 2 examples hit, 100% of the canaries found: out/overlap.md" in (
        done.stderr
    )
    assert any(line.split()[:5] == ["lambada", "books", "1", "0", "1"] for line in rows(done))
    assert growlm("overlap", *WORDS, "--out", "out", "--quiet").stdout == ""


def rows(done):
    return [line for line in done.stdout.splitlines() if line.split()]


@pytest.mark.usefixtures("corpus")
def test_it_speaks_json(growlm):
    done = growlm("overlap", *WORDS, "--out", "out", "--json", "--rules", "exact")
    last = json.loads(done.stdout.splitlines()[-1])
    assert [each["labels"]["clean"] for each in last["overlaps"]] == [1, 1]
    assert any('"event": "progress"' in line for line in done.stdout.splitlines())


def test_two_scans_of_the_same_write_the_same(growlm, corpus, contents):
    for place in ("one", "two"):
        assert growlm("overlap", *WORDS, "--out", place).returncode == 0
    assert contents(corpus / "one") == contents(corpus / "two")


def test_fields_can_be_named(growlm, corpus):
    row = {"q": PASSAGE, "options": ["ships", "boats"], "right": 1}
    (corpus / "quiz.jsonl").write_text(json.dumps(row))
    fields = "trivia:text=q,answer=options[right]"
    words = ("--source", "books=books/*.txt", "--against", "trivia=quiz.jsonl")
    assert growlm("overlap", *words, "--fields", fields, "--out", "out").returncode == 0
    found = json.loads((corpus / "out/overlap.json").read_text(encoding="utf-8"))
    (hit,) = found["overlaps"][0]["hits"]
    assert (found["overlaps"][0]["benchmark"], hit["answer_covered"]) == ("trivia", True)


def changed(old, *new):
    at = WORDS.index(old)
    return (*WORDS[:at], *new, *WORDS[at + 1 :])


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (changed("books=books", "books"), 2, "got 'books'. Try web=data/*.txt."),
        (changed("books=books", "Books=books"), 2, "got 'Books=books'."),
        (changed("books=books", "books=none"), 1, "got 'none', which matches none in"),
        (changed("lambada.jsonl.gz", "none.jsonl"), 1, "expected a file that is there; got"),
        (changed("lambada.jsonl.gz", "books"), 1, "expected a file; got 'Is a directory'"),
        (changed("lambada.jsonl.gz", "books/two.txt"), 1, "two.txt line 1 to be JSON; got"),
        ((*WORDS, "--against", "lambada=web.jsonl"), 2, "got 'lambada'. Try NAME=FILE."),
        ((*WORDS, "--against", "__canary__=web.jsonl"), 2, "got '__canary__'."),
        ((*WORDS, "--fields", "text=q"), 2, "expected --fields NAME:text=FIELD,answer=FIELD;"),
        ((*WORDS, "--fields", "mine:text=q"), 2, "expected --fields of a benchmark named by"),
        ((*WORDS, "--fields", "lambada:txt=q"), 2, "got 'txt=q'. Try text=FIELD."),
        ((*WORDS, "--fields", "lambada:text=txt"), 1, "got the fields text. Try text."),
        ((*WORDS, "--rules", "slow"), 2, "invalid choice: 'slow'"),
        ((*WORDS, "--text-field", "body"), 1, "expected a field 'body' in web.jsonl line 1;"),
    ],
    ids=lambda value: " ".join(value[-3:]) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_read_is_one_line(refusal, corpus, words, code, line):  # noqa: PLR0917
    assert line in refusal("overlap", *words, "--out", "out", "--quiet", code=code)
    assert not (corpus / "out").exists()


def test_a_source_of_empty_files_is_refused(refusal, corpus):
    (corpus / "empty.txt").write_text("\n")
    line = refusal("overlap", *changed("books=books", "books=empty.txt"), "--out", "out", "--quiet")
    assert line == "expected source 'books' to hold text; got empty documents. Try other files."
    assert not (corpus / "out").exists()


def test_a_scan_that_misses_its_canaries_writes_nothing(refusal, corpus, monkeypatch):
    monkeypatch.setattr(
        "growlm.corpus.overlap.scan.joined_alnum", lambda texts: b"".join(b"\x01" for _ in texts)
    )
    line = refusal("overlap", *WORDS, "--out", "out", "--quiet", code=5)
    assert "planted overlaps found, of every kind; got 0% in all" in line
    assert not (corpus / "out").exists()


@pytest.mark.usefixtures("corpus")
def test_a_scan_that_skips_documents_writes_nothing(refusal, monkeypatch):
    monkeypatch.setattr("growlm.pipeline.overlapping.scan", lambda *_, **__: iter(()))
    line = refusal("overlap", *WORDS, "--out", "out", "--quiet", code=5)
    assert line.startswith("expected all 2 documents of source 'books' scanned; got 0.")
