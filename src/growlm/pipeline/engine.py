"""The engine: a step runs when its inputs or its part of the recipe have changed, else not."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from growlm.base.files import remove
from growlm.pipeline.events import Begun, Done, Event, Notice, Skipped
from growlm.pipeline.folder import RunFolder

Work = Callable[[], Iterator[Event]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One piece of work with everything that it depends on."""

    name: str
    """``KIND:NAME``, such as ``train:base``."""
    key: Any
    """All that the output depends on, as JSON; another key means other output."""
    outputs: tuple[Path, ...]
    precious: bool
    """Whether outputs of another key are set aside rather than removed."""
    work: Work
    """Does it; resumes what was begun with the same key."""
    result: Callable[[], str]
    """What came out, in one line."""


def bring_up_to_date(step: Step, folder: RunFolder) -> Iterator[Event]:
    """Run a step unless it was done with the same key and its outputs are there."""
    complete = all(output.exists() for output in step.outputs)
    if complete and folder.is_done(step.name, step.key):
        yield Skipped(step=step.name)
        return
    started = time.perf_counter()
    yield Begun(step=step.name)
    if not folder.is_begun(step.name, step.key):
        yield from _clear(step, folder)
        folder.begin(step.name, step.key)
    yield from step.work()
    folder.finish(step.name, step.key)
    yield Done(step=step.name, seconds=time.perf_counter() - started, result=step.result())


def _clear(step: Step, folder: RunFolder) -> Iterator[Event]:
    """Move away what another recipe left where this step writes."""
    for output in step.outputs:
        if output.exists() and step.precious:
            place = folder.set_aside(step.name, output)
            yield Notice(text=f"{step.name}: the earlier result was set aside in {place}")
        elif output.exists():
            remove(output)
