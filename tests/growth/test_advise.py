"""Advice: the published figures come out, and where no law holds none is given."""

import pytest

from growlm.growth.advise import base_tokens, break_even, is_annealed, order


@pytest.mark.parametrize(
    ("parameters", "tokens", "expected"),
    [
        (8e9, 15e12, 6.581e9),
        (7e9, 2e12, 11.113e9),
        (13e9, 2e12, 15.844e9),
        (70e9, 2e12, 42.475e9),
        (0.7567e9, 41e9, 13.436e9),
        (1.0965e9, 41e9, 16.089e9),
    ],
)
def test_the_base_of_published_targets_stops_where_the_law_says(
    parameters: float, tokens: float, expected: float
) -> None:
    assert base_tokens(parameters=parameters, tokens=tokens).tokens == pytest.approx(
        expected, rel=1e-3
    )


def test_below_its_range_the_law_is_not_used() -> None:
    advice = base_tokens(parameters=85e6, tokens=2.5e9)
    assert advice.tokens is None
    assert "our guess" in advice.reason


def test_the_reference_would_have_broken_even_where_its_ledger_says() -> None:
    """The 1.1B: base 1.772e20 FLOPs, 6.749e9 a token, 41B tokens; and the 760M."""
    large = break_even(scratch_tokens=41e9, parent_flops=1.772e20, child_flops_per_token=6.749e9)
    assert large.charged == pytest.approx(14.7e9, rel=5e-3)
    assert large.shared == pytest.approx(27.9e9, rel=5e-3)
    assert large.free == 41e9
    small = break_even(scratch_tokens=41e9, parent_flops=1.772e20, child_flops_per_token=4.767e9)
    assert small.charged == pytest.approx(3.8e9, rel=2e-2)
    assert small.shared == pytest.approx(22.4e9, rel=5e-3)


@pytest.mark.parametrize(
    ("tokens_per_parameter", "factor", "operator", "words"),
    [
        (5.0, 2.0, "stack", "young"),
        (5.0, 1.5, "interleave", "no whole multiple"),
        (80.0, 2.0, "interleave", "Contested"),
        (None, 2.0, "interleave", "nobody knows"),
    ],
)
def test_the_order_is_advised_with_its_reason_and_its_doubt(
    tokens_per_parameter: float | None, factor: float, operator: str, words: str
) -> None:
    advice = order(tokens_per_parameter=tokens_per_parameter, factor=factor)
    assert advice.operator == operator
    assert words in advice.reason


@pytest.mark.parametrize(("share", "annealed"), [(0.1, True), (1.0, False), (None, False)])
def test_a_parent_whose_rate_ran_down_is_annealed(share: float | None, *, annealed: bool) -> None:
    assert is_annealed(share) is annealed
