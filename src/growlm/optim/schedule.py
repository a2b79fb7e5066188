"""The learning rate over the steps: pure functions from a step to a share of the peak."""

import math
from dataclasses import dataclass, replace


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
class Linear:
    """Linear warm-up, then a straight line down to a share of the peak (arXiv:2502.15938)."""

    warmup_steps: int
    steps: int
    final_share: float

    def __call__(self, step: int) -> float:
        """Return the share of the peak at a step; the first step is 0."""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        left = max(self.steps - (step + 1), 0) / max(self.steps - self.warmup_steps, 1)
        return self.final_share + (1.0 - self.final_share) * left


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """Linear warm-up, then the peak to the end."""

    warmup_steps: int
    steps: int

    @property
    def final_share(self) -> float:
        """Return the share of the peak at the end."""
        return 1.0

    def __call__(self, step: int) -> float:
        """Return the share of the peak at a step; the first step is 0."""
        return min((step + 1) / self.warmup_steps, 1.0) if self.warmup_steps else 1.0


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


Law = Cosine | Linear | WarmupStableDecay | Constant
"""A schedule that begins at its own step 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """A law that an earlier stage began, gone on with (staged training, arXiv:2203.06211).

    The law is stretched to end with this stage: it keeps its warm-up and its final share, and its
    decay takes the share of all ``start + steps`` steps that it took before.
    """

    law: Law
    """As it was, over the steps it was made for."""
    start: int
    """Its step at which this stage begins."""
    steps: int
    """Steps of this stage."""
    warmup_steps: int
    """Steps in which the rate rises to the law's."""

    @property
    def final_share(self) -> float:
        """Return the share of the peak at the end."""
        return self.law.final_share

    @property
    def stretched(self) -> Law:
        """Return the law over all steps until the end of this stage."""
        return rescaled(self.law, steps=self.start + self.steps, warmup_steps=self.law.warmup_steps)

    def __call__(self, step: int) -> float:
        """Return the share of the peak at a step of this stage; the first step is 0."""
        rise = min((step + 1) / self.warmup_steps, 1.0) if self.warmup_steps else 1.0
        return rise * self.stretched(self.start + step)


def rescaled(law: Law, *, steps: int, warmup_steps: int) -> Law:
    """Return a law over another number of steps; a decay takes the same share of them."""
    if not isinstance(law, WarmupStableDecay):
        return replace(law, steps=steps, warmup_steps=warmup_steps)
    decay_steps = max(1, round(law.decay_steps * steps / law.steps))
    return replace(law, steps=steps, warmup_steps=warmup_steps, decay_steps=decay_steps)


Schedule = Law | Resumed
"""Any schedule: a callable from a step to a share of the peak."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewarm:
    """How much faster the parameters that growth added learn (SPARKLING, arXiv:2602.02472).

    With s the schedule, f its share at the last step and N the rising steps: their rate rises
    linearly from s to ``factor`` times s in N steps, and then comes down with the schedule to the
    same minimum, ``s + (factor - 1) s(N) (s - f) / (s(N) - f)``. Under a cosine that is a cosine.
    """

    schedule: Schedule
    steps: int
    """Steps of the stage."""
    rising_steps: int
    factor: float

    def __call__(self, step: int) -> float:
        """Return their learning rate over that of the others; the first step is 0."""
        if step < self.rising_steps:
            return 1.0 + (self.factor - 1.0) * (step + 1) / self.rising_steps
        top, floor = self.schedule(self.rising_steps - 1), self.schedule(self.steps - 1)
        share = self.schedule(step)
        if top <= floor or share <= 0.0:  # the rate never falls, or is zero whatever the factor
            return self.factor
        return 1.0 + (self.factor - 1.0) * (top / share) * (share - floor) / (top - floor)
