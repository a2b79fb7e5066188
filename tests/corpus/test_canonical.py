import unicodedata

import pytest
from hypothesis import given, settings, strategies as st

from growlm.corpus.canonical import alnum, canonical

GOLDEN = (
    "\u00dcn\u00efcode\u2014dash \u201cquoted\u201d it\u2019s na\u00efve caf\u00e9 \u00bd \ufb01ne"
)


def plainly(text):
    """Return the canonical form by its definition, character by character."""
    kept = []
    for character in unicodedata.normalize("NFKC", text).lower():
        code = ord(character)
        blank, mark = code <= 0x20, code < 0x80 and not character.isalnum()
        foreign_mark = 0x80 <= code < 0xC0 or 0x2000 <= code < 0x2080
        surrogate = 0xD800 <= code < 0xE000
        kept.append(" " if blank else "" if mark or foreign_mark or surrogate else character)
    return "".join(kept).encode()


def test_the_golden_text_has_its_words():
    words = "\u00fcn\u00efcodedash quoted its na\u00efve caf\u00e9 12 fine"
    assert canonical(GOLDEN).decode() == words
    assert len(alnum(canonical(GOLDEN))) == 39


def test_letters_and_digits_are_what_is_left():
    text = "The quick brown fox jumps over the lazy dog; it's 42 degrees."
    assert alnum(canonical(text)) == b"thequickbrownfoxjumpsoverthelazydogits42degrees"


@pytest.mark.parametrize(
    "text",
    [
        "e\u0301 E\u0301\u0323",
        "\u1112\u1161\u11ab \ud55c",
        "\u039f\u03a3 \u03a3\u0399",
        "\u0130stanbul \u1e9e",
        "\uff26\uff55\uff4c\uff4c",
        "a\u00a0b\u00adc\u2028d\x7fe\x85f",
        "\ud800x",
        "\u4e2d\u6587\u3002\u6587",
        "".join(chr(code) for code in range(0x80, 0x2400)),
    ],
)
def test_the_fast_ways_give_what_the_definition_says(text):
    assert canonical(text) == plainly(text)


ALPHABET = (
    "aB 9-\n\u00e9\u0301\u0323\u03a3\u03c3\u0130\u1e9e\ufb01\u2019\u2014\u00a0"
    "\u1112\u1161\u11ab\u4e2d\uff21\u00bd"
)


@given(st.text(alphabet=ALPHABET))
@settings(deadline=None, max_examples=300)
def test_any_mixture_gives_what_the_definition_says(text):
    assert canonical(text) == plainly(text)
