import numpy as np
import pytest

from growlm.corpus.canonical import canonical
from growlm.corpus.chunks import LONGEST, SHORTEST, SHORTEST_TAIL, edges, without
from growlm.corpus.shingles import shingles


def book(*key, words):
    return " ".join(f"w{n}" for n in np.random.default_rng(key).integers(0, 5000, words))


def edges_of(text):
    grams = shingles([canonical(text)])
    return edges(grams.hashes, int(grams.words[0]))


@pytest.mark.parametrize("words", [5, 1999, 2000, 2001, 9000, 60_000])
def test_chunks_cover_the_book_and_keep_their_sizes(words):
    found = edges_of(book(1, words=words))
    sizes = np.diff(found)
    assert (found[0], found[-1]) == (0, words)
    assert (sizes[:-1] >= SHORTEST).all()
    assert (sizes[:-1] <= LONGEST).all()
    assert sizes[-1] >= min(words, SHORTEST_TAIL)
    assert sizes[-1] <= LONGEST + SHORTEST_TAIL


def test_a_book_without_a_place_to_cut_is_cut_at_the_longest():
    assert edges(np.ones(20_000 - 4, dtype=np.uint64), 20_000) == [0, 8_000, 16_000, 20_000]


def test_the_same_words_are_cut_alike_behind_another_beginning():
    text = book(2, words=50_000)
    tail = set(edges_of(text)[3:])
    for prefix in (200, 3_333, 9_000):
        moved = {edge - prefix for edge in edges_of(f"{book(3, words=prefix)} {text}")}
        assert len(tail & moved) >= 0.6 * len(tail)


@pytest.mark.parametrize(
    ("spans", "left"),
    [
        ([], "One -- two,\n\nthree four!"),
        ([(0, 1)], "two,\n\nthree four!"),
        ([(1, 2)], "One -- three four!"),
        ([(0, 1), (2, 4)], "two,\n\n"),
        ([(0, 4)], ""),
    ],
)
def test_words_are_taken_out_with_what_follows_them(spans, left):
    assert without("One -- two,\n\nthree four!", spans) == left


def test_a_token_of_two_words_counts_as_two():
    assert without("a\u00a0b c d", [(2, 3)]) == "a\u00a0b d"
