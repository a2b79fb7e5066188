"""Optimizer moments under growth: which copies keep them, and which start anew."""

import pytest
import torch
from torch import Tensor

from growlm.base.errors import GrowthError
from growlm.growth.depth import OPERATORS, insert, interleave, stack
from growlm.growth.moments import MODES, grow_moments


def parent_state() -> dict[str, Tensor]:
    """Return the state of two layers and a norm, each with a number of its own."""
    names = ["layers.0.mlp.up.weight", "layers.1.mlp.up.weight", "norm.weight"]
    return {
        f"{key}.{name}": torch.tensor(float(10 * number + place))
        if key == "step"
        else torch.full((2,), float(10 * number + place))
        for number, key in enumerate(("step", "exp_avg", "exp_avg_sq"), start=1)
        for place, name in enumerate(names)
    }


def by_layer(state: dict[str, Tensor], key: str, layers: int) -> list[float]:
    return [state[f"{key}.layers.{layer}.mlp.up.weight"].max().item() for layer in range(layers)]


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "drop"])
def test_every_child_tensor_gets_a_state_of_its_own(mode: str, operator: str) -> None:
    parent, plan = parent_state(), OPERATORS[operator](2, 5)
    child = grow_moments(parent, plan, mode=mode)
    assert len(child) == 3 * (5 + 1)
    places = [tensor.data_ptr() for tensor in (*parent.values(), *child.values())]
    assert len(set(places)) == len(places)
    for name, tensor in child.items():
        assert tensor.shape == (() if name.startswith("step") else (2,))
    for key in ("step", "exp_avg", "exp_avg_sq"):
        assert torch.equal(child[f"{key}.norm.weight"], parent[f"{key}.norm.weight"])


def test_drop_forgets_everything() -> None:
    assert grow_moments(parent_state(), interleave(2, 4), mode="drop") == {}


def test_copy_gives_every_copy_its_sources_moments_and_steps() -> None:
    child = grow_moments(parent_state(), stack(2, 5), mode="copy")
    assert by_layer(child, "step", 5) == [10.0, 11.0, 10.0, 11.0, 10.0]
    assert by_layer(child, "exp_avg", 5) == [20.0, 21.0, 20.0, 21.0, 20.0]
    assert by_layer(child, "exp_avg_sq", 5) == [30.0, 31.0, 30.0, 31.0, 30.0]


def test_asymmetric_gives_them_to_the_first_copy_only() -> None:
    child = grow_moments(parent_state(), interleave(2, 5), mode="asymmetric")
    assert interleave(2, 5).sources == (0, 0, 0, 1, 1)
    assert by_layer(child, "step", 5) == [10.0, 0.0, 0.0, 11.0, 0.0]
    assert by_layer(child, "exp_avg", 5) == [20.0, 0.0, 0.0, 21.0, 0.0]
    assert by_layer(child, "exp_avg_sq", 5) == [30.0, 0.0, 0.0, 31.0, 0.0]


@pytest.mark.parametrize("mode", ["copy", "asymmetric"])
def test_a_silent_layer_is_new_in_every_mode(mode: str) -> None:
    assert insert(2, 5).silent == (1, 2, 4)
    child = grow_moments(parent_state(), insert(2, 5), mode=mode)
    assert by_layer(child, "step", 5) == [10.0, 0.0, 0.0, 11.0, 0.0]
    assert by_layer(child, "exp_avg", 5) == [20.0, 0.0, 0.0, 21.0, 0.0]


def test_a_parent_without_state_gives_a_child_without() -> None:
    assert grow_moments({}, stack(2, 4), mode="copy") == {}


def test_an_unknown_mode_is_answered_with_the_nearest() -> None:
    words = (
        r"an optimizer_state, one of drop, copy, asymmetric; got 'assymetric'\. Try asymmetric\."
    )
    with pytest.raises(GrowthError, match=words):
        grow_moments({}, stack(2, 4), mode="assymetric")
