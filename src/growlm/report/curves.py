"""Curves of a stage on the run's own axes: tokens and FLOPs counted from the first parent."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from growlm.report.view import StageView, TrainPoint, ValidationPoint

POINTS = 600
"""Points of a curve that are drawn, at most."""

SPAN_SHARE = 0.02
"""Span of the smoothing, as a share of the stage's logged steps."""

SPAN_SHARES = (0.0, 0.01, SPAN_SHARE, 0.05, 0.1)
"""Spans that a reader of the page can choose from; the first one smooths nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """One point of a curve."""

    tokens: int
    """Tokens seen, parents included."""
    flops: float
    """Training FLOPs, parents included."""
    seconds: float
    """Wall-clock time of training, parents included."""
    loss: float
    """Nats per token."""

    @property
    def perplexity(self) -> float:
        """Perplexity per token."""
        return perplexity(self.loss)


def perplexity(loss: float) -> float:
    """Return exp(loss), infinity where that overflows.

    >>> perplexity(0.0), perplexity(1e6)
    (1.0, inf)
    """
    return math.exp(loss) if not loss > 700 else math.inf


def smooth(losses: Sequence[float], *, span: int) -> list[float]:
    """Return the exponential moving average of a sequence, without the pull of its start.

    The weight of a value k points back is (1 - 2 / (span + 1))^k, and the weights in use add up to
    1. Values that are not finite are passed over.

    >>> smooth([4.0, 2.0, 2.0], span=1)
    [4.0, 2.0, 2.0]
    """
    keep = 1 - 2 / (span + 1)
    total, weight, means = 0.0, 0.0, list[float]()
    for loss in losses:
        if math.isfinite(loss):
            total, weight = keep * total + loss, keep * weight + 1
        means.append(total / weight if weight else math.nan)
    return means


def span_of(steps: int, *, share: float = SPAN_SHARE) -> int:
    """Return the span that smooths a curve of so many steps.

    >>> span_of(10), span_of(1000), span_of(1000, share=0.1)
    (1, 20, 100)
    """
    return max(1, round(share * steps))


def thin(length: int, *, limit: int = POINTS) -> list[int]:
    """Return at most ``limit`` positions of a sequence, evenly spread, both ends among them.

    >>> thin(5, limit=3), thin(2, limit=3)
    ([0, 2, 4], [0, 1])
    """
    if length <= limit:
        return list(range(length))
    return [round(place * (length - 1) / (limit - 1)) for place in range(limit)]


def train_curve(stage: StageView, *, share: float = SPAN_SHARE) -> list[CurvePoint]:
    """Return a stage's training loss, smoothed over a share of its steps, and thinned."""
    span = span_of(len(stage.train), share=share)
    losses = smooth([point.loss for point in stage.train], span=span)
    return [_point(stage, stage.train[at], losses[at]) for at in thin(len(losses))]


def validation_curve(stage: StageView) -> list[CurvePoint]:
    """Return a stage's validation loss, thinned."""
    points = [stage.validation[at] for at in thin(len(stage.validation))]
    return [_point(stage, point, point.loss) for point in points]


def last_loss(stage: StageView) -> float | None:
    """Return the latest validation loss in nats per token; None before the first."""
    return stage.validation[-1].loss if stage.validation else None


def final_loss(stage: StageView) -> float | None:
    """Return the validation loss at a finished stage's end, in nats per token.

    None for a stage that is not finished, was not validated at its last step, or ended in a loss
    that is not finite: a point in mid-schedule is no result.
    """
    if not stage.complete or not stage.validation:
        return None
    last = stage.validation[-1]
    return last.loss if last.step >= stage.steps and math.isfinite(last.loss) else None


def tokens_to_regain(stage: StageView, loss: float) -> int | None:
    """Return the stage's own tokens when, after its worst, it first validated no worse than a loss.

    Args:
        stage: A stage with at least one validation.
        loss: Nats per token.
    """
    losses = [point.loss if math.isfinite(point.loss) else math.inf for point in stage.validation]
    worst = losses.index(max(losses))
    after = stage.validation[worst:]
    return next((point.tokens for point in after if point.loss <= loss), None)


def _point(stage: StageView, at: TrainPoint | ValidationPoint, loss: float) -> CurvePoint:
    return CurvePoint(
        tokens=stage.tokens_before + at.tokens,
        flops=stage.flops_before + at.tokens * stage.flops_per_token,
        seconds=stage.seconds_before + at.seconds,
        loss=loss,
    )
