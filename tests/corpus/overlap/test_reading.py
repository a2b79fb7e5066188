import json
from collections import Counter

import pytest

from growlm.base.errors import CorpusError, StorageError
from growlm.corpus.overlap import canary
from growlm.corpus.overlap.canary import Planted
from growlm.corpus.overlap.index import build
from growlm.corpus.overlap.reading import Contact, read_report
from growlm.corpus.overlap.report import Scanned, as_json, report
from growlm.corpus.overlap.scan import scan


def scanned(index, name, texts):
    tally: Counter[str] = Counter()
    documents = [Planted(name=f"{name}/{n}", text=text) for n, text in enumerate(texts)]
    found = tuple(scan(index, documents, rules="fast", tally=tally))
    return Scanned(
        name=name,
        documents=tally["documents"],
        characters=tally["characters"],
        found=found,
        problems={},
        places=(),
    )


@pytest.fixture(scope="module", autouse=True)
def _few_canaries(few_canaries):
    """A report says how many were found, whatever their number."""


@pytest.fixture(scope="module")
def content(benchmark_of, prose):
    """Six rows: whole in books, half of it in the web, nowhere, and three short ones."""
    rows = [(prose(1), "golden lantern"), prose(2), prose(3), "open the jar now"]
    rows += ["shut the jar now", "ok"]
    half = " ".join(prose(2).split()[:30])
    index = build([benchmark_of(*rows, name="quiz"), canary.benchmark()])
    sources = [
        scanned(index, "books", [f"{prose(50)}\n{prose(1)} golden lantern {prose(51)}"]),
        scanned(index, "web", [f"{prose(61)} {half}", prose(1), "Open the jar now!"]),
    ]
    canaries = canary.check(index, [Planted(name="x", text=prose(90))], rules="fast")
    return as_json(report(index, sources, canaries, rules="fast", version="1", clusters={}))


@pytest.fixture
def written(tmp_path, content):
    """Return a function: changes of the content -> its path."""

    def write(**changes):
        path = tmp_path / "overlap.json"
        path.write_text(json.dumps({**content, **changes}))
        return path

    return write


def test_every_example_has_the_gravest_label_and_the_highest_score_of_all_sources(written):
    found = read_report(written()).contacts("quiz")
    labels = [found[index].label for index in range(6)]
    assert labels == ["dirty", "partial", "clean", "short_hit", "short_miss", "untestable"]
    assert found[0] == Contact(label="dirty", score=1.0, answered=True)
    assert found[2] == Contact(label="clean", score=0.0, answered=None)
    assert 0.2 <= found[1].score < 0.8


def test_only_the_sources_that_are_named_count(written):
    report = read_report(written())
    web = report.contacts("quiz", sources={"web", "elsewhere"})
    assert (web[0].label, web[0].answered) == ("dirty", False)
    assert web[0].score == pytest.approx(report.overlaps[1].hits[0].score)
    books = report.contacts("quiz", sources={"books"})
    assert [books[index].label for index in (0, 1, 3)] == ["dirty", "clean", "short_miss"]
    nothing = report.contacts("quiz", sources=())
    assert {each.label for each in nothing.values()} == {"clean"}


def test_labels_count_what_the_rows_name(written):
    for overlap in read_report(written()).overlaps:
        named = {label: len(rows) for label, rows in overlap.rows.items()}
        assert named == {key: n for key, n in overlap.labels.items() if key != "clean"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": 1}, "an overlap report of format 2; got format 1. Try growlm overlap"),
        ({"format": None}, "an overlap report of format 2; got no format"),
        ({"later": 1}, "of format 2; got later: Extra inputs are not permitted"),
        ({"benchmarks": []}, "row 5 of 0 of quiz"),
    ],
)
def test_another_format_and_unknown_keys_are_refused_by_name(written, changes, words):
    with pytest.raises(CorpusError, match=words):
        read_report(written(**changes))


def test_a_list_and_no_json_are_refused(tmp_path):
    path = tmp_path / "overlap.json"
    path.write_text("[]")
    with pytest.raises(CorpusError, match="got no format"):
        read_report(path)
    path.write_text("{")
    with pytest.raises(StorageError, match=r"overlap\.json to be JSON"):
        read_report(path)


def test_a_benchmark_that_was_not_looked_for_is_refused(written):
    with pytest.raises(CorpusError, match=r"that was looked for; got 'quizz'\. Try quiz"):
        read_report(written()).contacts("quizz")
