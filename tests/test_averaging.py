"""Averages of checkpoints: the exact mean, whatever the order."""

import itertools

import pytest
import torch
from torch import Tensor

from growlm.averaging import uniform_average
from growlm.base.errors import CheckpointError


def some_weights(seed: int, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "a": torch.randn(7, 5, generator=generator).to(dtype),
        "b": torch.randn(3, generator=generator).to(dtype),
    }


def test_the_mean_is_exact_where_the_numbers_are() -> None:
    weights = [{"a": torch.tensor([x, 2 * x])} for x in (1.0, 2.0, 4.0, 9.0)]
    assert torch.equal(uniform_average(weights)["a"], torch.tensor([4.0, 8.0]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_the_mean_is_taken_in_fp64_and_rounded_once(dtype: torch.dtype) -> None:
    weights = [some_weights(seed, dtype) for seed in range(3)]
    for name, tensor in uniform_average(weights).items():
        one, two, three = (each[name].double() for each in weights)
        torch.testing.assert_close(tensor, ((one + two + three) / 3).to(dtype), rtol=0, atol=0)
        assert tensor.dtype == dtype


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_the_order_of_the_checkpoints_does_not_show_in_a_single_bit(dtype: torch.dtype) -> None:
    # A sum from left to right would lose the small one in some orders and not in others.
    weights = [
        {"a": torch.tensor([x, 1.0 / 3 * x], dtype=dtype)} for x in (2.0**60, 1.0, -(2.0**60), 7.0)
    ]
    first = uniform_average(weights)["a"]
    for order in itertools.permutations(weights):
        assert torch.equal(uniform_average(order)["a"], first)


def test_the_average_of_a_checkpoint_with_itself_is_itself_and_no_alias() -> None:
    weights = some_weights(0)
    average = uniform_average([weights, weights])
    for name, tensor in average.items():
        assert torch.equal(tensor, weights[name])
        assert tensor.data_ptr() != weights[name].data_ptr()


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_checkpoints_are_refused(count: int) -> None:
    words = rf"at least two checkpoints to average; got {count}\. Try naming more\."
    with pytest.raises(CheckpointError, match=words):
        uniform_average([some_weights(0)] * count)


def test_checkpoints_of_other_shapes_are_refused_by_the_first_odd_weight() -> None:
    other = {**some_weights(1), "b": torch.zeros(4)}
    words = r"checkpoints of one shape; got b of \(3,\) and \(4,\)\. Try checkpoints of one stage"
    with pytest.raises(CheckpointError, match=words):
        uniform_average([some_weights(0), some_weights(1), other])


def test_checkpoints_of_other_weights_are_refused_by_name() -> None:
    with pytest.raises(CheckpointError, match=r"got c of None and \(1,\)"):
        uniform_average([some_weights(0), {**some_weights(1), "c": torch.zeros(1)}])
