"""Answers in words: each says what it rests on, and what nobody knows is said to be unknown."""

from collections.abc import Callable

import pytest

from growlm.growth.advise import BreakEven, LayerNorms, break_even
from growlm.growth.answers import (
    Seen,
    annealing,
    exactness,
    order,
    payment,
    profile,
    stopping,
    worth,
)
from growlm.growth.plan import GrowthPlan
from growlm.model.config import GPTConfig


@pytest.mark.parametrize(
    ("tokens", "surety", "words"),
    [
        (None, "unknown", "--parent-tokens 300B tells"),
        (0.0, "reported", "none, so there is nothing to grow"),
        (5e9, "reported", "5B, 5 for each of its 1B non-embedding parameters: young"),
        (20e9, "second hand", "20B, 20 for each of its 1B non-embedding parameters: well trained"),
    ],
)
def test_a_parent_is_worth_growing_by_what_it_has_seen(
    tokens: float | None, surety: str, words: str
) -> None:
    answer = worth(Seen(tokens=tokens, parameters=10**9))
    assert answer.surety == surety
    assert words in answer.text


@pytest.mark.parametrize(
    ("share", "average", "plateau", "surety", "words"),
    [
        (0.1, None, None, "second hand", "yes: its learning rate ended at 10% of the peak"),
        (0.1, None, "base/step-9", "second hand", "the plateau before, where base/step-9 still is"),
        (0.5, None, None, "computed", "no: its learning rate ended at 50% of the peak"),
        (None, None, None, "unknown", "unknown: the parent does not say"),
        (1.0, "the average of 4", None, "guess", "as good as: it is the average of 4. Such"),
    ],
)
def test_an_annealed_or_averaged_parent_is_warned_of(
    *, share: float | None, average: str | None, plateau: str | None, surety: str, words: str
) -> None:
    answer = annealing(lr_share_of_peak=share, average=average, plateau=plateau)
    assert answer.surety == surety
    assert words in answer.text


@pytest.mark.parametrize(
    ("norms", "words"),
    [
        ((1.0, 2.0, 3.0), "rise by 200% from the lower third to the upper (1 to 3); neighbours"),
        ((4.0, 1.0, 3.0), "fall by 25% from the lower third to the upper (4 to 3); neighbours"),
        ((2.0, 2.0), "are as large in the upper third as in the lower (2 to 2); neighbours"),
    ],
)
def test_a_profile_says_where_the_norms_go(norms: tuple[float, ...], words: str) -> None:
    assert profile(LayerNorms(whole=norms, inner=norms)).text.startswith(words)


@pytest.mark.parametrize(
    ("tokens_per_parameter", "factor", "operator", "words"),
    [
        (5.0, 2.0, "stack", "it won for young parents"),
        (5.0, 1.5, "interleave", "put a middle layer on top"),
        (80.0, 2.0, "interleave", "reported to win from about 20"),
        (None, 2.0, "interleave", "trained to the end"),
    ],
)
def test_the_order_is_contested_whatever_it_is(
    tokens_per_parameter: float | None, factor: float, operator: str, words: str
) -> None:
    found = order(tokens_per_parameter=tokens_per_parameter, factor=factor, seam=None, steepest=1.0)
    assert found.operator == operator
    assert found.answer.surety == "contested"
    assert found.answer.text.startswith(f"{operator}: ")
    assert words in found.answer.text
    assert "arXiv:2510.08008" in found.answer.source


@pytest.mark.parametrize(
    ("seam", "words"),
    [
        (10.0, "a stack's seam would be a norm cliff here (10, the parent's own 1.5)"),
        (3.0, "a stack's seam would be no norm cliff here (3, the parent's own 1.5)"),
    ],
)
def test_the_order_says_whether_a_stack_would_make_a_cliff(seam: float, words: str) -> None:
    found = order(tokens_per_parameter=50.0, factor=2.0, seam=seam, steepest=1.5)
    assert words in found.answer.text


def test_exact_growths_are_named_and_the_others_are_not(
    plan_of: Callable[..., GrowthPlan], tiny_config: Callable[..., GPTConfig]
) -> None:
    plans = {
        name: plan_of(tiny_config(), layers=4, mlp=48, depth=name) for name in ("stack", "insert")
    }
    assert exactness(plans).text.startswith("insert: the child begins at its parent's loss")


def test_where_no_growth_is_exact_the_least_reasons_are_given(
    plan_of: Callable[..., GrowthPlan], tiny_config: Callable[..., GPTConfig]
) -> None:
    config = tiny_config()
    plans = {
        name: plan_of(config, layers=4, width=24, depth=name, widen="shrink-pad-perturb")
        for name in ("stack", "insert")
    }
    answer = exactness(plans)
    assert answer.surety == "computed"
    assert answer.text == f"none of these: {'; '.join(plans['insert'].departures)}"


def test_what_must_be_won_is_told_in_three_ledgers() -> None:
    found = break_even(scratch_tokens=41e9, parent_flops=1.772e20, child_flops_per_token=6.749e9)
    answer = payment(found, parent_flops=1.772e20, flops_per_token=6.749e9)
    assert answer.text.splitlines() == [
        "the child must match a scratch run of 41B tokens within",
        "parent charged  14.74B tokens of its own, 36%",
        "shared by two   27.87B tokens of its own, 68%",
        "parent free     41B tokens of its own, 100%",
    ]
    assert answer.surety == "computed"
    assert "C = 1.772e+20 FLOPs of the parent, F = 6.749e+09 per child's token" in answer.source


def test_a_parent_that_cost_too_much_or_an_unknown_sum_is_said_to_have() -> None:
    found = BreakEven(charged=-5e9, shared=2.5e9, free=10e9)
    lines = payment(found, parent_flops=3e19, flops_per_token=2e9).text.splitlines()
    assert lines[1:3] == [
        "parent charged  never: what is charged cost as much as 15B tokens of its own",
        "shared by two   2.5B tokens of its own, 25%",
    ]
    found = BreakEven(charged=None, shared=None, free=10e9)
    answer = payment(found, parent_flops=None, flops_per_token=2e9)
    assert answer.surety == "unknown"
    assert answer.text.count("unknown, as the parent's tokens are") == 2


@pytest.mark.parametrize(
    ("parameters", "tokens", "surety", "words"),
    [
        (1_096_500_000, 41e9, "reported", "16.09B tokens, 39% of the child's; this one has"),
        (70 * 10**9, 2e12, "guess", "42.48B tokens, 2% of the child's"),
        (85_000_000, 2.5e9, "guess", "125M to 250M tokens, 5% to 10% of the child's; this one"),
    ],
)
def test_a_parent_made_to_be_grown_stops_by_the_law_or_by_a_guess(
    parameters: int, tokens: float, surety: str, words: str
) -> None:
    answer = stopping(parameters=parameters, tokens=tokens, seen=48e9)
    assert answer.surety == surety
    assert words in answer.text
    assert answer.text.endswith("this one has seen 48B")
    assert ("beyond its fit" in answer.source) is (parameters > 7 * 10**9)


def test_what_an_unknown_parent_has_seen_is_not_said() -> None:
    assert "this one" not in stopping(parameters=10**9, tokens=1e11, seen=None).text
