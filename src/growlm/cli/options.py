"""Options that several commands share."""

import argparse
from contextlib import AbstractContextManager
from pathlib import Path

from growlm.cli.parser import stretch_of_time
from growlm.cli.signals import caught
from growlm.pipeline.events import Stop

PATIENCE = 600.0
"""Seconds for which training may stand still, unless told otherwise."""


def recipe(parser: argparse.ArgumentParser) -> None:
    """Add the recipe, its overrides, and the run's folder."""
    parser.add_argument("recipe", type=Path, metavar="RECIPE", help="a recipe's TOML file")
    overrides(parser)
    out(parser)


def overrides(parser: argparse.ArgumentParser) -> None:
    """Add ``--set``."""
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change one value of the recipe, as stage.base.tokens=1M; may be repeated",
    )


def out(parser: argparse.ArgumentParser) -> None:
    """Add ``--out``."""
    parser.add_argument(
        "--out", type=Path, default=None, metavar="FOLDER", help="the run's folder (runs/NAME)"
    )


def stopping(parser: argparse.ArgumentParser) -> None:
    """Add ``--grace``, ``--max-wall``, ``--patience`` and ``--allow-fallback``."""
    parser.add_argument(
        "--grace",
        type=stretch_of_time("--grace"),
        default=None,
        metavar="TIME",
        help="how long after a signal the machine is still there, as 30s: by then it ends",
    )
    parser.add_argument(
        "--max-wall",
        type=stretch_of_time("--max-wall"),
        default=None,
        metavar="TIME",
        help="how long this command may take, as 12h: training is saved before, and exits with 75",
    )
    parser.add_argument(
        "--patience",
        type=stretch_of_time("--patience"),
        default=PATIENCE,
        metavar="TIME",
        help="how long a rank or the reading of shards may stand still (10m); then it is named, "
        "and the command ends",
    )
    parser.add_argument(
        "--allow-fallback",
        action="store_true",
        help="set a damaged checkpoint aside, and go on from the one before it",
    )


def stopped(options: argparse.Namespace) -> AbstractContextManager[Stop]:
    """Return what catches signals as the options say."""
    return caught(
        grace_seconds=options.grace,
        wall_seconds=options.max_wall,
        patience_seconds=options.patience,
    )


def output(parser: argparse.ArgumentParser) -> None:
    """Add ``--quiet`` and ``--json``."""
    parser.add_argument("--quiet", action="store_true", help="print nothing but mistakes")
    parser.add_argument("--json", action="store_true", help="print JSON, one object a line")
