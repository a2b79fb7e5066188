import dataclasses

import pytest

from growlm.base.errors import SafetyError
from growlm.corpus.overlap import canary, scan as scanning
from growlm.corpus.overlap.canary import COPIES, KINDS, Planted, benchmark, check, planted, sample
from growlm.corpus.overlap.index import build
from growlm.corpus.overlap.rulings import pieces


@pytest.fixture(scope="module")
def index(benchmark_of):
    words = "a benchmark of our own, with a sentence that nobody else would ever think of writing"
    return build([benchmark_of(words), benchmark()])


@pytest.fixture(scope="module")
def documents():
    return [
        Planted(name=f"{n}", text="\n".join(f"{n} plain line {k}" for k in range(30)))
        for n in range(4)
    ]


@pytest.mark.parametrize("rules", ["fast", "exact"])
def test_every_kind_of_canary_is_found_and_taken_away(index, documents, rules):
    canaries = check(index, documents, rules=rules)
    assert canaries.planted == COPIES * len(KINDS) == 200
    assert all(share >= 0.95 for share in canaries.recall.values())
    assert (canaries.controls, set(canaries.left.values())) == (0, {0})


def test_passages_are_as_long_as_planned_and_each_its_own():
    passages = [example.text for example in benchmark().examples]
    assert len(set(passages)) == COPIES * (len(KINDS) + 1)
    assert {60 <= len(passage.split()) <= 90 for passage in passages} == {True}


def test_passages_are_planted_in_lines_of_their_own(documents):
    copies = planted(documents)
    lines = {line for copy in copies for line in copy.text.split("\n")}
    assert benchmark().examples[0].text in lines
    for document, copy in zip(documents, copies, strict=True):
        assert set(document.text.split("\n")) <= set(copy.text.split("\n"))


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("verbatim", 'Don\'t go, "my friend", yet.'),
        ("recased", "DON\u2019T GO \u2014 \u201cMY FRIEND\u201d \u2014 YET."),
        ("tokenized", "Do n't go , `` my friend '' , yet ."),
        ("wrapped", 'Don\'t go, "my friend", yet.'),
        ("half", "Don't go,"),
    ],
)
def test_a_kind_changes_what_it_says(kind, text):
    assert KINDS[kind].change('Don\'t go, "my friend", yet.') == text


def test_some_kinds_change_words():
    words = " ".join(map(str, range(40)))
    assert KINDS["one word in 10"].change(words).split().count("something") == 4
    assert KINDS["one word in 20"].change(words).split().count("something") == 2
    assert KINDS["wrapped"].change(words).count("\n") == 4
    assert KINDS["hyphenated"].change("x " * 8 + "paper").endswith("pa-\nper")


def test_a_long_document_is_copied_in_part():
    assert len(sample(Planted(name="x", text="y" * 50_000)).text) == canary.DOCUMENT_CHARACTERS


def test_nothing_scanned_proves_nothing(index):
    with pytest.raises(SafetyError, match="got 0 documents scanned") as error:
        check(index, [], rules="fast")
    assert error.value.exit_code == 5


def refusal(index, documents):
    with pytest.raises(SafetyError) as error:
        check(index, documents, rules="fast")
    return str(error.value)


def test_an_index_without_windows_is_noticed(index, documents):
    empty = dataclasses.replace(index, hashes=index.hashes ^ 1)
    assert refusal(empty, documents) == (
        "expected at least 95% of the planted overlaps found, of every kind; got 0% in all, 0% of "
        "'verbatim'. Try reporting it: no figure of this scan can be trusted."
    )


def test_another_canonical_form_is_noticed(index, documents, monkeypatch):
    monkeypatch.setattr(
        scanning, "joined_alnum", lambda texts: b"".join(b"\x01" + each.encode() for each in texts)
    )
    assert "got 0% in all" in refusal(index, documents)


def test_documents_that_are_skipped_are_noticed(index, documents, monkeypatch):
    batches = scanning._batches
    monkeypatch.setattr(scanning, "_batches", lambda texts, tally: batches(list(texts)[:-1], tally))
    assert "got 75% in all" in refusal(index, documents)


def test_an_action_that_does_nothing_is_noticed(index, documents, monkeypatch):
    def idle(text, ruled):
        return pieces(text, [each for each in ruled if each.action == "mask"])

    monkeypatch.setattr(canary, "pieces", idle)
    assert refusal(index, documents).startswith(
        "expected no planted overlap left after the action 'excise'; got "
    )


def test_what_was_not_planted_may_not_be_found(index, documents):
    control = benchmark().examples[-1].text
    line = refusal(index, [*documents, Planted(name="x", text=control)])
    assert line.startswith("expected nothing found that was not planted; got 1 such passages.")
