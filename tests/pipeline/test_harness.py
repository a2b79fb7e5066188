"""Our side of lm-evaluation-harness's model, which answers with and without the harness."""

import math
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from torch import Tensor

from growlm.base.errors import CorpusError, EvaluationError
from growlm.evaluation.decoder import Decoder
from growlm.evaluation.packing import Batch
from growlm.evaluation.sitting import Sitting
from growlm.pipeline import harness
from growlm.pipeline.harness import Answers, example_of
from growlm.training.parallel import World

PREFIX = 61


@dataclass
class Instance:
    args: tuple[Any, ...]


class Places:
    """A predictor whose loss is the place of what predicts: it shows where windows begin."""

    longest = None
    vocab_size = 256

    def losses(self, batch: Batch) -> Any:
        place = batch.places[batch.rows, batch.columns]
        return place.double(), batch.targets == ord("!")


def sitting(predictor: Any = None, context: int = 4) -> Sitting:
    return Sitting(
        predictor=predictor or Places(),
        encode=lambda texts: [list(text.encode()) for text in texts],
        prefix=PREFIX,
        context=context,
        overlap=0,
        batch_tokens=64,
    )


def answers(context: int = 4) -> Answers:
    return Answers(sitting=sitting(context=context))


def test_pairs_are_answered_in_their_order():
    asked = [Instance(("abcdef", "!!")), Instance(("", "!")), Instance(("a ", "b"))]
    assert answers().pairs(asked) == [(-5.0, True), (0.0, True), (-1.0, False)]


def test_tokens_are_answered_as_the_pairs_that_they_are_of():
    pairs = [("abcdef", "!!"), ("a", "b")]
    tokens = [(pair, list(pair[0].encode()), list(pair[1].encode())) for pair in pairs]
    assert answers().tokens(tokens) == answers().pairs([Instance(pair) for pair in pairs])


class Half(World):
    """One of two ranks, whose sums are its own share, so that a test can add them."""

    def __init__(self, rank: int, other: int = 0) -> None:
        super().__init__(rank=rank, size=2)
        self.other = other

    def sum(self, tensor: Tensor) -> Tensor:
        return tensor

    def each(self, tensor: Tensor) -> list[Tensor]:
        return [tensor, tensor + self.other]


def test_ranks_share_what_is_asked_and_add_up_to_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(harness, "CHUNK_TOKENS", 8)
    asked = [Instance(("abcdef"[: n % 3 + 1], "!!"[: n % 2 + 1])) for n in range(20)]
    halves = [Answers(sitting=sitting(), world=Half(rank)).pairs(asked) for rank in (0, 1)]
    assert [
        (one + other, first or second)
        for (one, first), (other, second) in zip(*halves, strict=True)
    ] == answers().pairs(asked)
    for half in halves:
        assert {greedy for _, greedy in half} == {True, False}, "each rank did some, not all"


def test_ranks_that_are_asked_otherwise_are_refused():
    half = Answers(sitting=sitting(), world=Half(1, other=1))
    with pytest.raises(EvaluationError, match="got other questions on another rank"):
        half.pairs([Instance(("a", "!"))])


def test_texts_are_answered_over_windows_and_an_empty_one_with_nothing():
    found = answers().texts([Instance(("abcdef",)), Instance(("",))])
    # places 0 to 3 of the first window, the last two of the second
    assert found == [-(0 + 1 + 2 + 3) - (2 + 3), 0.0]


