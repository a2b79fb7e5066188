"""The meter: zero where copies cannot part, and above it where something parts them."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from growlm.growth.depth import DepthPlan, insert, interleave
from growlm.growth.plan import GrowthPlan
from growlm.growth.symmetry import depth_distance, unit_distance
from growlm.model.config import GPTConfig
from growlm.model.gpt import GPT
from growlm.optim.scaled_adamw import ScaledAdamW

STEPS = 30


@pytest.fixture
def trained(
    *,
    tiny_config: Callable[..., GPTConfig],
    tiny_model: Callable[..., GPT],
    grown: Callable[..., GPT],
    plan_of: Callable[..., GrowthPlan],
    optimizer_of: Callable[[GPT], ScaledAdamW],
    loss_of: Callable[[GPT, Tensor], Tensor],
    some_ids: Callable[..., Tensor],
) -> Callable[[str], tuple[GPT, GrowthPlan]]:
    """Double the MLP units, train, and return the child."""

    def run(units: str) -> tuple[GPT, GrowthPlan]:
        parent = tiny_model(tiny_config(), dtype=torch.float64)
        plan = plan_of(parent.config, mlp=64, units=units)
        child = grown(parent, plan)
        optimizer, ids = optimizer_of(child), some_ids(4, 17)
        for _ in range(STEPS):
            optimizer.zero_grad()
            loss_of(child, ids).backward()
            optimizer.step()
        return child, plan

    return run


def test_units_split_unevenly_part_and_units_split_evenly_never_do(
    trained: Callable[[str], tuple[GPT, GrowthPlan]],
) -> None:
    distances: dict[str, float] = {}
    for units in ("even", "uneven"):
        child, plan = trained(units)
        distance = unit_distance(child.get_parameter("layers.0.mlp.up.weight"), plan.mlp)
        assert distance is not None
        distances[units] = distance
    # Up to the order in which a kernel sums: clones at other places may differ in their last bit.
    assert distances["even"] <= 1e-15
    assert distances["uneven"] > 1e-4


def test_without_copies_there_is_nothing_to_measure() -> None:
    weights = {"layers.0.mlp.up.weight": torch.ones(2, 2)}
    assert depth_distance(weights, interleave(1, 1)) is None
    assert depth_distance(weights, insert(1, 1)) is None


def test_layers_are_measured_against_the_first_copy_of_their_source() -> None:
    plan = DepthPlan(parent_layers=1, sources=(0, 0, 0), silent=(1,))
    weights = {
        f"layers.{layer}.mlp.up.weight": torch.full((2, 2), value)
        for layer, value in enumerate((2.0, 9.0, 3.0))
    }
    assert depth_distance(weights, plan) == 0.5
    weights["layers.2.mlp.up.weight"] = weights["layers.0.mlp.up.weight"].clone()
    assert depth_distance(weights, plan) == 0.0
