"""The draw: which tokens are left, with which probability, and that a seed decides it."""

from typing import Any

import pytest
import torch
from torch import Tensor

from growlm.base.errors import RecipeError
from growlm.generation.sampling import Sampling, candidates, choose, penalised

PLAIN: dict[str, Any] = {
    "temperature": 1.0,
    "top_k": None,
    "top_p": 1.0,
    "repetition_penalty": 1.0,
}
CHANCES = torch.tensor([0.1, 0.4, 0.05, 0.25, 0.2], dtype=torch.float64)


def sampling(**changes: Any) -> Sampling:
    return Sampling(**{**PLAIN, **changes})


def left(**changes: Any) -> tuple[list[int], Tensor]:
    ids, chances = candidates(CHANCES.log(), sampling(**changes))
    return ids.tolist(), chances


def drawn(seed: int, *, count: int, **changes: Any) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    told = sampling(**changes)
    return [choose(CHANCES.log(), told, written=[], generator=generator) for _ in range(count)]


def test_without_settings_every_token_is_left_with_its_own_probability() -> None:
    ids, chances = left()
    assert ids == [1, 3, 4, 0, 2]
    torch.testing.assert_close(chances, CHANCES[ids], rtol=0, atol=1e-15)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_temperature_divides_the_logits(temperature: float) -> None:
    ids, chances = left(temperature=temperature)
    powers = CHANCES[ids] ** (1 / temperature)
    torch.testing.assert_close(chances, powers / powers.sum(), rtol=0, atol=1e-15)


def test_top_k_leaves_so_many_and_no_more_of_equals() -> None:
    ids, chances = left(top_k=3)
    assert ids == [1, 3, 4]
    torch.testing.assert_close(chances, CHANCES[ids] / 0.85, rtol=0, atol=1e-15)
    assert candidates(torch.zeros(7), sampling(top_k=3))[0].tolist() == [0, 1, 2]
    assert len(left(top_k=50)[0]) == 5


@pytest.mark.parametrize(
    ("top_p", "kept"),
    [(0.01, 1), (0.39, 1), (0.41, 2), (0.64, 2), (0.66, 3), (0.84, 3), (0.94, 4), (0.96, 5)],
)
def test_top_p_leaves_the_smallest_set_that_has_the_probability(top_p: float, kept: int) -> None:
    ids, chances = left(top_p=top_p)
    assert ids == [1, 3, 4, 0, 2][:kept]
    assert CHANCES[ids].sum() >= top_p > CHANCES[ids[:-1]].sum()
    torch.testing.assert_close(chances, CHANCES[ids] / CHANCES[ids].sum(), rtol=0, atol=1e-15)


def test_top_p_is_taken_of_what_top_k_left() -> None:
    # 0.4 of 0.65 is 0.62: with every token left it would have been 0.4, too little.
    assert left(top_k=2, top_p=0.6)[0] == [1]
    assert left(top_p=0.6)[0] == [1, 3]


def test_the_penalty_lowers_what_stands_there_already_and_nothing_else() -> None:
    logits = torch.tensor([2.0, -2.0, 0.0, 3.0])
    found = penalised(logits, [0, 1, 2, 1], penalty=2.0)
    assert found.tolist() == [1.0, -4.0, 0.0, 3.0]
    assert logits.tolist() == [2.0, -2.0, 0.0, 3.0]
    assert penalised(logits, [0, 1], penalty=1.0) is logits


def test_greedy_takes_the_likeliest_after_the_penalty_and_draws_nothing() -> None:
    logits = torch.tensor([1.0, 2.0, 1.5])
    generator = torch.Generator().manual_seed(0)
    before = generator.get_state()
    greedy = sampling(temperature=0.0, repetition_penalty=2.0, top_k=1)
    assert choose(logits, greedy, written=[], generator=generator) == 1
    assert choose(logits, greedy, written=[1], generator=generator) == 2
    assert torch.equal(generator.get_state(), before)


def test_a_seed_decides_and_another_decides_otherwise() -> None:
    assert drawn(1, count=40) == drawn(1, count=40)
    assert drawn(1, count=40) != drawn(2, count=40)


def test_tokens_come_as_often_as_they_are_likely() -> None:
    found = torch.tensor(drawn(0, count=300)).bincount(minlength=5) / 300
    # Four standard errors of the likeliest token's share.
    torch.testing.assert_close(found.double(), CHANCES, rtol=0, atol=4 * (0.24 / 300) ** 0.5)


def test_what_was_left_out_never_comes() -> None:
    assert set(drawn(0, count=60, top_k=2)) == {1, 3}


def test_one_number_is_drawn_for_a_token_whatever_the_settings() -> None:
    generators = [torch.Generator().manual_seed(5) for _ in range(2)]
    choose(CHANCES.log(), sampling(), written=[], generator=generators[0])
    choose(CHANCES.log(), sampling(top_k=1), written=[], generator=generators[1])
    assert torch.equal(generators[0].get_state(), generators[1].get_state())


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"temperature": -1.0},
            "expected a temperature of 0 or more; got -1. Try 0.8, or 0 for greedy.",
        ),
        (
            {"temperature": float("nan")},
            "expected a temperature of 0 or more; got nan. Try 0.8, or 0 for greedy.",
        ),
        ({"top_k": 0}, "expected top-k of at least 1 token; got 0. Try 40, or leaving it out."),
        (
            {"top_p": 0.0},
            "expected top-p above 0 and at most 1; got 0. Try 0.95, or 1 to leave all tokens.",
        ),
        (
            {"top_p": 1.5},
            "expected top-p above 0 and at most 1; got 1.5. Try 0.95, or 1 to leave all tokens.",
        ),
        (
            {"repetition_penalty": 0.0},
            "expected a repetition penalty above 0; got 0. Try 1.1, or 1 for none.",
        ),
    ],
)
def test_a_number_outside_its_range_is_refused(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(RecipeError) as caught:
        sampling(**changes)
    assert str(caught.value) == line
