import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from growlm.corpus import duplicates as module
from growlm.corpus.documents import documents
from growlm.corpus.duplicates import search, skipped
from growlm.corpus.engine import LocalEngine
from growlm.recipe.duplicates import Duplicates
from growlm.recipe.sections import Source


def prose(*key: int, words: int = 400) -> list[str]:
    return [f"w{n}" for n in np.random.default_rng(key).zipf(1.3, words) % 20_000]


def text(*key: int, words: int = 400) -> str:
    return " ".join(prose(*key, words=words))


def edited(words: list[str], *key: int, share: float) -> str:
    """Return words with a share of them replaced by others."""
    stream = np.random.default_rng(key)
    changed = stream.random(len(words)) < share
    return " ".join(
        f"x{stream.integers(10**6)}" if new else word
        for word, new in zip(words, changed, strict=True)
    )


@pytest.fixture
def corpus(tmp_path):
    """Return a function: texts by source -> the sources, their files written down."""

    def write(kind: Any = "prose", **texts: Sequence[str]):
        for name, rows in texts.items():
            lines = "".join(json.dumps({"text": row}) + "\n" for row in rows)
            (tmp_path / f"{name}.jsonl").write_text(lines)
        return [
            Source(name=name, files=(f"{name}.jsonl",), weight=1.0, kind=kind) for name in texts
        ]

    return write


@pytest.fixture
def found(tmp_path):
    """Return a function: sources and settings -> the report, and what is left by source and row."""

    def find(sources, workers=1, out="out", **settings):
        report = search(
            sources,
            Duplicates(**settings),
            folder=tmp_path,
            out=tmp_path / out,
            engine=LocalEngine(workers=workers),
        )
        left = {}
        for source in sources:
            gone = skipped(tmp_path / out, source.name).dropped
            rows = documents(source, folder=tmp_path)
            left[source.name] = [each.row for each in rows if each.uid not in gone]
        return report, left

    return find


def clusters(folder: Path):
    return [json.loads(line) for line in (folder / "clusters.jsonl").read_text().splitlines()]


def test_the_same_text_is_kept_where_the_recipe_names_it_first(corpus, found, tmp_path):
    same = text(1)
    sources = corpus(web=[text(2), same, same.upper()], books=[same, text(3)])
    report, left = found(sources, near=False)
    assert left == {"web": [0, 1], "books": [1]}
    assert report["dropped"]["books"] == {"kept": 1, "exact": 1, "near": 0, "book": 0}
    (cluster,) = clusters(tmp_path / "out")
    assert (cluster["kept"]["source"], cluster["kept"]["row"]) == ("web", 1)
    assert [(each["source"], each["row"], each["why"]) for each in cluster["dropped"]] == [
        ("web", 2, "exact"),
        ("books", 0, "exact"),
    ]


def test_the_order_of_keeping_can_be_told(corpus, found):
    same = text(1)
    sources = corpus(web=[same, text(2)], books=[text(3), same])
    _, left = found(sources, order=("books",))
    assert left == {"web": [1], "books": [0, 1]}


def test_a_near_copy_goes_and_the_report_says_how_near(corpus, found, tmp_path):
    words = prose(1)
    sources = corpus(web=[" ".join(words), text(2), edited(words, 3, share=0.01)])
    report, left = found(sources)
    assert left == {"web": [0, 1]}
    assert report["dropped"]["web"]["near"] == 1
    ((dropped,),) = (cluster["dropped"] for cluster in clusters(tmp_path / "out"))
    assert dropped["why"] == "near"
    assert 0.8 < dropped["similarity"] < 1
    assert report["largest"] == [{"kept": clusters(tmp_path / "out")[0]["kept"], "documents": 2}]


def test_texts_that_share_half_of_their_words_stay(corpus, found):
    words = prose(1)
    sources = corpus(
        web=[" ".join(words), edited(words[:200], 2, share=0.0) + " " + text(3, words=200)]
    )
    assert found(sources)[1] == {"web": [0, 1]}


def test_identical_texts_of_six_words_are_found_and_shorter_ones_never_near(corpus, found):
    sources = corpus(web=["a b c d e f", "a, b, c, d, e, f!", "a b c d", "a, b c d"])
    assert found(sources)[1] == {"web": [0, 2, 3]}


