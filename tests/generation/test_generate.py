"""Generation, against a loop that reads everything anew for each token."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from growlm.base.errors import EvaluationError
from growlm.generation import generate as module
from growlm.generation.generate import Token, Writing, generate
from growlm.generation.sampling import Sampling, choose
from growlm.model.config import GPTConfig
from growlm.model.gpt import GPT

KINDS = ["alibi", "learned", "rotary", "none"]
PROMPTS = ([5, 6, 7], [8], [9, 10, 11, 12, 13])


def writing(
    *, tokens: int = 9, end_of_text: int | None = None, alternatives: int = 3, **changes: Any
) -> Writing:
    plain: dict[str, Any] = {
        "temperature": 1.0,
        "top_k": None,
        "top_p": 1.0,
        "repetition_penalty": 1.0,
    }
    return Writing(
        sampling=Sampling(**{**plain, **changes}),
        tokens=tokens,
        end_of_text=end_of_text,
        alternatives=alternatives,
        compiled=False,
    )


def told(
    model: GPT,
    prompts: Sequence[Sequence[int]],
    how: Writing,
    *,
    seeds: Sequence[int] | None = None,
) -> list[list[Token]]:
    """Return the tokens of each sequence."""
    generators = [torch.Generator().manual_seed(each) for each in seeds or range(len(prompts))]
    rows: list[list[Token]] = [[] for _ in prompts]
    for token in generate(model, prompts, how, generators=generators):
        rows[token.row].append(token)
    return rows


def ids(tokens: Sequence[Token]) -> list[int]:
    return [token.id for token in tokens]


@pytest.fixture(params=KINDS)
def model(
    request: pytest.FixtureRequest,
    tiny_config: Callable[..., GPTConfig],
    tiny_model: Callable[..., GPT],
) -> GPT:
    return tiny_model(tiny_config(positions=request.param), dtype=torch.float64)


@pytest.fixture
def plain(tiny_config: Callable[..., GPTConfig], tiny_model: Callable[..., GPT]) -> GPT:
    return tiny_model(tiny_config(), dtype=torch.float64)


@torch.no_grad()
def anew(model: GPT, prompt: Sequence[int], how: Writing, seed: int) -> list[int]:
    """Return what a loop without a cache writes."""
    written, generator = list(prompt), torch.Generator().manual_seed(seed)
    for _ in range(how.tokens):
        logits = model.logits(torch.tensor([written]))[0, -1]
        written.append(choose(logits, how.sampling, written=written, generator=generator))
    return written[len(prompt) :]


def test_greedy_is_the_loop_of_the_likeliest(model: GPT) -> None:
    found = told(model, PROMPTS, writing(tokens=5, temperature=0.0))
    for prompt, tokens in zip(PROMPTS, found, strict=True):
        written = list(prompt)
        for token in tokens:
            assert token.id == int(model.logits(torch.tensor([written]))[0, -1].argmax())
            written.append(token.id)


def test_a_batch_writes_what_each_would_alone_and_the_uncached_loop_too(model: GPT) -> None:
    how = writing(tokens=6, temperature=0.9, top_k=20, top_p=0.9, repetition_penalty=1.2)
    together = told(model, PROMPTS, how, seeds=[3, 4, 5])
    for prompt, seed, tokens in zip(PROMPTS, [3, 4, 5], together, strict=True):
        assert ids(tokens) == ids(told(model, [prompt], how, seeds=[seed])[0])
        assert ids(tokens) == anew(model, prompt, how, seed)


def test_a_token_is_told_with_the_model_s_own_probability_and_the_likeliest(plain: GPT) -> None:
    (tokens,) = told(plain, [PROMPTS[0]], writing(temperature=0.3, top_k=5, repetition_penalty=2.0))
    written = list(PROMPTS[0])
    for token in tokens:
        chances = plain.logits(torch.tensor([written]))[0, -1].detach().softmax(0)
        best = chances.argsort(descending=True)[:3].tolist()
        assert token.probability == pytest.approx(float(chances[token.id]), abs=1e-12)
        assert [each for each, _ in token.alternatives] == best
        assert [p for _, p in token.alternatives] == pytest.approx(chances[best].tolist())
        written.append(token.id)


def test_it_ends_at_its_own_token_or_at_the_number_asked_for(plain: GPT) -> None:
    (free,) = told(plain, [PROMPTS[0]], writing(temperature=0.0))
    end = free[4].id
    first = ids(free).index(end)
    found = told(plain, PROMPTS, writing(temperature=0.0, end_of_text=end))
    assert ids(found[0]) == ids(free)[: first + 1]
    assert [token.end for token in found[0]] == [*[None] * first, "end of text"]
    assert [token.end for token in free] == [*[None] * 8, "tokens"]
    assert {row[-1].end for row in found} <= {"end of text", "tokens"}


def test_a_sequence_that_ended_leaves_the_others_as_they_were(plain: GPT) -> None:
    free = told(plain, PROMPTS, writing())
    end = free[1][2].id
    stopped = told(plain, PROMPTS, writing(end_of_text=end))
    assert len(stopped[1]) <= 3
    for before, after in zip(free, stopped, strict=True):
        assert ids(before)[: len(after)] == ids(after)


def test_learned_positions_end_a_sequence_at_their_last(
    tiny_config: Callable[..., GPTConfig], tiny_model: Callable[..., GPT]
) -> None:
    model = tiny_model(tiny_config(positions="learned", context=16))
    long, short = told(model, [list(range(14)), [1]], writing(tokens=9))
    assert [token.end for token in long] == [None, None, "context"]
    assert [token.end for token in short] == [*[None] * 8, "tokens"]


def test_alibi_writes_beyond_the_context(plain: GPT) -> None:
    how = writing(tokens=12)
    (tokens,) = told(plain, [list(range(20))], how, seeds=[1])
    assert plain.config.context == 16
    assert ids(tokens) == anew(plain, list(range(20)), how, 1)


def test_prompts_longer_than_what_is_read_at_once_are_the_same(
    plain: GPT, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [ids(each) for each in told(plain, PROMPTS, writing())]
    monkeypatch.setattr(module, "CHUNK", 2)
    assert [ids(each) for each in told(plain, PROMPTS, writing())] == before


@pytest.mark.parametrize(
    ("prompts", "line"),
    [
        (
            [],
            "expected prompts of at least one token; got none. "
            "Try prompts that begin with the end-of-text token.",
        ),
        (
            [[1], []],
            "expected prompts of at least one token; got an empty one. "
            "Try prompts that begin with the end-of-text token.",
        ),
        (
            [[1, 61]],
            "expected tokens of the model's vocabulary, 0 to 60; got 61. "
            "Try the tokenizer that the model was trained with.",
        ),
        (
            [[1] * 17],
            "expected a prompt of at most 16 tokens: that many positions were learned; got 17. "
            "Try a shorter prompt, or a model with ALiBi.",
        ),
    ],
)
def test_a_prompt_that_cannot_be_read_is_refused(
    tiny_config: Callable[..., GPTConfig],
    tiny_model: Callable[..., GPT],
    prompts: list[list[int]],
    line: str,
) -> None:
    model = tiny_model(tiny_config(positions="learned", context=16))
    with pytest.raises(EvaluationError) as caught:
        told(model, prompts, writing())
    assert str(caught.value) == line


def test_logits_that_are_no_numbers_are_refused(plain: GPT) -> None:
    with torch.no_grad():
        plain.embedding.weight[5] = torch.nan
    with pytest.raises(EvaluationError) as caught:
        told(plain, [PROMPTS[0]], writing())
    assert str(caught.value) == (
        "expected finite scores; got infinity or not-a-number. Try an earlier checkpoint."
    )
