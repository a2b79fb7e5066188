import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, strategies as st

from growlm.base.errors import EvaluationError
from growlm.evaluation.bits_per_byte import (
    BitsPerByte,
    bits_per_byte,
    corpus_bits_per_byte,
    rolling_windows,
)
from growlm.evaluation.decoder import Decoder
from growlm.evaluation.results import ExampleScore, TaskScore
from growlm.evaluation.sitting import Document, Sitting
from growlm.model.gpt import GPT

END_OF_TEXT = 256
TEXTS = ["The first document.", "", "A second, with caf\u00e9 in it.", "x"]


def encode(texts: Sequence[str]) -> list[list[int]]:
    return [list(text.encode()) for text in texts]


def measure(model: GPT, texts: Sequence[str], **changes: Any) -> BitsPerByte:
    options: dict[str, Any] = {
        "encode": encode,
        "prefix": END_OF_TEXT,
        "context": 8,
        "overlap": 0,
        "batch_tokens": 64,
    }
    sitting = Sitting(predictor=Decoder(model), **(options | changes))
    found = sitting.documents([Document(index=n, text=text) for n, text in enumerate(texts)])
    return bits_per_byte(TaskScore(task="prose", examples=tuple(found)))


def one_pass_bits(model: GPT, texts: Sequence[str]) -> float:
    """The oracle: each document in one forward pass, all logits."""
    total = 0.0
    for text in texts:
        ids_1T = torch.tensor([[END_OF_TEXT, *text.encode()]])
        with torch.no_grad():
            log_p_TV = model.logits(ids_1T)[0, :-1].double().log_softmax(-1)
        total -= log_p_TV.gather(1, ids_1T[0, 1:, None]).sum().item()
    return total / math.log(2)


def test_ten_tokens_make_three_windows_of_four():
    windows = list(rolling_windows(range(10), prefix=99, context=4))
    assert [(window.inputs, window.targets) for window in windows] == [
        ((99, 0, 1, 2), (0, 1, 2, 3)),
        ((3, 4, 5, 6), (4, 5, 6, 7)),
        ((5, 6, 7, 8), (8, 9)),
    ]


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (0, []),
        (1, [((99,), (0,))]),
        (4, [((99, 0, 1, 2), (0, 1, 2, 3))]),
        (5, [((99, 0, 1, 2), (0, 1, 2, 3)), ((0, 1, 2, 3), (4,))]),
    ],
)
def test_documents_around_one_context_long(tokens: int, expected: list[Any]):
    windows = rolling_windows(range(tokens), prefix=99, context=4)
    assert [(window.inputs, window.targets) for window in windows] == expected


@given(tokens=st.integers(0, 60), context=st.integers(1, 20))
def test_each_token_is_scored_once_after_the_tokens_before_it(tokens: int, context: int):
    windows = list(rolling_windows(range(tokens), prefix=-1, context=context))
    assert [target for window in windows for target in window.targets] == list(range(tokens))
    for window in windows:
        # Token t is input t of the stream -1, 0, 1, ...: each input is one less than its target.
        last = window.targets[-1]
        assert window.inputs == tuple(range(last - len(window.inputs), last))
        assert len(window.inputs) == min(context, tokens)


def test_a_uniform_model_needs_the_same_bits_for_every_token(uniform_model: GPT):
    n_bytes = sum(len(text.encode()) for text in TEXTS)
    doubled = measure(uniform_model, TEXTS, encode=lambda texts: [2 * i for i in encode(texts)])
    assert doubled.value == pytest.approx(2 * math.log2(257), rel=1e-6)
    assert (doubled.documents, doubled.bytes, doubled.tokens) == (4, n_bytes, 2 * n_bytes)


def test_bytes_are_counted_not_characters(uniform_model: GPT):
    got = measure(uniform_model, ["\u00e9\u00e9"], encode=lambda _: [[7]])
    assert (got.bytes, got.tokens) == (4, 1)
    assert got.value == pytest.approx(math.log2(257) / 4, rel=1e-6)


