"""The ledger: what compute a grown model took, against what training from scratch would take."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from growlm.report.law import Point, fit_law, merge

SAME_COMPUTE = 0.01
"""Runs whose compute differs by no more than this share count as equal in compute."""

REACH = 2.0
"""An estimate this many times beyond the control runs is replaced by a bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScratchCompute:
    """Compute that training from scratch needs for a loss: an estimate, or what bounds it."""

    basis: Literal["fit", "power", "line", "bound", "none"]
    """A power law with a floor or with none, a straight line in log-log, bounds only, or nothing at
    all."""
    estimate: float | None
    """FLOPs; None when there are only bounds."""
    lower: float | None
    """FLOPs that were not enough; None beside an estimate."""
    upper: float | None
    """FLOPs that were enough; None beside an estimate."""
    extrapolated: bool
    """Whether the estimate lies outside the control runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScratchLoss:
    """Final loss that training from scratch reaches with a compute."""

    basis: Literal["control", "fit", "power", "line", "none"]
    """A control run of that compute, one of the three interpolations, or nothing."""
    loss: float | None
    """Nats per token."""
    extrapolated: bool
    """Whether the compute lies outside the control runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saving:
    """One comparison of compute, said in both ways."""

    saved: float
    """1 - C_grown / C_scratch: share of the scratch compute that was not needed."""
    speedup: float
    """C_scratch / C_grown - 1: the same as a gain in speed; saved = speedup / (1 + speedup)."""


def saving(grown: float, *, scratch: float) -> Saving:
    """Return what growing saved, negative when it cost more.

    >>> saving(194.0, scratch=300.0).speedup, saving(194.0, scratch=300.0).saved
    (0.5463917525773196, 0.3533333333333334)

    Args:
        grown: FLOPs of the grown model, above 0.
        scratch: FLOPs from scratch for the same loss, above 0.
    """
    return Saving(saved=1 - grown / scratch, speedup=scratch / grown - 1)


def scratch_compute(points: Sequence[Point], *, loss: float) -> ScratchCompute:
    """Return the compute at which training from scratch ends at a loss.

    Three finished runs or more: L = a C^-b + c. Two: a straight line in (log C, log L). One: no
    estimate, only on which side of it the answer lies. Estimates more than ``REACH`` times beyond
    the runs become bounds too.

    Args:
        points: Finished runs only; a run cut short, or read in mid-schedule, is none.
        loss: The grown run's final validation loss, nats per token.
    """
    runs = merge(points, tolerance=SAME_COMPUTE)
    law = fit_law(runs)
    estimate = law.compute(loss) if law else math.inf
    if law is None or _distance(runs, estimate) > REACH:
        return _bounds(runs, loss)
    return ScratchCompute(
        basis=law.basis,
        estimate=estimate,
        lower=None,
        upper=None,
        extrapolated=_distance(runs, estimate) > 1,
    )


def scratch_loss(points: Sequence[Point], *, compute: float) -> ScratchLoss:
    """Return the final loss of training from scratch with a compute.

    Args:
        points: Finished runs only.
        compute: FLOPs.
    """
    runs = merge(points, tolerance=SAME_COMPUTE)
    for run in runs:
        if abs(run.compute - compute) <= SAME_COMPUTE * compute:
            return ScratchLoss(basis="control", loss=run.loss, extrapolated=False)
    law = fit_law(runs)
    distance = _distance(runs, compute)
    if law is None or distance > REACH:
        return ScratchLoss(basis="none", loss=None, extrapolated=False)
    return ScratchLoss(basis=law.basis, loss=law.loss(compute), extrapolated=distance > 1)


def break_even_tokens(
    *, scratch_tokens: float, base_flops: float, child_flops_per_token: float
) -> float:
    """Return the tokens within which the child must match the scratch run to save anything.

    D_p < D - C_base / F_target, with C_base charged; negative when no child could.

    Args:
        scratch_tokens: D, tokens of the scratch run of the child's shape.
        base_flops: C_base, FLOPs of all parents.
        child_flops_per_token: F_target, training FLOPs per token of the child.
    """
    return scratch_tokens - base_flops / child_flops_per_token


def _distance(runs: Sequence[Point], compute: float) -> float:
    """Return how many times a compute lies beyond the runs; 1 inside, up to rounding."""
    if not runs:
        return math.inf
    if compute <= 0:
        return math.inf
    beyond = max(compute / runs[-1].compute, runs[0].compute / compute)
    return 1.0 if beyond <= 1 + 1e-9 else beyond


def _bounds(runs: Sequence[Point], loss: float) -> ScratchCompute:
    lower = max((run.compute for run in runs if run.loss > loss), default=None)
    upper = min((run.compute for run in runs if run.loss <= loss), default=None)
    # Longer runs that end worse than shorter ones bound nothing.
    torn = lower is not None and upper is not None and lower > upper
    return ScratchCompute(
        basis="none" if torn or not runs else "bound",
        estimate=None,
        lower=None if torn else lower,
        upper=None if torn else upper,
        extrapolated=False,
    )
