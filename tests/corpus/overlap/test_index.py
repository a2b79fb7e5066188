from dataclasses import replace

import numpy as np
import pytest

from growlm.base.errors import CorpusError
from growlm.corpus.overlap.benchmark import Example
from growlm.corpus.overlap.index import HOT, WINDOW, build, kinds


def test_every_window_of_every_text_is_indexed(benchmark_of, prose):
    index = build([benchmark_of(prose(1), prose(2)), benchmark_of(prose(3))])
    for text in index.texts:
        assert index.letters[text.start : text.start + len(text.stream)].tobytes() == text.stream
        for at in range(text.start, text.start + len(text.stream) - WINDOW + 1):
            number = index.windows[at]
            places = index.places[index.first[number] : index.first[number + 1]]
            assert at in places
    assert (np.diff(index.hashes.astype(object)) > 0).all()


def test_rows_that_say_the_same_share_a_text(benchmark_of, prose):
    index = build([benchmark_of(prose(1), prose(2), prose(1).upper() + "!")])
    assert [item.text for item in index.items[0]] == [0, 1, 0]
    assert len(index.texts) == 2


def test_answers_are_counted_in_letters(benchmark_of):
    index = build(
        [benchmark_of(("It is said that he shut the old oak", "door!"), "no answer here")]
    )
    first, second = index.items[0]
    assert first.answer is not None
    assert index.texts[first.text].stream[slice(*first.answer)] == b"door"
    assert second.answer is None


def test_contexts_are_texts_of_their_own(benchmark_of, prose):
    example = Example(index=0, text=prose(1), answer=None, context=prose(2))
    index = build([replace(benchmark_of(prose(1)), examples=(example,))])
    (item,) = index.items[0]
    assert item.context is not None
    assert [index.texts[each].role for each in (item.text, item.context)] == ["example", "context"]


def test_texts_are_long_short_or_untestable(benchmark_of):
    index = build([benchmark_of("a" * 32, "ab cd ef ghijkl", "two words", "a b c d e")])
    assert kinds(index, 0) == {"long": 1, "short": 1, "untestable": 2}


def test_gpt3_s_number_of_words_is_the_fifth_percentile_within_8_and_13(benchmark_of, prose):
    lengths = [[5, 60], [10] * 20, [60, 70]]
    made = [benchmark_of(*(prose(n, size) for n, size in enumerate(each))) for each in lengths]
    assert build(made).sizes == (8, 10, 13)


def test_a_text_of_which_most_windows_are_everywhere_is_undetermined(benchmark_of, prose):
    template = prose(0, 20)
    rows = [f"{template} {prose(n, 4)}" for n in range(HOT + 1)]
    index = build([benchmark_of(*rows, prose(1000))])
    assert index.undetermined() == set(range(HOT + 1))


def test_a_benchmark_of_which_nothing_can_be_looked_for_is_refused(benchmark_of):
    with pytest.raises(CorpusError) as error:
        build([benchmark_of("yes", "no", name="boolq")])
    assert str(error.value) == (
        "expected benchmark 'boolq' to hold a text of 3 words; got 2 shorter ones. "
        "Try other fields."
    )