@pytest.mark.parametrize("positions", ["alibi", "learned", "rotary"])
def test_documents_shorter_than_the_context_are_read_in_one_pass(
    byte_model: Callable[..., GPT], positions: str
):
    model = byte_model(positions)
    texts = ["A short one.", "Another one.", "z"]
    got = measure(model, texts, context=16)
    expected = one_pass_bits(model, texts) / sum(map(len, texts))
    assert got.value == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("context", [1, 3, 8, 100])
def test_a_model_without_memory_scores_the_same_in_any_context(
    bigram_model: Callable[..., GPT], context: int
):
    model = bigram_model(torch.randn(257, 257, generator=torch.Generator().manual_seed(0)))
    got = measure(model, TEXTS, context=context)
    expected = one_pass_bits(model, TEXTS) / got.bytes
    assert got.value == pytest.approx(expected, rel=1e-5)


def test_documents_are_weighted_by_their_bytes_and_never_joined(byte_model: Callable[..., GPT]):
    model = byte_model()
    apart = [measure(model, [text]) for text in TEXTS if text]
    together = measure(model, TEXTS)
    assert together.bytes == sum(each.bytes for each in apart)
    weighted = sum(each.value * each.bytes for each in apart) / together.bytes
    assert together.value == pytest.approx(weighted, rel=1e-5)
    # The control: joined, the same text scores otherwise.
    joined = measure(model, ["".join(TEXTS)])
    assert joined.value != pytest.approx(weighted, rel=1e-4)


def test_the_batch_size_changes_only_rounding(byte_model: Callable[..., GPT]):
    model = byte_model()
    expected, got = measure(model, TEXTS), measure(model, TEXTS, batch_tokens=9)
    assert got.value == pytest.approx(expected.value, rel=1e-5)
    assert (got.documents, got.bytes, got.tokens) == (4, expected.bytes, expected.tokens)
    assert (got.documents, got.empty) == (4, 1)


def test_windows_that_overlap_read_again_and_score_each_token_once():
    windows = list(rolling_windows(range(10), prefix=99, context=4, overlap=2))
    assert [(window.inputs, window.targets) for window in windows] == [
        ((99, 0, 1, 2), (0, 1, 2, 3)),
        ((1, 2, 3, 4), (4, 5)),
        ((3, 4, 5, 6), (6, 7)),
        ((5, 6, 7, 8), (8, 9)),
    ]


def documents(*sizes: float) -> TaskScore:
    scores = [
        ExampleScore(
            index=n, values={"log_likelihood_nats": -math.log(2) * n, "bytes": size, "tokens": 1.0}
        )
        for n, size in enumerate(sizes)
    ]
    return TaskScore(task="prose", examples=tuple(scores))


def test_documents_scored_one_by_one_are_weighted_by_their_bytes():
    assert corpus_bits_per_byte(documents(0.0, 4.0, 8.0)) == pytest.approx((1 + 2) / 12)


def test_documents_that_are_all_empty_have_no_bits_per_byte():
    with pytest.raises(EvaluationError, match="in prose; got 2 documents, all empty"):
        corpus_bits_per_byte(documents(0.0, 0.0))


def test_the_standard_error_is_that_of_documents_drawn_anew():
    # Documents of one byte with 0 to 99 bits: the mean strays by the spread over sqrt(100).
    found = bits_per_byte(documents(*[1.0] * 100))
    spread = math.sqrt(sum((n - 49.5) ** 2 for n in range(100)) / 100)
    assert found.value == pytest.approx(49.5)
    # Of 1,000 resamples, within a tenth.
    assert found.stderr == pytest.approx(spread / 10, rel=0.1)
    assert found.low < found.value < found.high


@pytest.mark.parametrize("sizes", [(4.0,), (0.0, 4.0), (4.0, 0.0, 0.0)])
def test_a_single_document_with_text_has_no_standard_error(sizes: tuple[float, ...]):
    assert bits_per_byte(documents(*sizes)).stderr is None
