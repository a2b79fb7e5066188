import io
import re

import pytest
from hypothesis import given, settings, strategies as st

from growlm.corpus import pieces as module
from growlm.corpus.pieces import pieces


def cut(text, pattern, chunk_bytes=1 << 20):
    content = text.encode() if isinstance(text, str) else text
    return list(pieces(io.BytesIO(content), re.compile(pattern), chunk_bytes=chunk_bytes))


@pytest.mark.parametrize("chunk_bytes", [1, 7, 1 << 20])
def test_what_matches_stands_between_pieces(chunk_bytes):
    text = "one\n\n\n\ntwo\n\nstill two\n\n\nthr\u00e9e"
    expected = ["one", "two\n\nstill two", "thr\u00e9e"]
    assert [piece.decode() for piece in cut(text, r"\n{3,}", chunk_bytes)] == expected


@pytest.mark.parametrize("chunk_bytes", [1, 7, 1 << 20])
def test_a_pattern_that_looks_ahead_leaves_nothing_out(chunk_bytes):
    text = "CHAPTER I\na CHAPTER\nCHAPTER II\nb\n"
    expected = [b"CHAPTER I\na CHAPTER\n", b"CHAPTER II\nb\n"]
    assert cut(text, r"(?m)(?=^CHAPTER )", chunk_bytes) == expected


def test_a_text_without_a_match_is_one_piece():
    assert cut("one", "x") == [b"one"]
    assert cut("", "x") == [b""]


def test_bytes_that_are_no_utf8_come_out_as_they_went_in():
    content = b"a\xff\xe2\x82--b\xe2\x82"
    assert cut(content, "--", chunk_bytes=1) == content.split(b"--")


@given(
    st.lists(st.sampled_from(["a", "\n", "\u00e9", "\u20ac", "\U0001f600", "--", " "])),
    st.integers(1, 9),
)
@settings(deadline=None, max_examples=200)
def test_the_chunks_of_a_file_do_not_show(parts, chunk_bytes):
    text = "".join(parts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "LONGEST_MATCH", 12)
        got = [piece.decode() for piece in cut(text, r"-- ?", chunk_bytes)]
    assert got == re.split("-- ?", text)
