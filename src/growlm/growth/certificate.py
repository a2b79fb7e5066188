"""The certificate of one growth: what the plan claims, and what was measured."""

import copy
import itertools
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from jaxtyping import Float, Int
from pydantic import BaseModel
from torch import Tensor

from growlm.base.errors import GrowthError
from growlm.growth.apply import grow_weights
from growlm.growth.depth import Claim
from growlm.growth.plan import GrowthPlan
from growlm.model.cost import parameters
from growlm.model.gpt import GPT, with_weights
from growlm.model.loss import cross_entropy_sum

DTYPES = (torch.float64, torch.float32, torch.bfloat16)
"""Number formats in which parent and child are compared."""

SIZES = ("layers", "heads", "kv_heads", "width", "head_width", "mlp", "vocab_size")
"""Sizes that a growth may change."""


class Measurement(BaseModel, frozen=True, extra="forbid", ser_json_inf_nan="constants"):
    """Parent and child on the same batches, in one number format at one context."""

    dtype: str
    context: int
    tokens: int
    max_logit_difference: float
    """Largest absolute difference of a logit."""
    largest_logit: float
    """Largest absolute logit of the parent."""
    rounding: float
    """Largest difference of the parent's logits from its own in fp64."""
    loss_before: float
    """The parent's, nats per token."""
    loss_after: float
    """The child's."""


class Certificate(BaseModel, frozen=True, extra="forbid", ser_json_inf_nan="constants"):
    """Evidence for one growth; stored in the child, shown in the log."""

    operator: str
    """The depth operator."""
    sizes: Mapping[str, tuple[int, int]]
    """Every size that changed, before and after."""
    optimizer_state: str
    sources: tuple[int, ...]
    silent: tuple[int, ...]
    claim: Claim
    departures: tuple[str, ...]
    """Why the child is not its parent, if it does not claim to be."""
    batches: Literal["held-out", "random tokens"]
    measurements: tuple[Measurement, ...]
    norm_cliff: float
    """Largest step between neighbouring layers' weight norms, over the parent's mean step."""
    adjacency: float
    """Share of neighbouring layers that were neighbours in the parent."""
    parent_parameters: int
    child_parameters: int
    expected_parameters: int
    plan_sha256: str
    parent_sha256: str

    @property
    def main(self) -> Measurement:
        """The measurement that the log quotes: fp32 at the longest context."""
        found = [each for each in self.measurements if each.dtype == "float32"]
        return max(found, key=lambda each: each.context)


@torch.no_grad()
def compare(
    parent: GPT, child: GPT, batches: Sequence[Int[Tensor, "_ _"]], dtype: torch.dtype
) -> Measurement:
    """Run both models on the same batches, in eval mode and one number format.

    Args:
        parent: The model before.
        child: The model after.
        batches: Token ids; each row is a sequence and its next token.
        dtype: What both are cast to.
    """
    exact, before, after = (
        copy.deepcopy(model).to(kind).eval()
        for model, kind in ((parent, torch.float64), (parent, dtype), (child, dtype))
    )
    differences: list[float] = []
    sizes: list[float] = []
    roundings: list[float] = []
    for ids in batches:
        logits = before.logits(ids[:, :-1])
        differences.append(_largest(logits - after.logits(ids[:, :-1])))
        roundings.append(_largest(logits.double() - exact.logits(ids[:, :-1])))
        sizes.append(_largest(logits))
    tokens = sum(ids[:, 1:].numel() for ids in batches)
    return Measurement(
        dtype=str(dtype).removeprefix("torch."),
        context=max(ids.shape[1] - 1 for ids in batches),
        tokens=tokens,
        max_logit_difference=_maximum(differences),
        largest_logit=_maximum(sizes),
        rounding=_maximum(roundings),
        loss_before=sum(float(_loss_sum(before, ids)) for ids in batches) / tokens,
        loss_after=sum(float(_loss_sum(after, ids)) for ids in batches) / tokens,
    )


def measure(
    plan: GrowthPlan, parent: GPT, child: GPT, batches: Sequence[Sequence[Int[Tensor, "_ _"]]]
) -> tuple[Measurement, ...]:
    """Compare a child with its parent in every number format, once for each set of batches.

    In fp64 the child is grown anew from the parent's weights cast to it: the one that was grown in
    fp32 has been rounded, and would show that and not the operator.

    Args:
        plan: What grew it.
        parent: The model before.
        child: The model after.
        batches: Sets of batches, each of one context.
    """
    exact_parent = copy.deepcopy(parent).double()
    exact_child = with_weights(plan.child, grow_weights(exact_parent.state_dict(), plan))
    pairs = {torch.float64: (exact_parent, exact_child)}
    return tuple(
        compare(*pairs.get(dtype, (parent, child)), each, dtype)
        for each in batches
        for dtype in DTYPES
    )


def _largest(values: Tensor) -> float:
    return float(values.abs().max())


def _maximum(values: Sequence[float]) -> float:
    """Return the maximum; unlike ``max``, not-a-number wins over every number."""
    return float(torch.tensor(values, dtype=torch.float64).max())


def _loss_sum(model: GPT, ids: Int[Tensor, "B T_plus_1"]) -> Float[Tensor, ""]:
    return cross_entropy_sum(
        model(ids[:, :-1]).flatten(0, 1),
        model.head_weight,
        ids[:, 1:].flatten(),
        vocab_size=model.config.vocab_size,
    )


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


def check_parameters(child: GPT, weights: Mapping[str, Tensor]) -> int:
    """Return the child's parameter count, once it agrees with the formula.

    Raises:
        GrowthError: It does not, or two parameters share their storage.
    """
    counted = sum(tensor.numel() for tensor in weights.values())
    expected = parameters(child.config)
    if counted != expected:
        raise GrowthError(
            f"a child of {expected:,} parameters", got=f"{counted:,}", fix="reporting this"
        )
    places = [tensor.untyped_storage().data_ptr() for tensor in weights.values()]
    if len(set(places)) != len(places):
        raise GrowthError(
            "a child whose parameters share no storage", got="shared ones", fix="reporting this"
        )
    return counted


@torch.no_grad()
def layer_norms(model: GPT) -> list[float]:
    """Return the norm of each layer's matrices, taken together."""
    return [
        float(sum(each.double().square().sum() for each in layer.parameters() if each.dim() > 1))
        ** 0.5
        for layer in model.layers
    ]


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
