import numpy as np
import pytest

from growlm.corpus.overlap.shorts import STRIDE, shorts


def test_a_short_text_is_found_wherever_it_stands(scanned):
    for lead in range(STRIDE + 1):
        text = f"{'x' * lead} Open the jar, now!"
        _, found = scanned(["open the jar now"], [text, "nothing of it"])
        ((number, (lo, hi)),) = found[0].shorts
        assert (number, text[lo:hi]) == (0, "Open the jar, now!")
        assert len(found) == 1


@pytest.mark.parametrize(
    "text", ["reopen the jar now", "open the jars now", "open thejar now", "open the jar"]
)
def test_a_short_text_is_found_word_for_word_only(scanned, text):
    _, found = scanned(["open the jar now"], [text])
    assert found == []


def test_texts_of_two_words_are_not_looked_for(scanned):
    _, found = scanned(["thermonuclear war", "open the jar now"], ["thermonuclear war"])
    assert found == []


def test_each_place_is_found(scanned):
    _, found = scanned(["open the jar now"], ["open the jar now. " * 9])
    assert len(found[0].shorts) == 9


def test_without_short_texts_nothing_is_looked_up():
    none = shorts({})
    assert none.found(b"\x01abc", np.ones(1, dtype=np.int64)) == {}
