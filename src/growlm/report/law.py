"""The final loss of training from scratch as a function of compute, fitted to finished runs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal

import numpy as np

_GOLDEN = (math.sqrt(5) - 1) / 2
_EXPONENTS = np.geomspace(1e-3, 20.0, 500)
_LARGEST_LOG = 690.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One finished run."""

    compute: float
    """FLOPs, above 0."""
    loss: float
    """Final validation loss, nats per token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LossLaw:
    """L(C) = scale (C / reference)^-exponent + floor, falling."""

    basis: Literal["fit", "power", "line"]
    """Fitted to three runs or more, with a floor or with none, or drawn through two with none."""
    scale: float
    """Nats per token."""
    exponent: float
    """Above 0."""
    floor: float
    """The loss no compute gets below, nats per token."""
    reference: float
    """FLOPs."""

    def loss(self, compute: float) -> float:
        """Return the loss at a compute in FLOPs."""
        return self.scale * (compute / self.reference) ** -self.exponent + self.floor

    def compute(self, loss: float) -> float:
        """Return the FLOPs at which a loss is reached; infinity when never."""
        if loss <= self.floor:
            return math.inf
        log = math.log(self.reference) - math.log((loss - self.floor) / self.scale) / self.exponent
        return math.exp(log) if abs(log) < _LARGEST_LOG else math.inf


def merge(points: Sequence[Point], *, tolerance: float) -> tuple[Point, ...]:
    """Return finite points in the order of compute, those of equal compute as their mean.

    Args:
        points: Finished runs.
        tolerance: Largest relative difference of computes called equal.
    """
    groups: list[list[Point]] = []
    for point in sorted(points, key=lambda point: point.compute):
        if not (math.isfinite(point.loss) and 0 < point.compute < math.inf):
            continue
        if groups and point.compute <= groups[-1][0].compute * (1 + tolerance):
            groups[-1].append(point)
        else:
            groups.append([point])
    return tuple(
        Point(
            compute=math.fsum(point.compute for point in group) / len(group),
            loss=math.fsum(point.loss for point in group) / len(group),
        )
        for group in groups
    )


def fit_law(points: Sequence[Point]) -> LossLaw | None:
    """Return the law through finished runs; None when they are too few or do not fall.

    Args:
        points: Of different computes, in their order, losses above 0.
    """
    if len(points) < 2 or any(point.loss <= 0 for point in points):
        return None
    if len(points) == 2:
        return _line(points[0], points[1])
    return _fit(tuple(points))


def between(points: Sequence[Point], loss: float) -> float | None:
    """Return the FLOPs at which a loss is reached by straight lines between neighbouring runs.

    The lines are straight in log-log; beyond the runs the nearest goes on. No law is assumed, and
    the noise of a single run is not smoothed away. None with fewer than two runs, or where the line
    does not fall.

    Args:
        points: Of different computes, in their order, losses above 0.
        loss: Nats per token, above 0.
    """
    pairs = list(pairwise(points))
    if not pairs:
        return None
    line = _line(*next((pair for pair in pairs if pair[1].loss <= loss), pairs[-1]))
    return None if line is None else line.compute(loss)


def _line(first: Point, second: Point) -> LossLaw | None:
    exponent = math.log(first.loss / second.loss) / math.log(second.compute / first.compute)
    if exponent <= 0:
        return None
    return LossLaw(
        basis="line", scale=first.loss, exponent=exponent, floor=0.0, reference=first.compute
    )


@lru_cache(maxsize=256)  # one set of controls answers many questions
def _fit(points: tuple[Point, ...]) -> LossLaw | None:
    """Fit scale and floor by least squares for each exponent, and search the best exponent."""
    log_computes = [math.log(point.compute) for point in points]
    reference = math.exp(math.fsum(log_computes) / len(points))
    x = np.array(log_computes) - math.log(reference)
    losses = np.array([point.loss for point in points])
    errors = [_solve(x, losses, float(exponent))[0] for exponent in _EXPONENTS]
    best = int(np.argmin(errors))
    exponent = _minimum(
        x,
        losses,
        low=float(_EXPONENTS[max(best - 1, 0)]),
        high=float(_EXPONENTS[min(best + 1, len(_EXPONENTS) - 1)]),
    )
    error, scale, floor = _solve(x, losses, exponent)
    if not math.isfinite(error):
        return None
    return LossLaw(
        basis="fit" if floor > 0 else "power",
        scale=scale,
        exponent=exponent,
        floor=floor,
        reference=reference,
    )


def _solve(x: np.ndarray, losses: np.ndarray, exponent: float) -> tuple[float, float, float]:
    """Return (squared error, scale, floor) at one exponent; an infinite error when not falling."""
    u = np.exp(-exponent * x)
    centred = u - u.mean()
    scale = float(centred @ losses / (centred @ centred))
    floor = float(losses.mean() - scale * u.mean())
    if floor < 0:
        scale, floor = float(u @ losses / (u @ u)), 0.0
    if scale <= 0:
        return math.inf, scale, floor
    residuals = losses - scale * u - floor
    return float(residuals @ residuals), scale, floor


def _minimum(x: np.ndarray, losses: np.ndarray, *, low: float, high: float) -> float:
    """Return the exponent of least error between two, by golden-section search."""
    for _ in range(120):
        left = high - _GOLDEN * (high - low)
        right = low + _GOLDEN * (high - low)
        if _solve(x, losses, left)[0] <= _solve(x, losses, right)[0]:
            high = right
        else:
            low = left
    return (low + high) / 2
