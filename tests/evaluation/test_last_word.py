import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings, strategies as st

from growlm.base.errors import EvaluationError
from growlm.evaluation.decoder import Decoder
from growlm.evaluation.last_word import (
    MAX_WORDS,
    MIN_CONTEXT_WORDS,
    STOP_WORDS,
    LastWord,
    Passage,
    last_word,
    passages,
    questions_of,
)
from growlm.evaluation.results import TaskScore
from growlm.evaluation.sitting import Sitting
from growlm.model.gpt import GPT

END_OF_TEXT = 256
FILLER = "This is the filler of a passage, and it says nothing of any use at all."


def encode(texts: Sequence[str]) -> list[list[int]]:
    return [list(text.encode()) for text in texts]


def measure(model: GPT, asked: Sequence[Passage], **changes: Any) -> LastWord:
    options: dict[str, Any] = {
        "encode": encode,
        "prefix": END_OF_TEXT,
        "context": 64,
        "overlap": 0,
        "batch_tokens": 256,
    }
    sitting = Sitting(predictor=Decoder(model), **(options | changes))
    found = sitting.questions("last-word", questions_of(asked))
    return last_word(TaskScore(task="last word", examples=tuple(found)))


def document(word: str, *, sentences: int = 4) -> str:
    """Prose whose one passage ends in the word."""
    return " ".join([f"Here the {word} is named.", *[FILLER] * sentences, f"So much of {word}."])


def documents(number: int) -> list[str]:
    return [document(word_of(each)) for each in range(number)]


def word_of(number: int) -> str:
    return "word" + "".join("abcdefghij"[int(digit)] for digit in str(number))


def alphabet(bigram_model: Callable[..., GPT]) -> GPT:
    """After a letter, a space, or an "a" after a space: certain; then the alphabet goes on."""
    logits_VV = torch.zeros(257, 257)
    for before, after in [(" ", "a"), ("a", "b"), ("b", "c"), ("c", "d"), ("x", " ")]:
        logits_VV[ord(before), ord(after)] = 4.0
    return bigram_model(logits_VV)


# What such a model gives a token it expects, and one it does not.
EXPECTED_NATS = math.log(math.exp(4) + 256) - 4
OTHER_NATS = math.log(math.exp(4) + 256)


def test_perplexity_is_per_word_and_a_right_word_is_right_in_every_token(
    bigram_model: Callable[..., GPT],
):
    right, wrong = Passage(context="x", target="abcd"), Passage(context="x", target="abdc")
    got = measure(alphabet(bigram_model), [right] * 8 + [wrong] * 4)
    # " abcd" is five expected tokens; " abdc" three, an unexpected "d", and a "c" after "d",
    # where all tokens are alike.
    wrong_nats = 3 * EXPECTED_NATS + OTHER_NATS + math.log(257)
    mean_nats = (8 * 5 * EXPECTED_NATS + 4 * wrong_nats) / 12
    assert got.perplexity == pytest.approx(math.exp(mean_nats), rel=1e-5)
    assert got.examples == 12
    assert got.accuracy == pytest.approx(8 / 12)
    assert got.accuracy_stderr == pytest.approx(math.sqrt((8 / 12) * (4 / 12) / 11))


def test_only_the_last_word_is_scored_wherever_else_it_stands(uniform_model: GPT):
    apart = [Passage(context="the word, again a word, and one more", target="word")] * 10
    got = measure(uniform_model, apart)
    assert got.perplexity == pytest.approx(257.0**5, rel=1e-5)
    assert (got.accuracy, got.accuracy_stderr) == (0.0, 0.0)


def test_trailing_space_of_the_context_moves_to_the_word(uniform_model: GPT):
    got = measure(uniform_model, [Passage(context="foo bar \n", target="word")] * 10)
    assert got.perplexity == pytest.approx(257.0**7, rel=1e-5)


