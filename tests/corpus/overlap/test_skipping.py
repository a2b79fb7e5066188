import pytest

from growlm.corpus.overlap.skipping import matched_words

TEXT = [bytes([at]) for at in range(97, 122)]


def swapped(*places):
    return [b"-" if at in places else word for at, word in enumerate(TEXT)]


@pytest.mark.parametrize(
    ("places", "spans"),
    [
        ((), [(0, 25)]),
        ((9,), [(10, 25)]),  # nine words alike are no beginning
        ((10,), [(0, 25), (11, 25)][:1]),
        ((11, 13, 15, 17), [(0, 25)]),
        ((11, 13, 15, 17, 19), [(0, 19)]),  # the fifth that differs ends it
        ((11, 24), [(0, 24)]),  # the last word is never one that differs
        ((5, 12, 20), []),
    ],
)
def test_up_to_four_words_may_differ_after_the_first_ten(places, spans):
    assert list(matched_words(TEXT, swapped(*places))) == spans


def test_a_match_is_found_wherever_it_stands_in_the_document():
    assert list(matched_words(TEXT, [b"0", b"1", *TEXT[3:20], b"2"])) == [(3, 20)]


def test_too_few_words_match_nothing():
    assert list(matched_words(TEXT[:9], TEXT)) == []
