import itertools
import sys
import unicodedata

import pytest
from hypothesis import given, settings, strategies as st

from growlm.corpus.overlap.canonical import (
    alnum,
    character_spans,
    joined_alnum,
    words,
    words_with_spans,
)

FOX = "The quick brown fox jumps over the lazy dog; it's 42 degrees."
DASHED = "Ünïcode—dash “quoted” it’s naïve café ½ \ufb01ne"  # noqa: RUF001

ODD = st.text(
    st.sampled_from(
        "aZ9 \n\t.'é\u0301\u0308\u0327\u1100\u1161\u11a8가\ufb01½\u00a0\u2026“”\u2028İẞΣσ漢字、"  # noqa: RUF001
        "ＡﾞΑ\u0345"
        "\u2070ª\u0130\u1e9e\u03d2\U0001d6ba\ud800\u007f\x01\u3131\u314f\u09c7\u09be"
    ),
    max_size=40,
)
PLAIN = st.text(st.sampled_from("aZ9 \n\t.'-\x01\x7f"), max_size=40)


def test_the_alnum_stream_is_the_published_one(by_definition):
    assert alnum(FOX) == b"thequickbrownfoxjumpsoverthelazydogits42degrees"
    offsets = by_definition(FOX)[1]
    assert (offsets[:6], offsets[-3:]) == ([0, 1, 2, 4, 5, 6], [57, 58, 59])


def test_the_words_are_the_published_ones():
    found = b" ".join(words(DASHED)).decode()
    assert found == "ünïcodedash quoted its naïve café 12 fine"
    assert len(alnum(DASHED)) == 39


@settings(deadline=None)
@given(ODD)
def test_the_fast_way_is_the_definition(by_definition, text):
    letters, _, spaced = by_definition(text)
    assert alnum(text) == letters
    assert words(text) == spaced.split()


@settings(deadline=None)
@given(st.text(max_size=60))
def test_the_fast_way_is_the_definition_on_any_text(by_definition, text):
    letters, _, spaced = by_definition(text)
    assert alnum(text) == letters
    assert words(text) == spaced.split()


@settings(deadline=None)
@given(st.lists(ODD, max_size=5))
def test_texts_one_after_the_other_are_as_each_alone(texts):
    assert joined_alnum(texts) == b"".join(b"\x01" + alnum(text) for text in texts)


def test_every_character_alone_is_as_the_definition_has_it(by_definition):
    kinds = [
        chr(code) for code in (*range(128, 0x250), *range(0x370, 0x400), *range(0x2000, 0x2200))
    ]
    for kind in kinds:
        text = f"a{kind} b{kind}c"
        assert alnum(text) == by_definition(text)[0], ascii(kind)


def test_what_joins_its_left_neighbour_is_a_mark_or_a_jamo():
    seconds = set()
    for code in range(sys.maxunicode + 1):
        parts = unicodedata.decomposition(chr(code)).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            seconds.add(chr(int(parts[1], 16)))
    assert {unicodedata.category(each)[0] for each in seconds} == {"M"}


def test_a_text_with_many_foreign_capitals_is_lowered_whole():
    assert alnum("АБВГДЕЖЗИЙКЛ") == "абвгдежзийкл".encode()


@pytest.mark.parametrize("text", [FOX, DASHED, "one\n two  three", "漢字 かな 漢字、x"])
def test_a_span_is_rounded_to_the_words_it_touches(text):
    stream = alnum(text)
    spans = list(itertools.combinations(range(len(stream) + 1), 2))
    for (first, last), (lo, hi) in zip(spans, character_spans(text, spans), strict=True):
        before, inside = len(alnum(text[:lo])), len(alnum(text[lo:hi]))
        assert before <= first < last <= before + inside
        assert text[lo:hi] == text[lo:hi].strip()


def test_a_span_far_into_a_long_text_is_found():
    text = "“So” it went. " * 5000 + "NEEDLE in hay " + "and on " * 3000
    at = alnum(text).index(b"needlein")
    ((lo, hi),) = character_spans(text, [(at, at + 8)])
    assert text[lo:hi] == "NEEDLE in"


@settings(deadline=None)
@given((ODD | PLAIN).filter(lambda text: bool(alnum(text))))
def test_spans_lie_in_order_whatever_the_text(text):
    stream = alnum(text)
    spans = [(first, first + 1) for first in range(len(stream))]
    for (first, _), (lo, hi) in zip(spans, character_spans(text, spans), strict=True):
        assert 0 <= lo < hi <= len(text)
        assert len(alnum(text[:lo])) <= first


@settings(deadline=None)
@given(ODD | PLAIN)
def test_words_with_spans_are_the_words(text):
    found, spans = words_with_spans(text)
    assert found == words(text)
    assert all(word in words(text[lo:hi]) for word, (lo, hi) in zip(found, spans, strict=True))
