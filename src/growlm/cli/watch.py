"""``growlm watch``: how runs in progress stand, in the terminal."""

import argparse
import json
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table

from growlm.base.units import format_bytes, format_count, format_seconds
from growlm.cli import options as shared
from growlm.cli.tables import print_table
from growlm.pipeline.watching import Standing, Watch

BARS = "▁▂▃▄▅▆▇█"
BAR_COUNT = 24


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="a run's folder")
    parser.add_argument(
        "--every", type=float, default=2.0, metavar="SECONDS", help="between two looks (2)"
    )
    parser.add_argument("--once", action="store_true", help="look once, as off a terminal")
    shared.output(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    watch = Watch(options.runs)
    standings = watch.look()
    if options.json:
        for each in standings:
            print(json.dumps(each.as_dict()))
    elif options.once or not sys.stdout.isatty():
        if not options.quiet:
            print_table(_table(standings))
    else:
        _stay(watch, standings, every=options.every)
    return 0


def _stay(watch: Watch, standings: list[Standing], *, every: float) -> None:
    console = Console(highlight=False, markup=False, emoji=False)
    with Live(_view(standings), console=console, auto_refresh=False) as live:
        while any(each.state != "done" for each in standings):
            time.sleep(max(every, 0.1))
            standings = watch.look()
            live.update(_view(standings), refresh=True)


def _view(standings: Sequence[Standing]) -> RenderableType:
    notices = [f"{each.stage}: {each.notice}" for each in standings if each.notice]
    return Group(_table(standings), *notices[-3:])


def _table(standings: Sequence[Standing]) -> Table:
    table = Table(pad_edge=False)
    several = len({each.run for each in standings}) > 1
    names = ("run",) if several else ()
    for name in (*names, "stage", "state", "step", "loss", "", "validation"):
        table.add_column(name, justify="right" if name == "step" else "left")
    for name in ("tokens/s", "MFU", "memory", "left"):
        table.add_column(name, justify="right")
    for each in standings:
        table.add_row(*((each.run,) if several else ()), *_cells(each))
    return table


def _cells(each: Standing) -> list[str]:
    share = f"{each.step:,}/{each.steps:,} ({each.step / each.steps:.0%})"
    return [
        each.stage,
        each.state,
        share,
        "" if each.loss is None else f"{each.loss:.4f}",
        curve(each.losses),
        "" if each.validation_loss is None else f"{each.validation_loss:.4f}",
        "" if each.tokens_per_second is None else format_count(each.tokens_per_second),
        "" if each.mfu is None else f"{each.mfu:.1%}",
        "" if each.memory_bytes is None else format_bytes(each.memory_bytes),
        "" if each.seconds_left is None else format_seconds(each.seconds_left),
    ]


def curve(losses: Sequence[float]) -> str:
    """Return losses as a row of bars, the highest the tallest; each stands for several.

    >>> curve([4.0, 3.0, 2.0, 1.0])
    '█▆▃▁'
    """
    finite = [loss for loss in losses if math.isfinite(loss)]
    if not finite:
        return ""
    count = min(BAR_COUNT, len(finite))
    parts = [
        finite[len(finite) * bar // count : len(finite) * (bar + 1) // count]
        for bar in range(count)
    ]
    means = [sum(part) / len(part) for part in parts]
    low, span = min(means), max(means) - min(means)
    return "".join(
        BARS[round((mean - low) / span * (len(BARS) - 1)) if span else 0] for mean in means
    )
