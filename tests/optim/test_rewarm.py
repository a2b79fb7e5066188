"""Farther steps: AdamW's at a higher rate for the entries meant, untouched bits for the others."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from growlm.optim.rewarm import step_farther

FACTOR = 1.3


@pytest.fixture
def start() -> Tensor:
    return torch.randn(6, 4, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def trained(start: Tensor) -> Callable[..., Tensor]:
    """Return a function: mask, factor, rate, steps -> a parameter after AdamW's steps."""

    def run(meant: Tensor | None, *, factor: float, lr: float, steps: int) -> Tensor:
        stream = torch.Generator().manual_seed(2)
        parameter = nn.Parameter(start.clone())
        optimizer = torch.optim.AdamW([parameter], lr=lr, weight_decay=0.1, fused=True)
        for _ in range(steps):
            parameter.grad = torch.randn(start.shape, generator=stream)
            entries = [] if meant is None else [(parameter, meant)]
            step_farther(optimizer, entries, factor=factor)
        return parameter.detach()

    return run


@pytest.mark.parametrize("steps", [1, 5])
def test_the_others_do_not_differ_by_a_bit(trained: Callable[..., Tensor], steps: int) -> None:
    meant = torch.tensor([False, True, False, False, True, False])[:, None]
    plain = trained(None, factor=1.0, lr=1e-2, steps=steps)
    found = trained(meant, factor=FACTOR, lr=1e-2, steps=steps)
    assert torch.equal(found[~meant[:, 0]], plain[~meant[:, 0]])
    assert not torch.equal(found[meant[:, 0]], plain[meant[:, 0]])


@pytest.mark.parametrize("shape", [(), (6, 1), (6, 4)])
def test_what_is_meant_takes_the_steps_of_a_higher_rate(
    trained: Callable[..., Tensor], shape: tuple[int, ...]
) -> None:
    found = trained(torch.ones(shape, dtype=torch.bool), factor=FACTOR, lr=1e-2, steps=5)
    wanted = trained(None, factor=1.0, lr=FACTOR * 1e-2, steps=5)
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-7)


def test_a_factor_of_one_changes_nothing(trained: Callable[..., Tensor]) -> None:
    meant = torch.ones((), dtype=torch.bool)
    found = trained(meant, factor=1.0, lr=1e-2, steps=3)
    assert torch.equal(found, trained(None, factor=1.0, lr=1e-2, steps=3))
