"""Muon: steps along a matrix's momentum made orthogonal, and AdamW for all that is no matrix."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from growlm.optim.adamw import AdamWSettings, adamw
from growlm.optim.sharded import local, on_whole

MOMENTUM = "momentum_buffer"
"""Muon's only state: a running mean of gradients, with no count of steps."""

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of x, x^3 and x^5 in the Newton-Schulz step: steep at 0, and good enough near 1."""

ROUNDS = 5
"""Newton-Schulz steps."""

RMS = 0.2
"""Of a step's entries, over the learning rate: about what AdamW's are."""

SMALLEST_NORM = 1e-7
"""What a norm is taken to be at least, so that nothing divided by it stays nothing."""

ENTRIES = 1 << 26
"""Entries of matrices that are made orthogonal at once, but for a single larger one."""


class Muon(torch.optim.Optimizer):
    """Muon on some matrices, and another optimizer on all the rest.

    A matrix moves along its Nesterov momentum, made orthogonal (Jordan et al., 2024,
    https://kellerjordan.github.io/posts/muon/), with decoupled weight decay and at a length that
    gives its entries the RMS of AdamW's steps, 0.2 sqrt(max(rows, columns)) (Liu et al., Muon is
    Scalable for LLM Training, arXiv:2502.16982): so one learning rate and one decay serve both.
    Of many ranks each makes some of the matrices orthogonal, for all.

    Groups and state are those of both, so that what sets a rate or saves a state reaches all.
    """

    def __init__(
        self,
        matrices: Iterable[Tensor],
        others: torch.optim.Optimizer,
        *,
        lr: float,
        momentum: float,
        weight_decay: float,
    ) -> None:
        own = {"params": list(matrices), "keys": (MOMENTUM,)}
        super().__init__([own], {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self._others = others
        self.param_groups.extend(others.param_groups)
        others.state = self.state

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Take one step with every parameter that has a gradient."""
        if closure is not None:
            with torch.enable_grad():
                closure()
        group = self.param_groups[0]
        alike: dict[torch.Size, list[tuple[Tensor, Tensor]]] = defaultdict(list)
        for matrix in group["params"]:
            if matrix.grad is not None:
                alike[matrix.shape].append((matrix, matrix.grad))
        for shape, moved in alike.items():
            many = max(ENTRIES // shape.numel(), 1)
            for start in range(0, len(moved), many):
                self._update(moved[start : start + many], group)
        self._others.step()

    def _update(self, moved: Sequence[tuple[Tensor, Tensor]], group: dict[str, Any]) -> None:
        """Move matrices of one shape, each by its gradient."""
        ahead = [self._ahead(*each, group["momentum"]) for each in moved]
        length = RMS * max(ahead[0].shape) ** 0.5
        for (matrix, _), step in zip(moved, on_whole(_step, ahead), strict=True):
            part = local(matrix)
            part.mul_(1 - group["lr"] * group["weight_decay"])
            part.add_(step.to(part.dtype), alpha=-group["lr"] * length)

    def _ahead(self, matrix: Tensor, gradient: Tensor, momentum: float) -> Tensor:
        """Take a gradient into the momentum; return where the same one again would lead it."""
        state = self.state[matrix]
        if MOMENTUM not in state:
            state[MOMENTUM] = torch.zeros_like(matrix)
        state[MOMENTUM].lerp_(gradient, 1 - momentum)
        return gradient.lerp(state[MOMENTUM], momentum)


def _step(ahead_BRC: Float[Tensor, "B R C"]) -> Float[Tensor, "B R C"]:
    """Return the steps along momenta, in the type that suits the processor."""
    # Tensor cores take bf16, and Muon does well with it; other processors only lose by it.
    return orthogonal(ahead_BRC.to(torch.bfloat16) if ahead_BRC.is_cuda else ahead_BRC)


def orthogonal(matrices_BRC: Float[Tensor, "B R C"]) -> Float[Tensor, "B R C"]:
    """Return matrices with the same singular vectors and all singular values near 1.

    Newton-Schulz iteration with Jordan's quintic: values end between about 0.5 and 1.5, those that
    began below a thousandth of the matrix's norm lower. It takes matrix products alone, for all
    matrices at once, on their shorter side.
    """
    tall = matrices_BRC.shape[-2] > matrices_BRC.shape[-1]
    scaled_BN = F.normalize(matrices_BRC.flatten(1), dim=1, eps=SMALLEST_NORM)
    x_BRC = scaled_BN.view_as(matrices_BRC)
    x_BRC = x_BRC.mT if tall else x_BRC
    first, third, fifth = COEFFICIENTS
    for _ in range(ROUNDS):
        gram_BRR = x_BRC @ x_BRC.mT
        factor_BRR = torch.baddbmm(gram_BRR, gram_BRR, gram_BRR, beta=third, alpha=fifth)
        x_BRC = torch.baddbmm(x_BRC, factor_BRR, x_BRC, beta=first)
    return x_BRC.mT if tall else x_BRC


def is_muons(name: str, shape: Sequence[int]) -> bool:
    """Return whether Muon moves a weight: the matrices inside the layers, and nothing else.

    >>> is_muons("layers.0.mlp.up.weight", (64, 16)), is_muons("embedding.weight", (300, 16))
    (True, False)
    """
    return name.startswith("layers.") and len(shape) == 2


def muon(model: nn.Module, settings: AdamWSettings, *, momentum: float) -> Muon:
    """Return Muon for the matrices of a model's layers; embeddings, head and vectors have AdamW.

    Args:
        model: Its parameters, in their order.
        settings: AdamW's; its learning rate and its decay are Muon's too.
        momentum: Share of a matrix's momentum that a step keeps.
    """
    named = dict(model.named_parameters())
    matrices = {name: each for name, each in named.items() if is_muons(name, each.shape)}
    return Muon(
        matrices.values(),
        adamw(model, settings, without=matrices),
        lr=settings.peak_lr,
        momentum=momentum,
        weight_decay=settings.weight_decay,
    )
