from collections import Counter

import numpy as np
import pytest

from growlm.corpus.overlap import scan as scanning
from growlm.corpus.overlap.canary import Planted
from growlm.corpus.overlap.canonical import alnum
from growlm.corpus.overlap.index import RUN, STRIDE, build
from growlm.corpus.overlap.scan import Collision, scan


def maximal_runs(text: bytes, document: bytes) -> set[tuple[int, int, int]]:
    """Return every maximal run of 32 letters, by trying every pair of places."""
    found = set()
    for shift in range(-len(document), len(text)):
        begin = None
        for at in range(max(0, shift), min(len(text), len(document) + shift) + 1):
            inside = at < len(text) and 0 <= at - shift < len(document)
            if inside and text[at] == document[at - shift]:
                begin = at if begin is None else begin
            elif begin is not None:
                if at - begin >= RUN:
                    found.add((begin, at, begin - shift))
                begin = None
    return found


def found_runs(found):
    return {
        (match.text, each.document, *run.text, run.document[0])
        for each in found
        for match in each.matches
        for run in match.runs
        if run.length >= RUN
    }


@pytest.mark.parametrize("letters", [2, 8])
def test_every_run_of_32_letters_is_found_and_is_as_long_as_it_can_be(
    monkeypatch, scanned, letters
):
    monkeypatch.setattr(scanning, "BATCH_CHARACTERS", 300)
    stream = np.random.default_rng(letters)
    texts, documents = (
        ["".join(map(chr, 97 + stream.integers(letters, size=size))) for size in sizes]
        for sizes in ((90, 33, 150), (200, 32, 400, 7, 120))
    )
    for number in range(12):  # pieces of the texts, at every phase, some at the edges
        text = texts[number % 3]
        first = int(stream.integers(0, max(1, len(text) - 40)))
        piece = text[first : first + 30 + number]
        at = int(stream.integers(0, len(documents[number % 5]) + 1))
        documents[number % 5] = documents[number % 5][:at] + piece + documents[number % 5][at:]
    _, found = scanned(texts, documents)
    wanted = {
        (number, f"d{at}", *run)
        for number, text in enumerate(texts)
        for at, document in enumerate(documents)
        for run in maximal_runs(text.encode(), document.encode())
    }
    assert wanted
    assert found_runs(found) == wanted


@pytest.mark.parametrize("phase", range(STRIDE))
def test_a_run_of_just_32_letters_is_found_at_every_phase(scanned, phase):
    piece = "abcdefghijklmnopqrstuvwxyz012345"
    _, found = scanned([f"#{piece}Z9"], ["." + "q" * phase + piece + "7"])
    assert found_runs(found) == {(0, "d0", 0, 32, phase)}
    _, found = scanned([f"#{piece}Z9"], ["." + "q" * phase + piece[:-1] + "7"])
    assert found == []


def test_no_run_reaches_into_another_document(scanned, prose):
    words = prose(1).split()
    _, found = scanned([prose(1)], [" ".join(words[:30]), " ".join(words[30:])])
    lengths = [len("".join(part)) for part in (words[:30], words[30:])]
    assert [each.matches[0].runs[0].length for each in found] == lengths


def test_a_run_knows_its_characters(scanned):
    said = "It was “the best”\nof times; it was the WORST of times, it was"
    text = f"He said: {said} no more."
    _, (found,) = scanned(["the best of times, it was the worst of times; it was"], [text])
    ((run,),) = [match.runs for match in found.matches]
    assert text[slice(*run.characters)] == "“the best”\nof times; it was the WORST of times, it was"
    assert alnum(text)[slice(*run.document)] == alnum(said[7:])


def test_a_window_that_stands_everywhere_is_no_hit(scanned, prose):
    template = prose(0, 12)
    rows = [f"{template} {prose(n, 9)}" for n in range(1, 70)]
    _, found = scanned(rows, [template])
    assert found == []
    _, found = scanned(rows[:9], [template])
    assert len(found[0].matches) == 9


def test_words_in_a_row_are_found_inside_runs(scanned, prose):
    words = prose(1).split()
    _, (found,) = scanned([prose(1)], ["x " + " ".join(words[10:30]) + " y"])
    (match,) = found.matches
    assert match.grams == {8: set(range(10, 23)), 13: set(range(10, 18))}
    assert match.skipping == ((10, 30),)
    lo, hi = found.collisions[0].characters
    assert ("x " + " ".join(words[10:30]))[lo:hi] == " ".join(words[10:23])
    assert [type(each) for each in found.collisions] == [Collision] * 8


def test_short_words_in_a_row_are_found_by_exact_rules_only(scanned, prose):
    text = f"{prose(1)} he had to go to it at a {prose(2)}"
    documents = ["she said he had to go to it at a fair", "nothing"]
    _, found = scanned([text], documents)
    assert found == []
    _, (found,) = scanned([text], documents, rules="exact")
    assert [(match.runs, match.grams) for match in found.matches] == [((), {8: {60}})]


def test_what_was_read_is_counted(benchmark_of, prose):
    tally: Counter[str] = Counter()
    pages = [Planted(name="a", text="Two words."), Planted(name="b", text="")]
    assert list(scan(build([benchmark_of(prose(1))]), pages, rules="fast", tally=tally)) == []
    assert tally == {"documents": 2, "characters": 10}


def test_an_empty_corpus_gives_nothing(scanned, prose):
    assert scanned([prose(1)], [])[1] == []
