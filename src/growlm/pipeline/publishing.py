"""Publishing checkpoints while a stage trains: one process at once, many ranks beside training."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from growlm import checkpoint
from growlm.base.files import unfinished, whole_folder
from growlm.checkpoint import Ancestor, Contents
from growlm.optim.sharded import local
from growlm.pipeline.keeping import (
    Tensors,
    contents_of,
    damaged,
    not_finite,
    prune,
    publish,
    step_path,
)
from growlm.pipeline.stagejob import Training
from growlm.runlog import Saved, Writer
from growlm.training.beside import Beside
from growlm.training.state import TrainState, random_tensors


@dataclass(frozen=True, slots=True, kw_only=True)
class _UnderWay:
    """A checkpoint that is being written."""

    step: int
    work: Beside
    began: float
    """On the clock of ``time.perf_counter``."""
    stood: float
    """Seconds that training stood still for it so far."""


@dataclass(slots=True, kw_only=True)
class Publisher:
    """Publishes a stage's checkpoints.

    A single process writes each at once, as does the first of many ranks the stage's last one,
    which is for others to read. Those to resume from each rank writes its part of, while training
    goes on; the next one, and whoever reads one, waits for the one under way.
    """

    job: Training
    log: Writer
    lineage: tuple[Ancestor, ...]
    """Before this stage."""
    seconds: float | None = None
    """What the latest took, where one was published."""
    _under_way: _UnderWay | None = None

    def publish(self, state: TrainState, *, at_once: bool) -> None:
        """Publish a checkpoint of where a stage is.

        Args:
            state: It may move on when this returns.
            at_once: Whether the checkpoint is whole when this returns.

        Raises:
            TrainingError: The weights are not finite; nothing was saved or removed.
            StorageError: The disk refused it, or the one under way.
        """
        self.settle()
        if self.job.world.size == 1 or state.step == self.job.stage.pace.steps:
            self.seconds = publish(self.job, state, self.log, self.lineage)
            return
        self._under_way = _begun(self.job, state, self.log, self.lineage)
        if at_once:
            self.settle()

    def look(self) -> None:
        """Note the checkpoint under way, if it is whole by now.

        Raises:
            StorageError: The disk refused it.
        """
        if self._under_way is not None and self._under_way.work.done:
            self.settle()

    def settle(self) -> None:
        """Wait for the checkpoint under way, if there is one, and note it.

        Raises:
            StorageError: The disk refused it.
        """
        if self._under_way is None:
            return
        under_way, self._under_way = self._under_way, None
        waiting = time.perf_counter()
        under_way.work.wait()
        stood = under_way.stood + time.perf_counter() - waiting
        self.seconds = under_way.work.ended - under_way.began
        if self.job.world.leads:
            step, tokens = under_way.step, under_way.step * self.job.stage.batch_tokens
            self.log.write(
                Saved(
                    step=step,
                    tokens=tokens,
                    path=step_path(self.job.place, step).name,
                    seconds=self.seconds,
                    stood_seconds=stood,
                )
            )
            prune(self.job, keep=self.job.stage.pace.keep)


def _begun(
    job: Training, state: TrainState, log: Writer, lineage: tuple[Ancestor, ...]
) -> _UnderWay:
    """Copy what is to be saved, and let every rank begin to write its part of it."""
    from growlm.training.saving import Written  # here: it takes a second to load

    began = time.perf_counter()
    kinds = state.parts()
    _check_parts(job, state, kinds["weights"])
    tensors = {
        f"{kind}.{name}": each for kind, some in kinds.items() for name, each in some.items()
    }
    written, group = Written(tensors), job.world.aside
    random = random_tensors(job.world)
    path = step_path(job.place, state.step)
    if job.world.leads:
        log.sync()
        own = Tensors(weights=None, optimizer={}, random=random, ema={})
        contents = contents_of(job, state, lineage, own)
        work = Beside(partial(_lead, path, written, contents, group=group))
    else:
        work = Beside(partial(_follow, path, written, group=group))
    stood = time.perf_counter() - began
    return _UnderWay(step=state.step, work=work, began=began, stood=stood)


def _lead(path: Path, written: Any, contents: Contents, *, group: Any) -> None:
    """Write the first rank's part, and all that is in no parts, once the others have written."""
    with whole_folder(path) as folder:
        digests = written.write(folder, group=group)
        checkpoint.write(folder, contents, known=digests)


def _follow(path: Path, written: Any, *, group: Any) -> None:
    written.write(unfinished(path), group=group)


def _check_parts(job: Training, state: TrainState, weights: Mapping[str, Tensor]) -> None:
    """Refuse weights that are not finite, on all ranks alike, wherever they lie."""
    bad = (number for number, each in enumerate(weights.values(), 1) if not_finite(local(each)))
    if number := job.world.largest(next(bad, 0)):
        raise damaged(job, state, [*weights][number - 1])
