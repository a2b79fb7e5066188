"""The moving average, against its sum of weights, and across a stop."""

import pytest
import torch
from torch import Tensor

from growlm.base.errors import CheckpointError
from growlm.optim.ema import Ema

SHAPES = {"matrix": (3, 4), "vector": (5,)}


def weights(step: int, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """Return the weights after a step; another step has others."""
    stream = torch.Generator().manual_seed(step)
    return {
        name: torch.randn(shape, generator=stream, dtype=dtype) for name, shape in SHAPES.items()
    }


def followed(*, decay: float, every: int, steps: int) -> Ema:
    ema = Ema(weights(0), decay=decay, every=every)
    for step in range(1, steps + 1):
        ema.update(weights(step), step=step)
    return ema


@pytest.mark.parametrize(("decay", "every"), [(0.9, 1), (0.5, 1), (0.99, 3), (0.999, 7)])
def test_it_is_the_sum_of_the_weights_each_with_its_share(decay: float, every: int) -> None:
    ema, taken = followed(decay=decay, every=every, steps=50), range(every, 51, every)
    shares = [decay ** (taken[-1] - step) for step in taken]
    for name, tensor in ema.tensors.items():
        expected = sum(
            share * weights(step)[name].double() for share, step in zip(shares, taken, strict=True)
        ) / sum(shares)
        torch.testing.assert_close(tensor.double(), expected, rtol=0, atol=3e-6)


def test_the_first_weights_it_takes_are_the_average_and_those_before_do_not_matter() -> None:
    ema = followed(decay=0.999, every=4, steps=4)
    assert all(torch.equal(each, weights(4)[name]) for name, each in ema.tensors.items())


def test_weights_that_stay_are_their_own_average() -> None:
    ema = Ema(weights(1), decay=0.9, every=1)
    for step in range(1, 30):
        ema.update(weights(1), step=step)
    for name, tensor in ema.tensors.items():
        torch.testing.assert_close(tensor, weights(1)[name], rtol=1e-6, atol=0)


def test_it_is_kept_in_fp32_whatever_the_weights_are() -> None:
    ema = Ema(weights(1, torch.bfloat16), decay=0.9, every=1)
    ema.update(weights(1, torch.bfloat16), step=1)
    assert {each.dtype for each in ema.tensors.values()} == {torch.float32}


def test_it_goes_on_bit_for_bit_from_what_was_saved() -> None:
    whole, first = (followed(decay=0.9, every=2, steps=steps) for steps in (9, 5))
    saved = {name: each.clone() for name, each in first.tensors.items()}
    resumed = Ema(weights(5), decay=0.9, every=2)
    places = {name: each.data_ptr() for name, each in resumed.tensors.items()}
    resumed.load(saved)
    for step in range(6, 10):
        resumed.update(weights(step), step=step)
    assert all(torch.equal(each, whole.tensors[name]) for name, each in resumed.tensors.items())
    assert places == {name: each.data_ptr() for name, each in resumed.tensors.items()}
    assert not torch.equal(saved["matrix"], whole.tensors["matrix"])


@pytest.mark.parametrize(
    ("tensors", "got"),
    [
        ({}, "none of matrix"),
        ({**weights(1), "vector": torch.ones(6)}, r"vector of shape \(6,\)"),
        ({**weights(1), "later": torch.ones(2)}, r"later of shape \(2,\)"),
    ],
)
def test_the_average_of_another_model_is_refused(tensors: dict[str, Tensor], got: str) -> None:
    words = f"a moving average of this model's weights; got {got}. Try another checkpoint"
    with pytest.raises(CheckpointError, match=words):
        Ema(weights(1), decay=0.9, every=1).load(tensors)
