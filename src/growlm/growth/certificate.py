"""The certificate of one growth: what the operator claims, and what was measured."""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from jaxtyping import Float, Int
from pydantic import BaseModel
from torch import Tensor

from growlm.base.errors import GrowthError
from growlm.growth.depth import Claim, DepthPlan
from growlm.model.cost import parameters
from growlm.model.gpt import GPT
from growlm.model.loss import cross_entropy_sum

EXACT_LOGITS = 0.0
"""Largest logit difference of an exact depth operator: it adds zeros, so not one bit may move."""


class Certificate(BaseModel, frozen=True, extra="forbid"):
    """Evidence for one growth; stored in the child, shown in the log."""

    operator: str
    layers_from: int
    layers_to: int
    optimizer_state: str
    sources: tuple[int, ...]
    silent: tuple[int, ...]
    claim: Claim
    dtype: str
    batches: Literal["held-out", "random tokens"]
    tokens: int
    max_logit_difference: float
    loss_before: float
    loss_after: float
    parent_parameters: int
    child_parameters: int
    expected_parameters: int
    plan_sha256: str
    parent_sha256: str


class Measurement(BaseModel, frozen=True):
    """What comparing a child with its parent found; losses in nats per token."""

    max_logit_difference: float
    loss_before: float
    loss_after: float
    tokens: int


@torch.no_grad()
def compare(parent: GPT, child: GPT, batches: Sequence[Int[Tensor, "_ _"]]) -> Measurement:
    """Run both models on the same batches, in eval mode, and compare them.

    Args:
        parent: The model before.
        child: The model after.
        batches: Token ids of any shapes; each row is a sequence and its next token.
    """
    parent.eval()
    child.eval()
    differences: list[float] = []
    before, after, tokens = 0.0, 0.0, 0
    for ids in batches:
        difference = (parent.logits(ids[:, :-1]) - child.logits(ids[:, :-1])).abs().max()
        differences.append(float(difference))
        before += float(_loss_sum(parent, ids))
        after += float(_loss_sum(child, ids))
        tokens += ids[:, 1:].numel()
    return Measurement(
        max_logit_difference=_largest(differences),
        loss_before=before / tokens,
        loss_after=after / tokens,
        tokens=tokens,
    )


def _largest(differences: Sequence[float]) -> float:
    """Return the maximum; unlike ``max``, not-a-number wins over every number."""
    return float(torch.tensor(differences, dtype=torch.float64).max())


def _loss_sum(model: GPT, ids: Int[Tensor, "B T_plus_1"]) -> Float[Tensor, ""]:
    return cross_entropy_sum(
        model(ids[:, :-1]).flatten(0, 1),
        model.head_weight,
        ids[:, 1:].flatten(),
        vocab_size=model.config.vocab_size,
    )


def check_claim(plan: DepthPlan, measured: Measurement, *, operator: str) -> None:
    """Refuse a child that breaks what its operator claims.

    Raises:
        GrowthError: The operator is exact by its plan, and the child is not its parent.
    """
    # Not-a-number must fail too, so the test is for what is right.
    if plan.claim == "exact" and not measured.max_logit_difference <= EXACT_LOGITS:
        raise GrowthError(
            f"'{operator}' to leave every logit as it was",
            got=f"a largest difference of {measured.max_logit_difference:.3g}",
            fix="a parent whose activations are finite, and reporting this if they are",
        )


def check_parameters(child: GPT, weights: Mapping[str, Tensor]) -> int:
    """Return the child's parameter count, once it agrees with the formula.

    Raises:
        GrowthError: It does not.
    """
    counted = sum(tensor.numel() for tensor in weights.values())
    expected = parameters(child.config)
    if counted != expected:
        raise GrowthError(
            f"a child of {expected:,} parameters", got=f"{counted:,}", fix="reporting this"
        )
    return counted