def test_code_that_differs_in_punctuation_is_kept(corpus, found):
    rows = [
        "total_sum = first_operand + second_operand",
        "total_sum = first_operand - second_operand",
    ]
    sources = corpus(kind="code", code=rows)
    assert found(sources, near=False)[1] == {"code": [0, 1]}


def test_fifty_eight_of_sixty_planted_near_copies_are_found_and_no_other(corpus, found):
    originals = [prose(1, n, words=1200) for n in range(120)]
    planted = [edited(originals[n], 2, n, share=0.005 + 0.01 * n / 60) for n in range(60)]
    sources = corpus(web=[*(" ".join(words) for words in originals), *planted])
    _, left = found(sources)
    assert left["web"][:120] == list(range(120))
    assert len(left["web"]) - 120 <= 2


@pytest.mark.parametrize("workers", [1, 2])
def test_portions_and_workers_do_not_show(corpus, found, tmp_path, *, workers):
    words = [prose(7, n) for n in range(12)]
    rows = [edited(words[n % 12], n, share=0.004) for n in range(30)]
    sources = corpus(a=rows[:10], b=rows[10:20], c=rows[20:])
    report, left = found(sources)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PORTION_BYTES", 1)
        again, same = found(sources, workers=workers, out="again")
    assert (again, same) == (report, left)
    assert clusters(tmp_path / "again") == clusters(tmp_path / "out")
    assert not (tmp_path / "out/parts").exists()


def test_what_was_signed_before_a_kill_is_not_signed_again(corpus, found, monkeypatch, tmp_path):
    sources = corpus(web=[text(1), text(1)])

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "_decide", killed)
        with pytest.raises(KeyboardInterrupt):
            found(sources)
    assert (tmp_path / "out/parts/done/00000.json").is_file()
    monkeypatch.setattr(module, "sign", killed)
    assert found(sources)[1] == {"web": [0]}
    assert not (tmp_path / "out/parts").exists()


def test_a_novel_inside_an_anthology_is_found(corpus, found):
    novel = prose(1, words=30_000)
    anthology = [*prose(2, words=7_000), *novel, *prose(3, words=60_000)]
    sources = corpus(kind="book", books=[" ".join(novel), " ".join(anthology)])
    report, left = found(sources)
    assert left == {"books": [0, 1]}
    (book,) = report["books"]
    assert (book["book"]["row"], book["in"][0]["row"], book["action"]) == (1, 0, "report")
    assert 0.6 * 30_000 < book["share"] * len(anthology) <= 30_000


def test_a_novel_behind_its_anthology_is_dropped(corpus, found):
    novel = prose(1, words=30_000)
    anthology = [*prose(2, words=7_000), *novel, *prose(3, words=9_000)]
    sources = corpus(kind="book", books=[" ".join(anthology), " ".join(novel)])
    report, left = found(sources, book_drop_share=0.7)
    assert left == {"books": [0]}
    assert report["dropped"]["books"]["book"] == 1


def test_parts_of_a_book_can_be_taken_out(corpus, found, tmp_path):
    novel = prose(1, words=30_000)
    anthology = [*prose(2, words=7_000), *novel, *prose(3, words=60_000)]
    sources = corpus(kind="book", books=[" ".join(novel), " ".join(anthology)])
    report, _ = found(sources, book_parts="trim")
    ((uid, spans),) = skipped(tmp_path / "out", "books").trimmed.items()
    assert uid == report["books"][0]["book"]["uid"]
    assert all(6_000 <= first < last <= 38_000 for first, last in spans)
    assert sum(last - first for first, last in spans) > 0.6 * 30_000


def test_nothing_is_no_trouble(corpus, found):
    assert found(corpus(web=["", "one"]))[1] == {"web": [1]}


def test_real_books_are_no_copies_of_each_other(shared_data, tmp_path):
    source = Source(name="books", files=("text/philosophy",), weight=1.0, kind="book")
    report = search(
        [source],
        Duplicates(),
        folder=shared_data,
        out=tmp_path / "out",
        engine=LocalEngine(workers=1),
    )
    assert report["dropped"]["books"] == {"kept": 18, "exact": 0, "near": 0, "book": 0}
    assert report["books"] == []
