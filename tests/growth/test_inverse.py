"""Taking a growth back: the parent to the last bit of what the arithmetic allows."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from growlm.base.errors import GrowthError
from growlm.growth.inverse import shrink_weights
from growlm.growth.plan import GrowthPlan
from growlm.model.config import GPTConfig
from growlm.model.gpt import GPT

SIZES: list[dict[str, Any]] = [
    {"layers": 5},
    {"layers": 4, "depth": "append"},
    {"width": 40, "mlp": 50, "heads": 4},
    {"width": 32, "head_width": 12, "mlp": 64, "units": "even", "layers": 3},
    {"mlp": 33, "units": "new"},
    {"width": 48, "head_width": 16, "heads": 4, "mlp": 100, "units": "noised"},
]


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("norm", ["layernorm", "rmsnorm"])
@pytest.mark.parametrize("tied", [True, False])
def test_of_an_exact_child_nothing_is_lost(
    *,
    tiny_config: Callable[..., GPTConfig],
    tiny_model: Callable[..., GPT],
    grown: Callable[..., GPT],
    plan_of: Callable[..., GrowthPlan],
    sizes: dict[str, Any],
    norm: str,
    tied: bool,
) -> None:
    config = tiny_config(norm=norm, tied=tied, positions="none")
    parent = tiny_model(config, dtype=torch.float64)
    plan = plan_of(config, **sizes)
    back = shrink_weights(grown(parent, plan).state_dict(), plan)
    assert set(back) == set(parent.state_dict())
    for name, tensor in parent.state_dict().items():
        torch.testing.assert_close(back[name], tensor, rtol=1e-12, atol=1e-14)


def test_from_inserted_layers_the_parent_comes_back_bit_for_bit(
    tiny_config: Callable[..., GPTConfig],
    tiny_model: Callable[..., GPT],
    grown: Callable[..., GPT],
    plan_of: Callable[..., GrowthPlan],
) -> None:
    parent = tiny_model(tiny_config(layers=3))
    plan = plan_of(parent.config, layers=7, depth="insert")
    back = shrink_weights(grown(parent, plan).state_dict(), plan)
    assert all(torch.equal(back[name], each) for name, each in parent.state_dict().items())


def test_there_is_no_way_back_from_copies_that_are_heard(
    tiny_config: Callable[..., GPTConfig], plan_of: Callable[..., GrowthPlan]
) -> None:
    plan = plan_of(tiny_config(), layers=4, depth="stack")
    with pytest.raises(GrowthError, match=r"an exact growth.*got layers are repeated"):
        shrink_weights({}, plan)
