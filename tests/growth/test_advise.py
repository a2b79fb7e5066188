"""The numbers behind advice: published figures come out, and where no law holds none is given."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from growlm.base.errors import GrowthError
from growlm.growth.advise import LayerNorms, base_tokens, break_even, is_annealed, layer_norms
from growlm.growth.certificate import layer_norms as measured_norms, norm_cliff
from growlm.growth.depth import OPERATORS, depth_plan
from growlm.growth.plan import GrowthPlan
from growlm.model.config import GPTConfig
from growlm.model.gpt import GPT
from growlm.model.streamed import Streamed
from growlm.model.weights import held


@pytest.mark.parametrize(
    ("parameters", "tokens", "expected"),
    [
        (8e9, 15e12, 6.581e9),
        (7e9, 2e12, 11.113e9),
        (13e9, 2e12, 15.844e9),
        (70e9, 2e12, 42.475e9),
        (0.7567e9, 41e9, 13.436e9),
        (0.6795e9, 41e9, 12.757e9),
        (1.0965e9, 41e9, 16.089e9),
        (1.0192e9, 41e9, 15.524e9),
    ],
)
def test_the_base_of_published_targets_stops_where_the_law_says(
    parameters: float, tokens: float, expected: float
) -> None:
    assert base_tokens(parameters=parameters, tokens=tokens) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("parameters", "tokens"),
    [(85e6, 2.5e9), (0.399e9, 1e12), (1.0965e9, 20e9)],
    ids=["both", "too small", "more than half of the target's tokens"],
)
def test_out_of_its_range_the_law_is_not_used(parameters: float, tokens: float) -> None:
    assert base_tokens(parameters=parameters, tokens=tokens) is None


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
    ("base_tokens", "flops_per_token", "within"),
    [(10e9, 4.767e9, 33.3e9), (10e9, 6.749e9, 35.5e9), (13.4e9, 4.767e9, 30.6e9)],
)
def test_an_earlier_base_is_paid_for_sooner(
    base_tokens: float, flops_per_token: float, within: float
) -> None:
    found = break_even(
        scratch_tokens=41e9,
        parent_flops=base_tokens * 3.691e9,
        child_flops_per_token=flops_per_token,
    )
    assert found.charged == pytest.approx(within, rel=3e-3)


def test_a_parent_of_unknown_cost_can_be_free_only() -> None:
    found = break_even(scratch_tokens=1e9, parent_flops=None, child_flops_per_token=1e6)
    assert (found.charged, found.shared, found.free) == (None, None, 1e9)


def test_a_parent_that_cost_too_much_is_never_paid_for() -> None:
    found = break_even(scratch_tokens=10.0, parent_flops=30.0, child_flops_per_token=2.0)
    assert (found.charged, found.shared) == (-5.0, 2.5)


@pytest.mark.parametrize(
    ("share", "annealed"), [(0.1, True), (0.5, False), (1.0, False), (None, False)]
)
def test_a_parent_whose_rate_ran_down_is_annealed(share: float | None, *, annealed: bool) -> None:
    assert is_annealed(share) is annealed


@pytest.fixture
def parent(tiny_config: Callable[..., GPTConfig], tiny_model: Callable[..., GPT]) -> GPT:
    return tiny_model(tiny_config(layers=6))


def streamed(model: GPT) -> Streamed:
    return Streamed(model.config, held(model.state_dict()))


def test_norms_of_a_stream_are_those_of_the_model(parent: GPT) -> None:
    found = layer_norms(reversed(list(parent.named_parameters())), layers=6)
    assert found.whole == pytest.approx(measured_norms(streamed(parent)), rel=1e-12)
    assert all(inner < whole for inner, whole in zip(found.inner, found.whole, strict=True))


@pytest.mark.parametrize("operator", OPERATORS)
def test_the_predicted_cliff_is_the_one_that_the_child_has(
    *, operator: str, parent: GPT, grown: Callable[..., GPT], plan_of: Callable[..., GrowthPlan]
) -> None:
    layers = 9 if operator in {"interleave", "insert", "append"} else 12
    plan = plan_of(parent.config, layers=layers, depth=operator)
    norms = layer_norms(parent.named_parameters(), layers=6)
    expected = norm_cliff(
        measured_norms(streamed(parent)), measured_norms(streamed(grown(parent, plan)))
    )
    assert norms.cliff(plan.depth) == pytest.approx(expected, rel=1e-9)


def test_a_stack_of_rising_norms_is_a_cliff_as_high_as_the_parent() -> None:
    norms = LayerNorms(whole=(1.0, 2.0, 3.0, 4.0), inner=(0.5, 1.0, 1.5, 2.0))
    assert norms.cliff(depth_plan("stack", parent_layers=4, layers=8)) == 3.0
    assert norms.cliff(depth_plan("interleave", parent_layers=4, layers=8)) == 1.0
    assert (norms.mean_step, norms.steepest, norms.rise) == (1.0, 1.0, 7 / 3)


def test_one_layer_has_no_profile() -> None:
    norms = LayerNorms(whole=(2.0,), inner=(1.0,))
    assert (norms.mean_step, norms.steepest, norms.rise) == (0.0, 1.0, 1.0)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_no_numbers_are_refused_by_name(parent: GPT, value: float) -> None:
    weights: dict[str, Any] = dict(parent.state_dict())
    weights["layers.3.mlp.up.weight"] = torch.full((2, 2), value)
    with pytest.raises(GrowthError) as refused:
        layer_norms(weights.items(), layers=6)
    assert str(refused.value) == (
        "expected a parent whose weights are finite numbers; got 'layers.3.mlp.up.weight', of norm "
        f"{value}. Try an earlier checkpoint."
    )
