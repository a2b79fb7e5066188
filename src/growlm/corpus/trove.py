"""datatrove's executors behind the engine's protocol: its own processes, Slurm, Ray."""

# datatrove need not be installed, and has no types:
# pyright: reportMissingImports=false, reportUnknownVariableType=false

import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from growlm.base.errors import CorpusError
from growlm.base.files import read_json
from growlm.corpus.engine import DONE, Result, Work, perform
from growlm.corpus.optional import missing

Executor = Literal["trove", "slurm", "ray"]
"""datatrove's local executor, or a cluster."""

POLL_SECONDS = 10.0
"""Between two looks at whether a cluster is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TroveEngine:
    """One of datatrove's executors: each rank does the task of its number.

    datatrove takes an empty file for the sign that a rank is done; here that file lies in a folder
    named by the key, so that another key does the work again.
    """

    executor: Executor
    workers: int

    options: Mapping[str, str | int]
    """What the executor is told beside tasks and workers: ``partition`` and ``time`` for Slurm."""

    def run(self, work: Work, tasks: Sequence[Any], *, out: Path, key: str) -> list[Result]:
        """Return what every task came to; a cluster is waited for.

        Raises:
            CorpusError: datatrove is missing, or a task failed.
        """
        executor = _executor(self.executor)(
            pipeline=[_step(partial(_rank, work, tasks, out, key))],
            tasks=len(tasks),
            workers=min(self.workers, len(tasks)),
            logging_dir=str(out / "trove" / key[:16]),
            **self.options,
        )
        try:
            executor.run()
        except Exception as error:  # executors raise what their ranks raise
            raise _failed(self.executor, out, said=str(error)) from error
        self._wait(executor, out, count=len(tasks), key=key)
        return [read_json(_marker(out, number))["result"] for number in range(len(tasks))]

    def _wait(self, executor: Any, out: Path, *, count: int, key: str) -> None:
        """Wait for the ranks of a cluster that runs them when it likes."""
        while not all(_is_done(out, number, key) for number in range(count)):
            job = str(getattr(executor, "job_id", "") or "")
            if self.executor != "slurm" or not _is_queued(job):
                raise _failed(self.executor, out, said="ranks that left no result")
            time.sleep(POLL_SECONDS)


def _rank(work: Work, tasks: Sequence[Any], out: Path, key: str, rank: int) -> Result:  # noqa: PLR0917 - partial binds them in order
    return perform(work, tasks[rank], rank, out=out, key=key)


def _step(rank_work: Callable[[int], Result]) -> Any:
    try:
        from datatrove.pipeline.base import PipelineStep
    except ImportError as error:
        raise _no_datatrove() from error
    base: Any = PipelineStep

    class RankStep(base):
        """What datatrove runs once in each rank."""

        name = "growlm"
        type = "growlm"

        def run(
            self, data: Iterable[Any] | None, rank: int = 0, world_size: int = 1
        ) -> Iterator[Any]:
            """Do the task of a rank; documents pass by."""
            del world_size
            yield from data or ()
            rank_work(rank)

    step: Any = RankStep()
    return step


def _executor(name: Executor) -> Any:
    try:
        if name == "trove":
            from datatrove.executor.local import (
                LocalPipelineExecutor as Found,
            )
        elif name == "slurm":
            from datatrove.executor.slurm import (
                SlurmPipelineExecutor as Found,
            )
        else:
            from datatrove.executor.ray import (
                RayPipelineExecutor as Found,
            )
    except ImportError as error:
        raise _no_datatrove() from error
    found: Any = Found
    return found


def _marker(out: Path, number: int) -> Path:
    return out / DONE / f"{number:05}.json"


def _is_done(out: Path, number: int, key: str) -> bool:
    marker = _marker(out, number)
    return marker.is_file() and read_json(marker)["key"] == key


def _is_queued(job: str) -> bool:
    """Return whether Slurm still knows a job that has not ended."""
    if not job:
        return False
    told = subprocess.run(  # noqa: S603 - a number that Slurm gave
        ["squeue", "--noheader", "--jobs", job],  # noqa: S607 - Slurm's own command
        capture_output=True,
        text=True,
        check=False,
    )
    return told.returncode == 0 and bool(told.stdout.strip())


def _no_datatrove() -> CorpusError:
    return missing("datatrove", extra="cluster", purpose="run on this engine")


def _failed(executor: str, out: Path, *, said: str) -> CorpusError:
    return CorpusError(
        f"every rank of the {executor} engine to end well",
        got=f"'{said[:200]}'",
        fix=f"its logs in {out / 'trove'}, then the same command again: what is done stays done",
    )
