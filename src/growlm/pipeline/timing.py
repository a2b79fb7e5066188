"""What a stage's steps and checkpoints take: the time left, and whether a signal leaves enough."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from statistics import median

from growlm.base.units import format_seconds
from growlm.pipeline.events import Notice
from growlm.runlog import AnyRecord, Saved, Step

RECENT = 20
"""Steps whose median time predicts the time left."""


@dataclass(slots=True, kw_only=True)
class Clock:
    """What steps and checkpoints took."""

    grace_seconds: float | None
    """From a signal to the end of the process, where that is known."""
    steps: list[float] = field(default_factory=list[float])
    """Seconds of the latest."""
    save: float | None = None
    """Seconds of the latest checkpoint, where one is known."""
    told: bool = False
    """Whether it was said that a checkpoint fits into the grace, or does not."""

    def recall(self, records: Iterable[AnyRecord]) -> None:
        """Take up what an earlier process of the stage logged."""
        for record in records:
            if isinstance(record, Saved) and record.seconds is not None:
                self.save = record.seconds
            elif isinstance(record, Step):
                self.took(record.seconds)

    def took(self, seconds: float) -> None:
        """Note a step."""
        self.steps = [*self.steps[-RECENT + 1 :], seconds]

    @property
    def step(self) -> float:
        """Seconds that a step is expected to take."""
        return median(self.steps) if self.steps else 0.0

    @property
    def ahead(self) -> float:
        """Seconds that a step and a checkpoint after it are expected to take."""
        return self.step + (self.save or 0.0)

    def told_once(self) -> Iterator[Notice]:
        """Yield, once it is known, whether a checkpoint fits into the grace that there is."""
        if self.grace_seconds is None or self.save is None or self.told:
            return
        self.told = True
        grace = f"--grace leaves {format_seconds(self.grace_seconds)}"
        yield Notice(
            text=f"a step and a checkpoint after it take {format_seconds(self.ahead)}; {grace}"
            + ("" if self.ahead <= self.grace_seconds else ", too little to be sure of one")
        )
