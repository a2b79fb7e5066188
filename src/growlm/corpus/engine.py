"""Engines: what carries out many tasks of one kind, here by processes, elsewhere by a cluster."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from growlm.base.errors import CorpusError
from growlm.base.files import read_json, write_json
from growlm.base.processes import MAIN, without_script

DONE = "done"

Result = dict[str, Any]
"""What a task came to, as JSON."""

Work = Callable[[Any, Path, int], Result]
"""A function of a module: a task, where it writes, and its number; doing it twice does no harm."""


@runtime_checkable
class Engine(Protocol):
    """What carries out the tasks of a step, each once."""

    def run(self, work: Work, tasks: Sequence[Any], *, out: Path, key: str) -> list[Result]:
        """Return what every task came to, in their order; those that are done stay so.

        Args:
            work: Does one task.
            tasks: What can be pickled.
            out: Where they write, and where it is noted that they are done.
            key: Digest of all that the tasks' results depend on.

        Raises:
            CorpusError: A task failed.
        """
        ...


def perform(work: Work, task: Any, number: int, *, out: Path, key: str) -> Result:
    """Return what a task came to: do it, unless it was done under the same key."""
    marker = out / DONE / f"{number:05}.json"
    if marker.is_file():
        known = read_json(marker)
        if known["key"] == key:
            return known["result"]
    result = work(task, out, number)
    write_json(marker, {"key": key, "result": result})
    return result


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalEngine:
    """Processes of this machine; one worker works in this process."""

    workers: int

    def run(self, work: Work, tasks: Sequence[Any], *, out: Path, key: str) -> list[Result]:
        """Return what every task came to; a worker that dies is replaced once."""
        workers = min(self.workers, len(tasks))
        numbered = list(enumerate(tasks))
        if workers <= 1:
            return [perform(work, task, number, out=out, key=key) for number, task in numbered]
        results: dict[int, Result] = {}
        try:
            self._share_out(work, numbered, results, out=out, key=key)
        except BrokenProcessPool:
            self._again(work, numbered, results, out=out, key=key)
        return [results[number] for number, _ in numbered]

    def _share_out(
        self,
        work: Work,
        numbered: Sequence[tuple[int, Any]],
        results: dict[int, Result],
        *,
        out: Path,
        key: str,
    ) -> None:
        context = multiprocessing.get_context("spawn")
        workers = min(self.workers, len(numbered))
        with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin) as pool:
            try:
                # A function of the caller's own script lies nowhere else.
                with nullcontext() if work.__module__ == MAIN else without_script():
                    begun = {
                        number: pool.submit(perform, work, task, number, out=out, key=key)
                        for number, task in numbered
                    }
                for number, future in begun.items():
                    results[number] = future.result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _again(
        self,
        work: Work,
        numbered: Sequence[tuple[int, Any]],
        results: dict[int, Result],
        *,
        out: Path,
        key: str,
    ) -> None:
        """Do what is not done one by one, so that the task whose worker dies can be named."""
        for number, task in numbered:
            if number in results:
                continue
            try:
                self._share_out(work, [(number, task)], results, out=out, key=key)
            except BrokenProcessPool as error:
                raise CorpusError(
                    f"a worker that lives through task {number} ({task})"[:300],
                    got="one that was killed twice",
                    fix="more memory, fewer workers, or smaller files",
                ) from error


def cores() -> int:
    """Return the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1


def _begin() -> None:
    """Leave Ctrl-C to the parent, which cancels what has not begun; end when the parent does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Wait for the parent's end: a worker holds its own queue open, and would wait for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