def test_tokens_of_the_word_are_those_after_the_tokens_of_the_context(uniform_model: GPT):
    def pairs(texts: Sequence[str]) -> list[list[int]]:
        return [[7] * math.ceil(len(text) / 2) for text in texts]

    # 3 characters are 2 tokens, 8 are 4: the first token of the word also holds a bit of context.
    got = measure(uniform_model, [Passage(context="foo", target="word")] * 10, encode=pairs)
    assert got.perplexity == pytest.approx(257.0**2, rel=1e-5)


def test_a_long_passage_loses_its_beginning(byte_model: Callable[..., GPT]):
    model = byte_model()
    whole = [Passage(context=f"{i} and what came before it", target="word") for i in range(10)]
    cut = [Passage(context="at came before it", target="word")] * 10
    longest = len("at came before it word") - 1
    got = measure(model, whole, context=longest)
    assert got.perplexity == pytest.approx(measure(model, cut).perplexity, rel=1e-5)
    assert got.perplexity != pytest.approx(measure(model, whole).perplexity, rel=1e-5)


def test_a_word_without_context_follows_the_end_of_text(bigram_model: Callable[..., GPT]):
    logits_VV = torch.zeros(257, 257)
    logits_VV[END_OF_TEXT, ord(" ")] = 4.0
    got = measure(bigram_model(logits_VV), [Passage(context="", target="word")] * 10)
    assert math.log(got.perplexity) == pytest.approx(EXPECTED_NATS + 4 * math.log(257), rel=1e-6)


def test_the_batch_size_changes_only_rounding(byte_model: Callable[..., GPT]):
    model = byte_model()
    asked = [Passage(context=i * "so ", target=word_of(i)) for i in range(20)]
    alone, together = measure(model, asked, batch_tokens=1), measure(model, asked)
    assert alone.perplexity == pytest.approx(together.perplexity, rel=1e-5)
    assert alone.accuracy == together.accuracy


def test_a_hopeless_model_has_an_infinite_perplexity(bigram_model: Callable[..., GPT]):
    logits_VV = torch.zeros(257, 257)
    logits_VV[:, 0] = 1000.0
    assert measure(bigram_model(logits_VV), [Passage(context="a", target="b")] * 10).perplexity == (
        math.inf
    )


def test_a_word_longer_than_the_context_is_refused_by_name(uniform_model: GPT):
    asked = [Passage(context="a", target="word")] * 10
    assert measure(uniform_model, asked, context=5).examples == 10
    with pytest.raises(EvaluationError, match="' word' to fit a context of 4 tokens; got 5 tokens"):
        measure(uniform_model, asked, context=4)


def test_a_word_without_tokens_is_refused_by_name(uniform_model: GPT):
    asked = [Passage(context="a", target="word")] * 10
    with pytest.raises(EvaluationError, match=r"' word'.*got 0 tokens.*or another tokenizer"):
        measure(uniform_model, asked, encode=lambda texts: [[1]] * len(texts))


def test_a_context_beyond_learned_positions_is_refused(byte_model: Callable[..., GPT]):
    with pytest.raises(EvaluationError, match="at most 16 tokens"):
        measure(byte_model("learned"), [Passage(context="a", target="b")] * 10, context=17)


def test_nine_passages_are_too_few(uniform_model: GPT):
    with pytest.raises(EvaluationError, match=r"at least 10 passages.*got 9. Try a larger valid"):
        measure(uniform_model, [Passage(context="a", target="b")] * 9)
    with pytest.raises(EvaluationError, match=r"at least 10 passages.*got 9. Try a larger valid"):
        passages(documents(9), examples=500, seed=1)
    assert len(passages(documents(10), examples=500, seed=1)) == 10


