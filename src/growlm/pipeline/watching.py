"""Watching runs in progress: how far each stage is, how fast, and how its loss falls."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from growlm.model.cost import training_flops_per_token
from growlm.pipeline.folder import RunFolder, existing
from growlm.pipeline.following import Follower
from growlm.pipeline.open import recorded_plan
from growlm.pipeline.stageplan import StagePlan
from growlm.pipeline.timing import Clock
from growlm.runlog import AnyRecord, Memory, Notice, Start, Step, ValidationLoss

CURVE = 240
"""Points of the loss that are kept: the last ones, and fewer the longer ago."""
PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12, "4090": 165e12}
"""FLOPs a second in bf16, without sparsity, that a device reaches at most, as its maker says."""

State = Literal["waiting", "training", "done"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a stage stands."""

    run: str
    stage: str
    state: State
    step: int
    steps: int
    tokens: int
    loss: float | None
    validation_loss: float | None
    tokens_per_second: float | None
    mfu: float | None
    """Of the device's peak, where it is known; the whole attention matrix is counted."""
    memory_bytes: int | None
    """At the last validation: reserved on the GPU, or held by the process where there is none."""
    seconds_left: float | None
    device: str | None
    losses: tuple[float, ...]
    """The loss so far, thinned."""
    notice: str | None
    """The last one in the run log."""

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


@dataclass(slots=True, kw_only=True)
class _Stage:
    run: str
    plan: StagePlan
    folder: RunFolder
    follower: Follower
    start: Start | None = None
    step: Step | None = None
    validation: ValidationLoss | None = None
    memory: Memory | None = None
    notice: str | None = None
    clock: Clock = field(default_factory=lambda: Clock(grace_seconds=None))
    losses: list[float] = field(default_factory=list[float])
    stride: int = 1

    def catch_up(self) -> None:
        """Take in what the run log has grown by."""
        if self.follower.rewound:
            self.step = self.validation = None
            self.losses, self.clock, self.stride = [], Clock(grace_seconds=None), 1
        for record in self.follower.new():
            self._take(record)

    def _take(self, record: AnyRecord) -> None:
        match record:
            case Start():
                self.start = record
            case ValidationLoss():
                self.validation = record
            case Memory():
                self.memory = record
            case Notice():
                self.notice = record.text
            case Step():
                self.step = record
                self.clock.took(record.seconds)
                if record.step % self.stride == 0:
                    self.losses.append(record.loss)
                if len(self.losses) > CURVE:
                    self.losses, self.stride = self.losses[::2], self.stride * 2
            case _:
                pass

    def standing(self) -> Standing:
        """Return how it stands."""
        plan, done = self.plan, self.step.step if self.step else 0
        pace = self.clock.step
        speed = plan.batch_tokens / pace if pace else None
        finished = self.folder.final(plan.name).exists()
        return Standing(
            run=self.run,
            stage=plan.name,
            state="done" if finished else "training" if self.start else "waiting",
            step=done,
            steps=plan.pace.steps,
            tokens=done * plan.batch_tokens,
            loss=self.step.loss if self.step else None,
            validation_loss=self.validation.loss if self.validation else None,
            tokens_per_second=speed,
            mfu=self._mfu(speed),
            memory_bytes=self._memory_bytes(),
            seconds_left=(plan.pace.steps - done) * pace if pace and not finished else None,
            device=self.start.device if self.start else None,
            losses=tuple(self.losses),
            notice=self.notice,
        )

    def _mfu(self, speed: float | None) -> float | None:
        device = self.start.device if self.start else ""
        peaks = [peak for name, peak in PEAKS.items() if name in device]
        if not speed or not peaks:
            return None
        config, context = self.plan.config, self.plan.context
        return speed * training_flops_per_token(config, context=context, causal=1.0) / peaks[0]

    def _memory_bytes(self) -> int | None:
        if self.memory is None:
            return None
        return self.memory.gpu.reserved_bytes if self.memory.gpu else self.memory.resident_bytes


class Watch:
    """Runs that are looked at again and again, from outside: nothing of theirs is locked."""

    def __init__(self, paths: list[Path]) -> None:
        """Open the folders of runs.

        Raises:
            FolderError: One is no run's folder.
            RecipeError: Its recipe was changed, and is none any more.
        """
        self._stages = [stage for path in paths for stage in _stages(path)]

    def look(self) -> list[Standing]:
        """Return how every stage stands now.

        Raises:
            StorageError: A run log cannot be read.
        """
        for stage in self._stages:
            stage.catch_up()
        return [stage.standing() for stage in self._stages]


def _stages(path: Path) -> Iterator[_Stage]:
    folder = existing(path)
    for plan in recorded_plan(folder).stages:
        log = folder.log(plan.name)
        yield _Stage(run=path.name, plan=plan, folder=folder, follower=Follower(log))
