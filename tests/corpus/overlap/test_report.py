import json
from collections import Counter
from dataclasses import asdict, replace

import pytest

from growlm.corpus.documents import Problem
from growlm.corpus.overlap import canary
from growlm.corpus.overlap.canary import Planted
from growlm.corpus.overlap.index import build
from growlm.corpus.overlap.report import Scanned, as_json, as_page, report
from growlm.corpus.overlap.scan import scan

LOST = Problem(kind="bad_json", path="web.jsonl", row=41, said="no JSON | at all")


@pytest.fixture(scope="module", autouse=True)
def _few_canaries(few_canaries):
    """A report says how many were found, whatever their number."""


@pytest.fixture(scope="module")
def made(benchmark_of, prose):
    """A benchmark of three rows; the first is whole in one source, the second half in both."""
    rows = [(prose(1), "golden lantern"), prose(2), prose(3)]
    half = " ".join(prose(2).split()[:30])
    pages = {
        "books": [f"{prose(50)}\n{prose(1)} golden lantern", f"{half} {prose(51)}"],
        "web": [prose(60), f"{prose(61)} {half}"],
    }
    index = build([benchmark_of(*rows, name="quiz"), canary.benchmark()])
    sources = []
    for name, texts in pages.items():
        tally: Counter[str] = Counter()
        documents = [Planted(name=f"{name}/{n}", text=text) for n, text in enumerate(texts)]
        found = tuple(scan(index, documents, rules="fast", tally=tally))
        sources.append(
            Scanned(
                name=name,
                documents=tally["documents"],
                characters=tally["characters"],
                found=found,
                problems={"bad_json": 2} if name == "web" else {},
                places=(LOST,) if name == "web" else (),
            )
        )
    canaries = canary.check(index, [Planted(name="x", text=prose(90))], rules="fast")
    return report(index, sources, canaries, rules="fast", version="1.2", clusters={})


def test_every_hit_stands_with_row_score_document_span_and_answer(made):
    values = json.loads(json.dumps(as_json(made)))
    books, web = values["overlaps"]
    assert [(hit["index"], hit["label"]) for hit in books["hits"]] == [(0, "dirty"), (1, "partial")]
    assert [(hit["index"], hit["label"]) for hit in web["hits"]] == [(1, "partial")]
    first = books["hits"][0]
    (place,) = first["places"]
    assert (first["score"], first["longest"], first["answer_covered"]) == (1.0, 1.0, True)
    assert place["document"] == "books/0"
    assert web["hits"][0]["answer_covered"] is None


def test_what_was_read_and_looked_for_is_counted(made):
    values = as_json(made)
    assert [each["documents"] for each in values["sources"]] == [2, 2]
    assert [each["documents_with_hits"] for each in values["sources"]] == [2, 1]
    (quiz,) = values["benchmarks"]
    assert (quiz["name"], quiz["examples"], quiz["hot_windows"]) == ("quiz", 3, 0)
    assert values["overlaps"][0]["labels"]["clean"] == 1
    assert values["overlaps"][0]["hits_by_score"] == {"0.0": 0, "0.2": 0, "0.5": 1, "0.8": 1}
    assert values["canaries"]["overall"] == 1.0
    assert values["settings"]["rules"] == "fast"


def test_what_was_lost_is_counted_and_placed(made):
    books, web = as_json(made)["sources"]
    assert (books["problems"], books["places"]) == ({}, [])
    assert web["problems"] == {"bad_json": 2}
    assert web["places"] == [asdict(LOST)]
    lines = as_page(made).splitlines()
    assert "| web | bad_json | 2 | web.jsonl, row 41 |" in lines
    assert "## Lost or spoilt" in lines
    whole = replace(made, sources=made.sources[:1])
    assert "Lost or spoilt" not in as_page(whole)


def test_the_rules_stand_beside_the_scores(made):
    rules = as_json(made)["overlaps"][0]["rules"]
    assert rules["gpt3"] == {"counted": 3, "flagged": 2, "rows": [0, 1]}
    assert rules["tulu3"]["contaminated"] is True


def test_the_page_says_the_same_for_reading(made):
    page = as_page(made)
    assert "| quiz | books | 1 | 1 | 1 | 1 | - |" in page
    assert "| quiz | books | 2 of 3 |" in page
    assert "## quiz in web\n" in page
    assert "| 0 | 1.00 | 1.00 | yes | books/0, " in page
    assert "these are lower bounds" in page
    assert page.endswith("## Common phrases left out\n\nNone.\n")
