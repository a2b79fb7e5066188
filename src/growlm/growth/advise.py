"""The numbers behind advice: a parent's norms, when it should have stopped, what must be won by."""

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from growlm.base.errors import GrowthError
from growlm.growth.certificate import norm_cliff
from growlm.growth.depth import DepthPlan
from growlm.model.spaces import is_layer_output, split_name

SMALLEST_FITTED = 0.4e9
"""Parameters of the smallest target for which G_stack's law was fitted."""
LARGEST_FITTED = 7e9
"""Parameters of the largest."""
FITTED_SHARE = 0.5
"""Share of the target's tokens above which a base is no longer a start but the run itself."""
FALLBACK_SHARE = (0.05, 0.10)
"""Shares of the target's tokens to give a base where no law helps; a judgement, not a finding."""

ANNEALED = 0.5
"""Share of the peak below which a parent's last learning rate counts as annealed."""


def base_tokens(*, parameters: float, tokens: float) -> float | None:
    """Return the tokens after which a base should be grown by stacking; None where no law holds.

    ``log10 d = 0.88 log10 N + 163.27 / log10 C - 5.74`` with ``C = 6 N D``; Du et al.,
    arXiv:2405.15319, equation 4, fitted to targets of 0.4B to 7B parameters. Below that it asks
    for more tokens than the target gets.

    >>> round(base_tokens(parameters=7e9, tokens=2e12) / 1e9, 3)
    11.113

    Args:
        parameters: N, of the target.
        tokens: D, that the target would train on.
    """
    compute = 6.0 * parameters * tokens
    found = 10 ** (0.88 * math.log10(parameters) + 163.27 / math.log10(compute) - 5.74)
    reached = parameters >= SMALLEST_FITTED and found <= FITTED_SHARE * tokens
    return found if reached else None


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakEven:
    """Within how many tokens of its own a child must match a scratch run to have saved compute."""

    charged: float | None
    """With the parent's compute charged; negative when no child can pay; None where unknown."""
    shared: float | None
    """With the parent shared by two children."""
    free: float
    """With the parent free: the scratch run's tokens."""


def break_even(
    *, scratch_tokens: float, parent_flops: float | None, child_flops_per_token: float
) -> BreakEven:
    """Return the break-even of a growth, ``D - C_parent / F_child``, in three ledgers.

    Args:
        scratch_tokens: D, of a scratch run of the child's shape.
        parent_flops: FLOPs of the parent and all it descends from, if they are known.
        child_flops_per_token: F, training FLOPs per token of the child.
    """
    if parent_flops is None:
        return BreakEven(charged=None, shared=None, free=scratch_tokens)
    parent = parent_flops / child_flops_per_token
    return BreakEven(
        charged=scratch_tokens - parent, shared=scratch_tokens - parent / 2, free=scratch_tokens
    )


def is_annealed(lr_share_of_peak: float | None) -> bool:
    """Return whether a parent's learning rate had run down when it stopped.

    Args:
        lr_share_of_peak: Its last learning rate over its peak; None where unknown.
    """
    return lr_share_of_peak is not None and lr_share_of_peak < ANNEALED


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerNorms:
    """The norm of each layer's matrices, taken together."""

    whole: tuple[float, ...]
    inner: tuple[float, ...]
    """The same without the matrices that write the residual stream: what a silent copy has."""

    @property
    def mean_step(self) -> float:
        """Mean difference between neighbours; 0 where there are none."""
        steps = [abs(after - first) for first, after in itertools.pairwise(self.whole)]
        return sum(steps) / max(len(steps), 1)

    @property
    def rise(self) -> float:
        """Mean norm of the upper third of the layers, over that of the lower third."""
        third = -(-len(self.whole) // 3)
        return sum(self.whole[-third:]) / (sum(self.whole[:third]) or 1.0)

    @property
    def steepest(self) -> float:
        """Largest difference between neighbours over the mean one: the parent's own norm cliff."""
        return norm_cliff(self.whole, self.whole)

    def cliff(self, depth: DepthPlan) -> float:
        """Return the norm cliff that a depth plan would make of these layers.

        What the certificate will measure, as long as nothing grows but the depth.
        """
        child = [
            (self.inner if layer in depth.silent else self.whole)[source]
            for layer, source in enumerate(depth.sources)
        ]
        return norm_cliff(self.whole, child)


@torch.no_grad()
def layer_norms(weights: Iterable[tuple[str, Tensor]], *, layers: int) -> LayerNorms:
    """Return the norms of a model's layers, from one pass over its weights in any order.

    Args:
        weights: Names and tensors; one at a time is looked at.
        layers: Layers of the model.

    Raises:
        GrowthError: A weight is not a finite number.
    """
    inner, output = [0.0] * layers, [0.0] * layers
    for name, tensor in weights:
        layer, _ = split_name(name)
        if layer is None or tensor.dim() < 2:
            continue
        norm = cast(Tensor, torch.linalg.vector_norm(tensor, dtype=torch.float64))
        square = float(norm) ** 2
        if not math.isfinite(square):
            raise GrowthError(
                "a parent whose weights are finite numbers",
                got=f"'{name}', of norm {float(norm)}",
                fix="an earlier checkpoint",
            )
        (output if is_layer_output(name) else inner)[layer] += square
    return LayerNorms(
        whole=tuple(math.sqrt(sum(pair)) for pair in zip(inner, output, strict=True)),
        inner=tuple(map(math.sqrt, inner)),
    )
