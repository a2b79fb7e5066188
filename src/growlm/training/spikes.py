"""Steps that are not taken: their loss or gradient is no number, or stands out from the latest."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from growlm.base.errors import TrainingError

Why = Literal["not finite", "spike"]
"""Why a step is not taken."""

UNDONE = "rolled back"
"""Why a step left no trace in the weights though it may have been taken."""

FAILURES = 3
"""Steps in a row that are not finite from which training cannot go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpikeRule:
    """What stands out: OLMo-core's rule, with its figures where a recipe does not say others."""

    size: int
    """Latest steps that a step is compared with; none stands out before there are half of them."""
    deviations: float
    """Standard deviations over their mean from which a loss or a gradient's norm stands out."""
    roll_back_after: int | None = None
    """Steps not taken, among the latest, from which the weights go back to before them."""

    def stands_out(self, value: float, latest: Sequence[float]) -> bool:
        """Return whether a value stands out from the latest."""
        count = len(latest)
        if count < max(2, self.size // 2):
            return False
        mean = math.fsum(latest) / count
        variance = math.fsum((each - mean) ** 2 for each in latest) / (count - 1)
        return value - mean > self.deviations * math.sqrt(variance)


@dataclass(slots=True, kw_only=True)
class Watch:
    """Judges each step before its update is taken, and remembers what a resume needs for that.

    What stood out is remembered among the latest like any other, so that a loss that has risen
    for good is accepted after a while; what is not finite is not.
    """

    rule: SpikeRule | None = None
    """None where steps are not taken for no other reason than that they are not finite."""
    losses: list[float] = field(default_factory=list[float])
    """The latest, the oldest first; kept under a rule only."""
    norms: list[float] = field(default_factory=list[float])
    """Norms of the same steps' gradients."""
    skipped: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    """Steps of this stage that left no trace in the weights, from 1, by why."""

    def judge(self, step: int, *, loss: float, norm: float) -> Why | None:
        """Return why a step is not to be taken, or None; it is remembered.

        Args:
            step: Its number, from 1.
            loss: Its loss.
            norm: The norm of its gradient.

        Raises:
            TrainingError: It is the third in a row that is not finite, and no roll-back is due.
        """
        if not (math.isfinite(loss) and math.isfinite(norm)):
            self._skip(step, "not finite")
            self._check(step, loss=loss, norm=norm)
            return "not finite"
        if self.rule is None:
            return None
        why: Why | None = None
        if self.rule.stands_out(loss, self.losses) or self.rule.stands_out(norm, self.norms):
            self._skip(step, why := "spike")
        self.losses = [*self.losses, loss][-self.rule.size :]
        self.norms = [*self.norms, norm][-self.rule.size :]
        return why

    def roll_back_before(self, step: int) -> int | None:
        """Return the step before which the weights are to go back, if they are to after a step."""
        if self.rule is None or self.rule.roll_back_after is None:
            return None
        steps = [*self.skipped.get("not finite", []), *self.skipped.get("spike", [])]
        latest = [each for each in steps if each > step - self.rule.size]
        return min(latest) if len(latest) >= self.rule.roll_back_after else None

    def roll_back(self, facts: Mapping[str, Any], *, first: int, last: int) -> None:
        """Take up what a checkpoint holds; the steps since then left no trace.

        Args:
            facts: The checkpoint's.
            first: The step after it.
            last: The latest step.
        """
        self.recall(facts)
        self.skipped[UNDONE] = [*self.skipped.get(UNDONE, []), *range(first, last + 1)]

    @property
    def untrained(self) -> frozenset[int]:
        """The steps that left no trace in the weights."""
        return frozenset(step for steps in self.skipped.values() for step in steps)

    def facts(self) -> dict[str, Any]:
        """Return what a checkpoint must hold; nothing where nothing was remembered."""
        latest = {"losses": self.losses, "gradient_norms": self.norms}
        return {
            **(
                {"skipped": {why: list(steps) for why, steps in self.skipped.items()}}
                if self.skipped
                else {}
            ),
            **({"latest": latest} if self.losses else {}),
        }

    def recall(self, facts: Mapping[str, Any]) -> None:
        """Take up what a checkpoint holds."""
        latest = facts.get("latest", {})
        self.losses = [*latest.get("losses", [])]
        self.norms = [*latest.get("gradient_norms", [])]
        self.skipped = {why: [*steps] for why, steps in facts.get("skipped", {}).items()}

    def _skip(self, step: int, why: Why) -> None:
        self.skipped[why] = [*self.skipped.get(why, []), step]

    def _check(self, step: int, *, loss: float, norm: float) -> None:
        row = list(range(step - FAILURES + 1, step + 1))
        mended = self.roll_back_before(step) is not None
        if self.skipped["not finite"][-FAILURES:] == row and not mended:
            raise TrainingError(
                "a finite loss and gradient",
                got=f"loss {loss:g}, gradient norm {norm:g} at step {step}, the third such step "
                "in a row",
                fix="a lower peak_lr or a longer warm-up; earlier checkpoints are kept",
            )
