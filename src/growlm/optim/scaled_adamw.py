"""AdamW with a learning rate, a decay and an eps of each entry's own: what grown weights need."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from growlm.optim.each import EachParameter
from growlm.optim.sharded import local

EPS_SCALE = "eps_scale"
SCALES = ("lr_scale", "decay_scale", EPS_SCALE)
"""State that multiplies a parameter's learning rate, weight decay and eps; it broadcasts."""

CLIP_WEIGHT = "clip_weight"
"""State that multiplies the squares of a gradient in its norm; it broadcasts."""

FACTORS = (*SCALES, CLIP_WEIGHT)
"""All state that lets an entry follow another one exactly."""


class ScaledAdamW(EachParameter):
    """AdamW (arXiv:1711.05101) whose state may hold factors for each entry.

    With no factors it takes the same steps as ``torch.optim.AdamW``. An entry of value c and
    gradient gamma times another's follows it exactly with factors c, 1/c and gamma.
    """

    def __init__(
        self, params: Iterable[Any], *, lr: float, betas: tuple[float, float], eps: float
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": 0.0})

    def _update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        first, second = group["betas"]
        state["step"] += 1
        steps = float(state["step"])
        # Entry by entry, so each rank steps the part it has.
        weight, gradient = local(parameter), local(gradient)
        mean, square = local(state["exp_avg"]), local(state["exp_avg_sq"])
        mean.lerp_(gradient, 1 - first)
        square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
        lr, decay, eps = (
            local(state[key]).to(weight.dtype) * value if key in state else value
            for key, value in zip(
                SCALES, (group["lr"], group["weight_decay"], group["eps"]), strict=True
            )
        )
        weight.mul_(1 - lr * decay)
        root = (square / (1 - second**steps)).sqrt_()
        weight.sub_(lr * (mean / (1 - first**steps)) / (root + eps))
