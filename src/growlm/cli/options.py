"""Options that several commands share."""

import argparse
from pathlib import Path


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


def output(parser: argparse.ArgumentParser) -> None:
    """Add ``--quiet`` and ``--json``."""
    parser.add_argument("--quiet", action="store_true", help="print nothing but mistakes")
    parser.add_argument("--json", action="store_true", help="print JSON, one object a line")
