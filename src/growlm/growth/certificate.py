"""The certificate of one growth: what the plan claims, and what was measured."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, cast

import torch
from pydantic import BaseModel
from torch import Tensor

from growlm.base.errors import GrowthError
from growlm.growth.comparison import Measurement
from growlm.growth.depth import Claim
from growlm.growth.plan import GrowthPlan
from growlm.growth.target import Asked
from growlm.model.config import GPTConfig
from growlm.model.cost import parameters
from growlm.model.gpt import weight_shapes
from growlm.model.streamed import Streamed
from growlm.model.weights import Read, pieces

SIZES = ("layers", "heads", "kv_heads", "width", "head_width", "mlp", "vocab_size")
"""Sizes that a growth may change."""


class Certificate(BaseModel, frozen=True, extra="forbid", ser_json_inf_nan="constants"):
    """Evidence for one growth; stored in the child, shown in the log."""

    parent_config: Mapping[str, Any]
    """The parent's shape."""
    asked: Asked
    """What was asked for: the plan can be made again from it."""
    sizes: Mapping[str, tuple[int, int]]
    """Every size that changed, before and after."""
    optimizer_state: str
    locked: tuple[str, ...]
    """Sizes some of whose copies nothing will ever part: they start equal and learn alike."""
    sources: tuple[int, ...]
    silent: tuple[int, ...]
    claim: Claim
    departures: tuple[str, ...]
    """Why the child is not its parent, if it does not claim to be."""
    batches: Literal["held-out", "random tokens", "none"]
    measurements: tuple[Measurement, ...]
    """Of the child as it was read back from the disk; none where measuring was put off."""
    regrown: bool | None
    """Whether every weight, read back, was what the plan makes of the parent, to the last bit."""
    optimizer_groups: Mapping[str, int]
    """Weights that AdamW decays and that it does not; each is in one of the two."""
    norm_cliff: float | None
    """Largest step between neighbouring layers' weight norms, over the parent's mean step."""
    adjacency: float
    """Share of neighbouring layers that were neighbours in the parent."""
    parent_parameters: int
    child_parameters: int
    expected_parameters: int
    plan_sha256: str
    parent_sha256: str

    @property
    def plan(self) -> GrowthPlan:
        """The plan, made again from what was asked for."""
        return self.asked.plan(GPTConfig.from_dict(self.parent_config))

    @property
    def operator(self) -> str:
        """The depth operator."""
        return self.asked.operators.depth

    @property
    def main(self) -> Measurement | None:
        """The measurement that the log quotes: fp32 at the longest context."""
        found = [each for each in self.measurements if each.dtype == "float32"]
        return max(found, key=lambda each: each.context, default=None)


def bound(plan: GrowthPlan, measured: Measurement) -> float:
    """Return the largest logit difference that an exact plan may show.

    Silent layers add zeros, so not one bit may move. Other matrix sizes sum in another order: in
    fp64 and fp32 a share of the largest logit, in bf16 twice what the parent itself is off.
    """
    if plan.is_depth_only:
        return 0.0
    if measured.dtype == "float64":
        return 1e-12 * max(1.0, measured.largest_logit)
    if measured.dtype == "float32":
        return 1e-5 * measured.largest_logit
    return 2.0 * measured.rounding


def check_claim(plan: GrowthPlan, measured: Measurement) -> None:
    """Refuse a child that breaks what its plan claims.

    Raises:
        GrowthError: The plan is exact, and the child is not its parent.
    """
    if plan.claim != "exact":
        return
    limit = bound(plan, measured)
    # Not-a-number must fail too, so the test is for what is right.
    if not measured.max_logit_difference <= limit:
        raise GrowthError(
            f"a child whose logits are its parent's to {limit:.3g} in {measured.dtype}",
            got=f"a largest difference of {measured.max_logit_difference:.3g} at context "
            f"{measured.context}",
            fix="a parent whose activations are finite, and reporting this if they are",
        )


def check_parameters(config: GPTConfig, shapes: Mapping[str, Sequence[int]]) -> int:
    """Return a model's parameter count, once it agrees with the formula.

    Args:
        config: The model's shape.
        shapes: The shape of every weight as it lies there, by name.

    Raises:
        GrowthError: It does not.
    """
    counted = sum(math.prod(shape) for shape in shapes.values())
    expected = parameters(config)
    if counted != expected:
        raise GrowthError(
            f"a child of {expected:,} parameters", got=f"{counted:,}", fix="reporting this"
        )
    return counted


def same_weights(config: GPTConfig, one: Read, other: Read) -> bool:
    """Return whether two readers give the same weights, to the last bit.

    The vocabulary's padding, which is never scored and not always kept, is left out.

    Args:
        config: The shape of both.
        one: Reads the weights.
        other: Reads the others.
    """
    known = replace(config, padded_vocab_size=config.vocab_size)
    return all(
        _same_bits(left, right)
        for name in weight_shapes(known)
        for left, right in zip(pieces(one, name, known), pieces(other, name, known), strict=True)
    )


def _same_bits(one: Tensor, other: Tensor) -> bool:
    """Return whether two tensors are the same bytes; not-a-number is itself here."""
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        return False
    return torch.equal(*(each.contiguous().view(torch.uint8) for each in (one, other)))


@torch.no_grad()
def layer_norms(model: Streamed) -> list[float]:
    """Return the norm of each layer's matrices, taken together."""
    return [
        math.sqrt(sum(_norm(each) ** 2 for each in weights.values() if each.dim() > 1))
        for weights in map(model.layer, range(model.config.layers))
    ]


def _norm(tensor: Tensor) -> float:
    return float(cast(Tensor, torch.linalg.vector_norm(tensor, dtype=torch.float64)))


def norm_cliff(parent: Sequence[float], child: Sequence[float]) -> float:
    """Return the child's largest step between neighbouring layers over the parent's mean step.

    Silent layers count as they stand. 1 where the parent has one layer, or layers of one norm. A
    stack of a converged parent is reported to show about 10 at its seam (arXiv:2510.08008, known
    at second hand).

    >>> norm_cliff([1.0, 2.0, 3.0], [1.0, 2.0, 3.0, 1.0])
    2.0
    """
    before = [abs(after - first) for first, after in itertools.pairwise(parent)]
    steps = [abs(after - first) for first, after in itertools.pairwise(child)]
    mean = sum(before) / max(len(before), 1)
    return max(steps, default=0.0) / mean if mean > 0 else 1.0


def adjacency(sources: Sequence[int], silent: Sequence[int]) -> float:
    """Return the share of neighbouring pairs, ends excluded, that were neighbours in the parent.

    Du et al., arXiv:2405.15319, section 5: 0.913 for a stack from 8 to 24, 0.304 for interleaving.

    >>> round(adjacency(tuple(range(8)) * 3, ()), 3)
    0.913
    """
    heard = [source for layer, source in enumerate(sources) if layer not in silent]
    pairs = list(itertools.pairwise(heard))
    return sum(after == before + 1 for before, after in pairs) / max(len(pairs), 1)


def changed_sizes(plan: GrowthPlan) -> dict[str, tuple[int, int]]:
    """Return every size that a plan changes, before and after."""
    pairs = {name: (getattr(plan.parent, name), getattr(plan.child, name)) for name in SIZES}
    return {name: (before, after) for name, (before, after) in pairs.items() if before != after}
