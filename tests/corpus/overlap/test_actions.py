import pytest

from growlm.corpus.overlap.actions import (
    MOST_PIECES,
    gpt3_filter,
    kept_pieces,
    touched_tokens,
)

TEXT = "".join(chr(97 + at % 26) for at in range(2000))


@pytest.mark.parametrize(
    ("spans", "pieces"),
    [
        ([(399, 450)], [(650, 2000)]),  # 199 characters before: too short to stay
        ([(400, 450)], [(0, 200), (650, 2000)]),
        ([(500, 510), (1109, 1200)], [(0, 300), (1400, 2000)]),
        ([(500, 510), (1110, 1200)], [(0, 300), (710, 910), (1400, 2000)]),
        ([(0, 10)], [(210, 2000)]),
        ([(1990, 2000)], [(0, 1790)]),
        ([(0, 2000)], []),
    ],
)
def test_pieces_under_200_characters_go(spans, pieces):
    assert kept_pieces(len(TEXT), spans) == pieces


def test_a_book_that_would_fall_into_more_than_ten_pieces_is_dropped():
    spans = [(at, at + 50) for at in range(50_000, 1_000_000, 50_000)]
    assert len(kept_pieces(1_000_000, spans[: MOST_PIECES - 1])) == MOST_PIECES
    assert kept_pieces(1_000_000, spans[:MOST_PIECES]) == []


def test_tokens_that_touch_an_overlap_are_masked():
    offsets = [(0, 3), (3, 7), (7, 8), (8, 8), (8, 12), (12, 20), (20, 21)]
    assert touched_tokens(offsets, [(6, 8), (13, 14)]) == [(1, 3), (5, 6)]
    assert touched_tokens(offsets, [(8, 12)]) == [(4, 5)]
    assert touched_tokens(offsets, []) == []


def test_gpt3_s_filter_counts_what_it_would_cut(scanned, prose):
    padding = "x" * 1000
    _, found = scanned([prose(1)], [f"{padding} {prose(1)} {padding}", f"{padding} {prose(2)}"])
    cut = gpt3_filter(found)
    assert (cut.documents, cut.dropped) == (1, 0)
    assert cut.characters == len(prose(1)) + 400


def test_gpt3_s_filter_drops_a_document_of_too_many_pieces(scanned, prose):
    book = " ".join(f"{'x' * 900} {prose(1)}" for _ in range(12))
    _, found = scanned([prose(1)], [book])
    cut = gpt3_filter(found)
    assert (cut.documents, cut.dropped, cut.characters) == (1, 1, len(book))


def test_gpt3_s_filter_leaves_alone_what_more_than_ten_documents_hold(scanned, prose):
    pages = [f"{'x' * 900} {prose(1)} {prose(n)}" for n in range(100, 111)]
    _, found = scanned([prose(1)], pages)
    assert gpt3_filter(found[:10]).documents == 10
    assert gpt3_filter(found).documents == 0
