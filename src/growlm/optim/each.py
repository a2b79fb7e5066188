"""Optimizers that move one parameter after the other, by a rule that each gives."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class EachParameter(torch.optim.Optimizer):
    """A step is an update of every parameter that has a gradient."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Take one step with every parameter that has a gradient."""
        if closure is not None:
            with torch.enable_grad():
                closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)

    @abstractmethod
    def _update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        """Move a parameter in place, by its gradient and its group's settings."""
