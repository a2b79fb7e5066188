"""Mirrors: TensorBoard files always, Weights & Biases and Trackio where asked for.

Each reads the run log, so that none can say anything else.
"""

# pyright: reportMissingImports=false
# The services need not be installed.

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from growlm.base.errors import RecipeError
from growlm.base.files import storage
from growlm.pipeline.folder import RunFolder
from growlm.pipeline.following import Follower, scalars
from growlm.recipe.sections import Log, MirrorName


class TensorBoard:
    """Event files, which ``tensorboard --logdir`` reads."""

    def __init__(self, folder: Path, *, step: int) -> None:
        """Begin, or go on behind a step: what an earlier file says beyond it is void.

        Args:
            folder: Of this stage alone.
            step: Steps done already.

        Raises:
            StorageError: The file cannot be written.
        """
        # They take a while, and only training needs them.
        from tensorboardX.proto import event_pb2, summary_pb2
        from tensorboardX.record_writer import RecordWriter

        self._events: Any = event_pb2
        self._summaries: Any = summary_pb2
        self._path = folder / f"events.out.tfevents.{step:010}.growlm"
        with storage(folder):
            if step == 0 and folder.exists():
                shutil.rmtree(folder)
            folder.mkdir(parents=True, exist_ok=True)
            self._writer: Any = RecordWriter(str(self._path))
        self._write(file_version="brain.Event:2")
        if step:
            logs = self._events.SessionLog
            self._write(step=step + 1, session_log=logs(status=logs.START))

    def show(self, values: Mapping[str, float], step: int) -> None:
        """Show the numbers of a step."""
        summary = self._summaries.Summary
        shown = [summary.Value(tag=name, simple_value=each) for name, each in values.items()]
        self._write(step=step, summary=summary(value=shown))

    def flush(self) -> None:
        """Let others see what was shown."""
        with storage(self._path):
            self._writer.flush()

    def close(self) -> None:
        """End it."""
        with storage(self._path):
            self._writer.close()

    def _write(self, **parts: Any) -> None:
        with storage(self._path):
            event = self._events.Event(wall_time=time.time(), **parts)
            self._writer.write(event.SerializeToString())


class Service:
    """A stage as a run of Weights & Biases, or of Trackio, which speaks the same words.

    A service that fails is left alone from there on: no training should end with it.
    """

    def __init__(self, module: ModuleType, *, project: str, stage: str, folder: Path) -> None:
        with storage(folder):
            folder.mkdir(parents=True, exist_ok=True)
        self.fault: str | None = None
        """What it failed with, if it did."""
        self._module: Any = module
        words: dict[str, Any] = {"project": project, "name": stage, "resume": "allow"}
        if module.__name__ == "wandb":
            words |= {"id": f"{project}-{stage}", "dir": str(folder)}
        self._tried(lambda: self._module.init(**words))

    def show(self, values: Mapping[str, float], step: int) -> None:
        """Show the numbers of a step."""
        self._tried(lambda: self._module.log(dict(values), step=step))

    def flush(self) -> None:
        """Do nothing: it sends by itself."""

    def close(self) -> None:
        """End it."""
        self._tried(self._module.finish)

    def _tried(self, call: Callable[[], object]) -> None:
        if self.fault is not None:
            return
        try:
            call()
        except Exception as error:  # noqa: BLE001 - whatever a service throws
            told = " ".join(str(error).split())
            self.fault = f"{self._module.__name__} shows no more of it: {told or repr(error)}"


Mirror = TensorBoard | Service
"""Another place where a stage's numbers are shown."""


class Mirrors:
    """All mirrors of a stage, and the run log that they read."""

    def __init__(self, log: Path, mirrors: Sequence[Mirror], *, step: int) -> None:
        self._follower, self._mirrors, self._step = Follower(log), mirrors, step
        self._told: list[str] = []

    def catch_up(self) -> list[str]:
        """Show what the log has grown by, and return what should be said of mirrors that failed.

        What the log said before the stage went on is shown already.

        Raises:
            StorageError: The log, or a mirror's file, cannot be read or written.
        """
        for record in self._follower.new():
            values = scalars(record)
            if values and (record.step > self._step or not self._step):
                for mirror in self._mirrors:
                    mirror.show(values, record.step)
        for mirror in self._mirrors:
            mirror.flush()
        faults = [each.fault for each in self._mirrors if isinstance(each, Service) and each.fault]
        new = [fault for fault in faults if fault not in self._told]
        self._told += new
        return new

    def close(self) -> None:
        """Show the rest, and end all."""
        self.catch_up()
        for mirror in self._mirrors:
            mirror.close()


def service(name: MirrorName) -> ModuleType:
    """Return the package of a service.

    Raises:
        RecipeError: It is not installed.
    """
    try:
        if name == "wandb":
            import wandb as found  # noqa: TID251 - it reads the run log
        else:
            import trackio as found
    except ImportError as error:
        raise RecipeError(
            f"the package {name}, which log.mirrors asks for",
            got="a Python without it",
            fix=f"pip install {name}",
        ) from error
    return found


def mirrors_of(folder: RunFolder, log: Log, *, project: str, stage: str, step: int) -> Mirrors:
    """Return what shows a stage as it goes.

    Args:
        folder: The run's.
        log: The recipe's section.
        project: The recipe's name.
        stage: The stage's.
        step: Steps done already.

    Raises:
        RecipeError: A service that is asked for is not installed.
        StorageError: TensorBoard's files cannot be written.
    """
    place = folder.tensorboard(stage)
    services = [
        Service(service(name), project=project, stage=stage, folder=folder.path / name)
        for name in log.mirrors
    ]
    return Mirrors(folder.log(stage), [TensorBoard(place, step=step), *services], step=step)
