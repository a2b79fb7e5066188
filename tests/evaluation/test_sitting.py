from collections.abc import Callable, Sequence
from typing import Any

import pytest

from growlm.base.errors import EvaluationError
from growlm.evaluation.decoder import Decoder
from growlm.evaluation.sitting import Document, Sitting, characters, chunks_of
from growlm.evaluation.tasks import Question
from growlm.model.gpt import GPT


def encode(texts: Sequence[str]) -> list[list[int]]:
    return [list(text.encode()) for text in texts]


@pytest.fixture
def sitting(byte_model: Callable[..., GPT]) -> Callable[..., Sitting]:
    def build(**changes: Any) -> Sitting:
        options: dict[str, Any] = {
            "predictor": Decoder(byte_model()),
            "encode": encode,
            "prefix": 256,
            "context": 8,
            "overlap": 0,
            "batch_tokens": 64,
        }
        return Sitting(**(options | changes))

    return build


def questions(number: int) -> list[Question]:
    return [
        Question(
            index=index,
            pairs=(("who?" * (index % 3 + 1), " he"), ("who?" * (index % 3 + 1), " them")),
            answer=index % 2,
            characters=(2, 4),
        )
        for index in range(number)
    ]


def test_questions_of_a_chunk_score_what_each_scores_alone(sitting):
    asked = questions(5)
    together = sitting(context=32).questions("choice", asked)
    for question, found in zip(asked, together, strict=True):
        (alone,) = sitting(context=32).questions("choice", [question])
        assert found.index == question.index
        # fp32 sums in batches of another shape
        assert found.option_nats == pytest.approx(alone.option_nats, rel=1e-5)
        assert (found.values["acc"], found.values["acc_norm"]) == (
            alone.values["acc"],
            alone.values["acc_norm"],
        )


def test_a_document_has_its_bytes_and_an_empty_one_adds_nothing(sitting):
    texts = ["caf\u00e9 in the sun", "", "x"]
    documents = [Document(index=n, text=text) for n, text in enumerate(texts)]
    found = sitting().documents(documents)
    assert [each.values["bytes"] for each in found] == [15.0 + 1, 0.0, 1.0]
    assert [each.values["tokens"] for each in found] == [16.0, 0.0, 1.0]
    assert found[1].values["log_likelihood_nats"] == 0.0


def test_an_overlap_reads_tokens_again_and_scores_each_once(sitting):
    document = [Document(index=0, text="the cat sat on the mat")]
    (plain,), (again,) = (sitting(overlap=n).documents(document) for n in (0, 6))
    assert plain.values["tokens"] == again.values["tokens"] == 22.0
    assert plain.values["log_likelihood_nats"] != again.values["log_likelihood_nats"]


@pytest.mark.parametrize("overlap", [8, 9, -1])
def test_an_overlap_leaves_something_to_score(sitting, overlap):
    with pytest.raises(EvaluationError, match=f"0 to 7 tokens, below the context; got {overlap}"):
        sitting(overlap=overlap)


def test_chunks_hold_every_item_once_longest_first_and_have_a_bound():
    lengths = [3, 1, 50, 7, 7, 2, 9]
    chunks = chunks_of(lengths, most=10)
    assert sorted(number for chunk in chunks for number in chunk) == list(range(7))
    assert [lengths[chunk[0]] for chunk in chunks] == [50, 9, 7, 7, 2]
    assert all(len(chunk) == 1 or sum(lengths[n] for n in chunk) <= 10 for chunk in chunks)
    assert chunks_of([], most=10) == []


def test_the_length_of_an_item_is_that_of_all_that_is_read():
    assert characters(questions(1)[0]) == 4 + 3 + 4 + 5
    assert characters(Document(index=0, text="abc")) == 3