def test_a_passage_is_a_context_and_its_last_word_without_the_full_stop():
    made = passages(documents(10), examples=500, seed=1)
    expected = [
        Passage(context=document(word_of(each)).rpartition(" ")[0], target=word_of(each))
        for each in range(10)
    ]
    assert made == sorted(expected, key=lambda passage: passage.context)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("unseen", lambda text: text.replace("the wordd is", "the warden is")),
        ("part of another word", lambda text: text.replace("the wordd is", "the my_wordd is")),
        ("stop word", lambda text: text.replace("wordd", "which")),
        ("short", lambda text: text.replace("wordd", "ant")),
        ("a number in it", lambda text: text.replace("wordd", "word3")),
        ("quoted", lambda text: text.replace("of wordd.", 'of "wordd".')),
        ("code between", lambda text: text.replace(" So much", "\n\n    >>> x\n\nSo much")),
        ("few words", lambda text: text.replace(FILLER, "So it is.")),
        ("two sentences", lambda text: text.replace(".", ",").rstrip(",") + "."),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_makes_no_passage(name: str, change: Callable[[str], str]):
    others = documents(20)
    changed = [change(text) if i == 3 else text for i, text in enumerate(others)]
    assert changed[3] != others[3], name
    targets = {passage.target for passage in passages(changed, examples=500, seed=1)}
    assert targets == {word_of(each) for each in range(20)} - {"wordd"}


def test_capitals_and_closing_marks_do_not_matter():
    text = document("wordd").replace("the wordd", "the WORDD").replace("of wordd.", "(of Wordd.)")
    made = passages([text, *documents(3), *documents(20)[4:]], examples=500, seed=1)
    assert "Wordd" in {passage.target for passage in made}


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), counts=st.lists(st.integers(0, 9), min_size=10, max_size=16))
def test_passages_follow_their_rules_whatever_the_documents(seed: int, counts: list[int]):
    texts = [
        "\n\n".join(document(word_of(10 * i + j), sentences=j) for j in range(count))
        for i, count in enumerate(counts, start=10)
    ] + documents(10)
    made = passages(texts, examples=30, seed=seed)
    assert made == passages(texts[::-1], examples=30, seed=seed)
    assert 10 <= len(made) <= 30
    assert made == sorted(made, key=lambda passage: (passage.context, passage.target))
    assert len(set(made)) == len(made)
    for passage in made:
        words = passage.context.split()
        assert MIN_CONTEXT_WORDS <= len(words) < MAX_WORDS
        assert any(f"{passage.context} {passage.target}." in text for text in texts)
        assert passage.target.isalpha()
        assert len(passage.target) >= 4
        assert passage.target not in STOP_WORDS
        assert passage.target in re.findall(r"\w+", passage.context)


def test_a_long_document_waits_its_turn():
    long = "\n\n".join(document(word_of(each)) for each in range(100, 140))
    made = passages([long, *documents(11)], examples=12, seed=1)
    assert sum(len(passage.target) == len("wordabc") for passage in made) == 1
    made = passages([long, *documents(11)], examples=20, seed=1)
    assert sum(len(passage.target) == len("wordabc") for passage in made) == 9


def test_a_passage_is_no_longer_than_it_may_be_and_begins_late_enough():
    late = " ".join([*[FILLER] * 20, document("worda")])
    apart = document("wordb", sentences=12)
    made = passages([late, apart, *documents(20)[2:]], examples=500, seed=1)
    found = {passage.target: passage.context for passage in made}
    assert "wordb" not in found
    # One more sentence before it would be too many words.
    words = len(found["worda"].split()) + 1
    assert words <= MAX_WORDS < words + len(FILLER.split())
    assert found["worda"].endswith(document("worda").rpartition(" ")[0])


def test_passages_do_not_overlap():
    text = "\n\n".join(document(word_of(each)) for each in range(20))
    made = passages([text], examples=500, seed=1)
    assert len(made) == 20
    assert sum(len(passage.context.split()) + 1 for passage in made) <= len(text.split())


def test_the_seed_chooses_among_a_documents_passages():
    text = "\n\n".join(document(word_of(each)) for each in range(40))
    chosen = [passages([text], examples=10, seed=seed) for seed in (1, 1, 2)]
    assert chosen[0] == chosen[1]
    assert chosen[0] != chosen[2]


def test_an_ending_that_repeats_counts_once():
    repeated = ["Another beginning it is.\n\n" + text for text in documents(5)]
    made = passages(documents(20) + repeated + documents(20), examples=500, seed=1)
    assert len(made) == 20
