"""Showing a running pipeline: a bar on a terminal, a plain line now and then elsewhere."""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict

from rich.console import Console
from rich.progress import BarColumn, Progress as Bars, TaskID, TextColumn

from growlm.base.units import format_count, format_seconds
from growlm.pipeline.events import Begun, Done, Event, Notice, Progress, Skipped

SECONDS_BETWEEN_LINES = 10.0


def show(events: Iterator[Event], options: argparse.Namespace) -> None:
    """Run a pipeline and show what it tells."""
    if options.json:
        _each(events, _as_json)
    elif options.quiet:
        _each(events, _nothing)
    elif sys.stderr.isatty():
        _on_terminal(events)
    else:
        _each(events, Lines())


def _each(events: Iterator[Event], shower: Callable[[Event], None]) -> None:
    for event in events:
        shower(event)


def _nothing(_event: Event) -> None:
    return


def _as_json(event: Event) -> None:
    print(json.dumps({"event": type(event).__name__.lower(), **asdict(event)}), flush=True)


def sentence(event: Begun | Skipped | Done | Notice) -> str:
    """Return an event in one line."""
    match event:
        case Begun(step=step):
            return f"{step} …"
        case Skipped(step=step):
            return f"{step}: skipped, nothing it depends on has changed"
        case Done(step=step, seconds=seconds, result=result):
            return f"{step}: {result} ({format_seconds(seconds)})"
        case Notice(text=text):
            return f"note: {text}"


def progress_line(event: Progress) -> str:
    """Return how far a step is, in one line."""
    parts = [f"{event.done:,}/{event.total:,} {event.unit}"]
    if event.loss is not None:
        parts.append(f"loss {event.loss:.4f}")
    if event.tokens_per_second is not None:
        parts.append(f"{format_count(event.tokens_per_second)} tokens/s")
    parts.append(f"{format_seconds(event.seconds_left)} left")
    return f"{event.step}: " + ", ".join(parts)


class Lines:
    """Plain lines on standard error, for logs and pipes; progress at most every ten seconds."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self, event: Event) -> None:
        """Print an event, unless it is progress too soon after the last."""
        if isinstance(event, Progress):
            if time.monotonic() - self._last < SECONDS_BETWEEN_LINES:
                return
            print(progress_line(event), file=sys.stderr, flush=True)
        else:
            print(sentence(event), file=sys.stderr, flush=True)
        self._last = time.monotonic()


def _on_terminal(events: Iterator[Event]) -> None:
    console = Console(stderr=True, highlight=False, emoji=False)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[text]}", markup=False),
    )
    with Bars(*columns, console=console, transient=True) as bars:
        task: TaskID | None = None
        for event in events:
            if isinstance(event, Progress):
                if task is None:
                    task = bars.add_task(event.step, total=event.total, text="")
                text = progress_line(event).split(": ", 1)[1]
                bars.update(task, completed=event.done, total=event.total, text=text)
                continue
            if task is not None and not isinstance(event, Notice):
                bars.remove_task(task)
                task = None
            bars.console.print(sentence(event), markup=False)
