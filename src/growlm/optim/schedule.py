"""The learning rate over the steps: pure functions from a step to a share of the peak."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosine:
    """Linear warm-up, then half a cosine down to a share of the peak (arXiv:1608.03983)."""

    warmup_steps: int
    steps: int
    final_share: float

    def __call__(self, step: int) -> float:
        """Return the share of the peak at a step; the first step is 0."""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        progress = (step + 1 - self.warmup_steps) / max(self.steps - self.warmup_steps, 1)
        cosine = 0.5 * (1.0 + math.cos(math.pi * min(progress, 1.0)))
        return self.final_share + (1.0 - self.final_share) * cosine


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmupStableDecay:
    """Linear warm-up, a plateau, a linear decay (Hu et al., arXiv:2404.06395, section 4.2)."""

    warmup_steps: int
    steps: int
    decay_steps: int
    final_share: float

    def __call__(self, step: int) -> float:
        """Return the share of the peak at a step; the first step is 0."""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        left = self.steps - (step + 1)
        if left >= self.decay_steps:
            return 1.0
        return self.final_share + (1.0 - self.final_share) * max(left, 0) / self.decay_steps


Schedule = Cosine | WarmupStableDecay
"""Any schedule: a callable from a step to a share of the peak."""
