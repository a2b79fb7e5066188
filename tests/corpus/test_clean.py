import pytest
from hypothesis import given, settings, strategies as st

from growlm.corpus.clean import clean, decode


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("\ufeffa", "a"),
        ("a\r\nb\rc\n\rd", "a\nb\nc\n\nd"),
        ("a\x00b\x07c\x0cd\x1be\tf", "abcde\tf"),
        ("a\ud800b\udfff", "a\ufffdb\ufffd"),
        ("\n\n  a  \n\n\n\nb\n\n", "  a  \n\n\n\nb"),
        ("\r\n\x00\n", ""),
        ("  ", "  "),
        ("e\u0301 \u00e9 \ufb01", "e\u0301 \u00e9 \ufb01"),
        ("a\u2028b\x85c\x7fd", "a\u2028b\x85c\x7fd"),
    ],
)
def test_only_what_no_model_should_read_goes(text, cleaned):
    assert clean(text) == cleaned


@given(st.text(alphabet=st.characters(exclude_categories=[])))
@settings(deadline=None, max_examples=50)
def test_cleaned_text_is_utf8_and_stays_as_it_is(text):
    # A second byte-order mark behind the first is text, so it does not start what is compared.
    cleaned = clean("x" + text)
    assert clean(cleaned) == cleaned
    assert cleaned.encode().decode() == cleaned


def test_undecodable_bytes_become_the_replacement_character():
    assert decode(b"na\xc3\xafve") == ("na\u00efve", False)
    assert decode(b"na\xefve") == ("na\ufffdve", True)
