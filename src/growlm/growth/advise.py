"""Advice before a cent is spent: is this parent worth growing, how, and what must it win by."""

import math
from dataclasses import dataclass

SMALLEST_FITTED = 0.4e9
"""Parameters of the smallest target for which G_stack's law was fitted."""
FITTED_SHARE = 0.5
"""Share of the target's tokens above which a base is no longer a start but the run itself."""
FALLBACK_SHARE = (0.05, 0.10)
"""Shares of the target's tokens to give a base where no law helps; a judgement, not a finding."""

ANNEALED = 0.5
"""Share of the peak below which a parent's last learning rate counts as annealed."""
CROSSOVER_TOKENS = 20.0
"""Tokens per parameter from which interleaving is reported to be the better order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseTokens:
    """When a parent that is made only to be grown should have stopped."""

    tokens: float | None
    """Tokens, or None where the law does not hold."""
    reason: str
    """Where the number comes from, or why there is none."""


def base_tokens(*, parameters: float, tokens: float) -> BaseTokens:
    """Return the tokens after which a base should be grown by stacking.

    ``log10 d = 0.88 log10 N + 163.27 / log10 C - 5.74`` with ``C = 6 N D``; Du et al.,
    arXiv:2405.15319, equation 4, fitted to targets of 0.4B to 7B parameters. Below that it asks
    for more tokens than the target gets.

    >>> round(base_tokens(parameters=7e9, tokens=2e12).tokens / 1e9, 3)
    11.113

    Args:
        parameters: N, of the target.
        tokens: D, that the target would train on.
    """
    compute = 6.0 * parameters * tokens
    found = 10 ** (0.88 * math.log10(parameters) + 163.27 / math.log10(compute) - 5.74)
    if parameters < SMALLEST_FITTED or found > FITTED_SHARE * tokens:
        low, high = FALLBACK_SHARE
        return BaseTokens(
            tokens=None,
            reason=(
                "G_stack's law (arXiv:2405.15319, fitted from 0.4B parameters up) does not reach "
                f"this target; {low:.0%} to {high:.0%} of its tokens are our guess"
            ),
        )
    return BaseTokens(tokens=found, reason="G_stack's law, arXiv:2405.15319, equation 4")


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakEven:
    """Within how many tokens of its own a child must match a scratch run to have saved compute."""

    charged: float
    """With the parent's compute charged; negative when no child can pay for it."""
    shared: float
    """With the parent shared by two children."""
    free: float
    """With the parent free: the scratch run's tokens."""


def break_even(
    *, scratch_tokens: float, parent_flops: float, child_flops_per_token: float
) -> BreakEven:
    """Return the break-even of a growth, ``D - C_parent / F_child``, in three ledgers.

    Args:
        scratch_tokens: D, of a scratch run of the child's shape.
        parent_flops: FLOPs of the parent and all it descends from.
        child_flops_per_token: F, training FLOPs per token of the child.
    """
    parent = parent_flops / child_flops_per_token
    return BreakEven(
        charged=scratch_tokens - parent, shared=scratch_tokens - parent / 2, free=scratch_tokens
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Which depth operator to take, and how sure that is."""

    operator: str
    reason: str


def order(*, tokens_per_parameter: float | None, factor: float) -> Order:
    """Return the depth operator that the evidence favours for a parent.

    Stacking wins for young parents (arXiv:2405.15319, from 8 to 24 layers); for parents at or past
    about 20 tokens per parameter interleaving is reported to win, because weight norms then rise
    with depth and a stack makes a cliff of them (arXiv:2510.08008, known at second hand). The two
    disagree where they overlap, so the answer is never sure.

    Args:
        tokens_per_parameter: Of the parent; None where its tokens are unknown.
        factor: The child's layers over the parent's.
    """
    if tokens_per_parameter is None:
        return Order(
            operator="interleave",
            reason="nobody knows what the parent has seen; published parents mostly were trained "
            "to the end, and there interleaving is the safer order. Probe it",
        )
    seen = f"{tokens_per_parameter:.3g} tokens per parameter"
    if tokens_per_parameter >= CROSSOVER_TOKENS:
        return Order(
            operator="interleave",
            reason=f"the parent has seen {seen}, past about {CROSSOVER_TOKENS:g}, where "
            "interleaving is reported to win (arXiv:2510.08008, at second hand). Contested",
        )
    if factor != int(factor):
        return Order(
            operator="interleave",
            reason=f"the parent is young ({seen}), where stacking wins (arXiv:2405.15319), but "
            "a stack to no whole multiple would put a middle layer on top",
        )
    return Order(
        operator="stack",
        reason=f"the parent is young ({seen}), where stacking wins (arXiv:2405.15319). Contested "
        "by arXiv:2510.08008 near 20",
    )


def is_annealed(lr_share_of_peak: float | None) -> bool:
    """Return whether a parent's learning rate had run down when it stopped.

    Args:
        lr_share_of_peak: Its last learning rate over its peak; None where unknown.
    """
    return lr_share_of_peak is not None and lr_share_of_peak < ANNEALED
