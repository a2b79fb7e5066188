from types import SimpleNamespace

import numpy as np

from growlm.corpus.books import found_in_others
from growlm.corpus.clusters import Signatures
from growlm.corpus.signed import Signed
from growlm.corpus.signing import CHUNK, DOCUMENT
from growlm.recipe.duplicates import Duplicates


def signed(*books):
    """Return books made of chunks of 1,000 words, each named by a number."""
    rows = {
        n: np.random.default_rng(n).integers(0, 2**60, 112, dtype=np.uint64)
        for b in books
        for n in b
    }
    documents = np.zeros(len(books), dtype=DOCUMENT)
    documents["words"] = [1000 * len(book) for book in books]
    chunks = [
        (d, 1000 * i, 1000 * i + 1000) for d, book in enumerate(books) for i in range(len(book))
    ]
    signatures = Signatures([np.array([rows[n] for book in books for n in book])])
    return Signed(
        sources=["books"],
        names=[{"paths": ["a"], "ids": {}}],
        first=np.array([0, len(books)]),
        documents=documents,
        signatures=signatures,
        owners=np.arange(len(books)),
        chunks=np.array(chunks, dtype=CHUNK),
        chunk_signatures=signatures,
    )


def judged(*books, kept=None, **settings):
    found = found_in_others(
        signed(*books), Duplicates(**settings), kept=np.array(kept or [True] * len(books))
    )
    return [
        SimpleNamespace(n=each.document, share=each.share, by=each.held_by, do=each.action)
        for each in found
    ]


def test_a_book_is_dropped_reported_or_left_alone_by_the_share_in_others():
    whole, half, little = judged([1, 2, 3, 4, 5], [1, 2, 3, 4, 5], [1, 2, 8, 9], [5, 10, 11, 12])
    assert (whole.n, whole.share, whole.by, whole.do) == (1, 1.0, (0,), "drop")
    assert (half.n, half.share, half.do) == (2, 0.5, "report")
    assert (little.n, little.share) == (3, 0.25)
    assert judged([1, 2, 3], [3, 4, 5, 6, 7, 8]) == []


def test_the_words_in_question_are_named():
    (book,) = found_in_others(
        signed([1, 2], [3, 1, 4, 2, 5]), Duplicates(), kept=np.array([True, True])
    )
    assert book.spans == ((1000, 2000), (3000, 4000))


def test_a_dropped_book_holds_nothing():
    (dropped,) = judged([1, 2, 3, 4], [1, 2, 3, 4, 5], [5, 6])
    assert dropped.n == 1


def test_a_book_that_goes_otherwise_is_not_looked_at():
    assert judged([1, 2], [1, 2], kept=[True, False]) == []
    assert judged([1, 2], [1, 2], kept=[False, True]) == []


def test_words_in_several_books_are_told_by_book_the_largest_first():
    (third,) = judged([1, 2], [3, 4, 5], [1, 3, 4, 9])
    assert third.by == (1, 0)


def test_a_chunk_that_a_book_repeats_is_not_held_by_itself():
    assert judged([1, 1, 1, 2]) == []
