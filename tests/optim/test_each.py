"""Optimizers that move one parameter after the other."""

from typing import Any

import torch
from torch import Tensor, nn

from growlm.optim.each import EachParameter


class Subtracting(EachParameter):
    """Subtracts the gradient."""

    def _update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        parameter.sub_(gradient, alpha=group["lr"])


def test_only_parameters_with_a_gradient_are_moved_each_by_its_group() -> None:
    moved, still, slow = (nn.Parameter(torch.ones(2)) for _ in range(3))
    groups = [{"params": [moved, still], "lr": 1.0}, {"params": [slow], "lr": 0.5}]
    optimizer = Subtracting(groups, {})

    def closure() -> float:
        loss = (3 * moved + slow).sum()
        loss.backward()
        return float(loss.detach())

    optimizer.step(closure)
    assert [each.tolist() for each in (moved, still, slow)] == [[-2, -2], [1, 1], [0.5, 0.5]]