def test_the_harness_asks_for_scores_and_never_for_text(tiny_config, tiny_model):
    model = tiny_model(tiny_config(vocab_size=256, padded_vocab_size=256))

    class Base:
        def __init__(self) -> None:
            self.made = True

    kind: Any = type("Model", (harness._Answering, Base), {})
    ours = kind(sitting=sitting(Decoder(model), 8))
    assert (ours.made, ours.eot_token_id, ours.max_length) == (True, PREFIX, 8)
    assert ours.tok_encode("ab", add_special_tokens=False) == [97, 98]
    ((nats, _),) = ours.loglikelihood([Instance(("ab", "c"))], disable_tqdm=True)
    ((same, _),) = ours._loglikelihood_tokens([(("ab", "c"), [97, 98], [99])])
    assert nats == same
    assert ours.loglikelihood_rolling([Instance(("abc",))])[0] < nats
    with pytest.raises(EvaluationError, match="got one that asks for 1 texts to be written"):
        ours.generate_until([Instance(("ab",))])


def test_a_sample_of_options_keeps_their_log_likelihoods_and_that_of_the_right_one():
    sample = {
        "doc_id": 4,
        "target": 1,
        "filtered_resps": [(-3.0, False), (-2.5, True)],
        "metrics": ["acc", "acc_norm", "mcc"],
        "acc": 1.0,
        "acc_norm": 0,
        "mcc": (1, 1),
    }
    found = example_of(sample)
    assert (found.index, found.option_nats) == (4, (-3.0, -2.5))
    assert found.values == {"acc": 1.0, "acc_norm": 0.0, "log_likelihood_nats": -2.5}


def test_a_sample_of_a_last_word_has_its_log_likelihood_for_the_perplexity():
    sample = {
        "doc_id": 0,
        "target": " word",
        "filtered_resps": [(-math.e, True)],
        "metrics": ["perplexity", "acc"],
        "perplexity": -math.e,
        "acc": 1,
    }
    found = example_of(sample)
    assert found.values == {"acc": 1.0, "log_likelihood_nats": -math.e}


def test_a_task_is_known_by_its_rows_and_its_configuration(monkeypatch: pytest.MonkeyPatch):
    rows = [{"n": 1}, {"n": 2}, {"n": 3}]
    made: dict[str, Any] = {"doc_to_text": len}

    def load(_name: str) -> Any:
        return SimpleNamespace(eval_docs=rows, VERSION=1.0, dump_config=lambda: made)

    monkeypatch.setattr(harness, "load", load)
    found = harness.load_harness_task("x", limit=2)
    assert (found.name, found.version, found.rows) == ("x", "1.0", 2)
    assert found.sha256 != harness.load_harness_task("x", limit=None).sha256
    asked = found.asked
    made["doc_to_text"] = max
    assert harness.load_harness_task("x", limit=2).asked != asked


def test_arguments_of_the_harness_seat_a_model(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(EvaluationError, match="dtype=fp32 or dtype=bf16; got 'fp8'"):
        harness._sitting_of(checkpoint="x", dtype="fp8")
    seen: dict[str, Any] = {}

    def seated(model: Any, dtype: str) -> Any:
        seen["dtype"] = dtype
        return model

    def sitting_of(model: Any, tokens: int, **options: Any) -> Sitting:
        seen.update(model=model, tokens=tokens, **options)
        return sitting()

    monkeypatch.setattr(harness, "open_model", str)
    monkeypatch.setattr(harness, "contexts_of", lambda _, words: [int(words[0])])
    monkeypatch.setattr(harness, "seated", seated)
    monkeypatch.setattr(harness, "sitting_of", sitting_of)
    harness._sitting_of(checkpoint="x", context=512, batch_size="64", device="cpu")
    assert seen == {
        "dtype": "fp32",
        "model": "x",
        "tokens": 512,
        "overlap": 0,
        "batch_tokens": 64 * 512,
    }


def test_the_harness_s_own_command_line_says_in_a_line_what_it_lacks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def gone() -> None:
        raise CorpusError("the package lm_eval", got="a Python without it", fix="pip install it")

    monkeypatch.setattr(harness, "register", gone)
    assert harness.main() == 1
    said = "growlm: expected the package lm_eval; got a Python without it. Try pip install it.\n"
    assert capsys.readouterr().err == said
