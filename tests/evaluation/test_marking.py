"""Marking, and the values that full benchmarks have under models known in closed form."""

import math
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest

from growlm.evaluation.marking import marked, measured
from growlm.evaluation.pairs import requests_of
from growlm.evaluation.request import Encode, Request, Score
from growlm.evaluation.results import TaskScore
from growlm.evaluation.scorer import score
from growlm.evaluation.tasks import Question, Task, load_task, read_task_file

GOLDEN = 1e-9
"""Relative; values made by lm-evaluation-harness 0.4.13 on the same rows, in fp64."""


def question(answer: int, *characters: int) -> Question:
    pairs = tuple(("q", f" {'x' * count}") for count in characters)
    return Question(index=7, pairs=pairs, answer=answer, characters=characters)


def scores(*nats: float, greedy: bool = False) -> list[Score]:
    return [Score(log_likelihood_nats=each, greedy=greedy) for each in nats]


def test_a_last_word_is_right_when_every_token_is_the_likeliest():
    for greedy in (True, False):
        found = marked("last-word", question(0, 4), scores(-2.0, greedy=greedy))
        assert found.values == {"acc": float(greedy), "log_likelihood_nats": -2.0}
        assert (found.index, found.option_nats) == (7, (-2.0,))


def test_the_likeliest_option_counts_and_by_the_character_for_acc_norm():
    found = marked("choice", question(1, 2, 10), scores(-4.0, -5.0))
    assert found.values == {"acc": 0.0, "acc_norm": 1.0, "log_likelihood_nats": -5.0}
    assert found.option_nats == (-4.0, -5.0)


def test_the_first_of_equals_counts():
    values = marked("choice", question(0, 5, 5), scores(-3.0, -3.0)).values
    assert (values["acc"], values["acc_norm"]) == (1.0, 1.0)
    assert marked("choice", question(1, 5, 5), scores(-3.0, -3.0)).values["acc"] == 0.0


def test_a_document_is_measured_in_bytes_of_utf8():
    found = measured(3, "caf\u00e9", scores(-1.0, -2.5), tokens=4)
    assert found.values == {"log_likelihood_nats": -3.5, "bytes": 5.0, "tokens": 4.0}
    assert measured(0, "", [], tokens=0).values["log_likelihood_nats"] == 0.0


@pytest.fixture(scope="module")
def asked(shared_data: Path, neox: Encode) -> Callable[[str, int], tuple[Task, list[Request]]]:
    @cache
    def encoded(name: str, texts: tuple[str, ...]) -> list[list[int]]:
        del name
        return neox(texts)

    @cache
    def ask(name: str, context: int) -> tuple[Task, list[Request]]:
        task = load_task(read_task_file(name), shared_data / "eval", limit=None)
        pairs = [pair for each in task.questions for pair in each.pairs]
        encode = partial(_encoded, encoded, name)
        return task, requests_of(pairs, encode=encode, prefix=0, context=context)

    return ask


def _encoded(encoded: Any, name: str, texts: Sequence[str]) -> list[list[int]]:
    return encoded(name, tuple(texts))


def evaluated(predictor: Any, task: Task, requests: list[Request]) -> TaskScore:
    found = iter(score(predictor, requests, batch_tokens=16_384))
    examples = [
        marked(task.form, each, [next(found) for _ in each.pairs]) for each in task.questions
    ]
    return TaskScore(task=task.name, examples=tuple(examples))


@pytest.mark.parametrize(
    ("kind", "size", "perplexity"),
    [
        ("uniform", 50_277, 2727455.674468965),
        ("rank", 50_277, 19442261.16049894),
        ("rank", 50_304, 19722054.989863973),
    ],
)
def test_lambada_is_worth_what_the_harness_says(asked, rule, kind, size, perplexity):  # noqa: PLR0917
    found = evaluated(rule(kind, size), *asked("lambada_openai", 1024))
    assert len(found.examples) == 5_153
    assert found.perplexity().value == pytest.approx(perplexity, rel=GOLDEN)
    assert found.mean("acc").value == 0.0


def test_a_last_word_of_several_tokens_needs_all_of_them(asked, rule):
    task, requests = asked("lambada_openai", 1024)

    predictor = rule("rank", 50_277)
    inner = predictor.losses
    predictor.losses = lambda batch: (inner(batch)[0], batch.targets % 2 == 1)
    assert evaluated(predictor, task, requests).mean("acc").value == 2_111 / 5_153
    assert sum(len(each.targets) for each in requests) == 7_054


def test_piqa_is_worth_what_the_harness_says(asked, rule):
    wanted = {50_277: 0.5348204570184983, 50_304: 0.5369967355821545}
    for size, acc in wanted.items():
        found = evaluated(rule("rank", size), *asked("piqa", 1024))
        assert found.mean("acc").value == acc
        assert found.mean("acc_norm").value == 0.514145810663765
    # acc alone: by the character, the uniform model has ties that rounding decides
    uniform = evaluated(rule("uniform", 50_277), *asked("piqa", 1024))
    assert uniform.mean("acc").value == 0.529923830250272


def test_the_rank_model_is_a_distribution(rule):
    predictor = rule("rank", 11)
    asked = [Request(inputs=(3, 4), targets=(token,)) for token in range(11)]
    found = score(predictor, asked, batch_tokens=64)
    assert math.fsum(math.exp(each.log_likelihood_nats) for each in found) == pytest.approx(1.0)
    assert sum(each.greedy for each in found) == 1
