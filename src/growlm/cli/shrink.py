"""``growlm shrink``: the way back, from a child that was grown exactly to its parent."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from growlm.cli import options as shared
from growlm.cli.signals import caught
from growlm.pipeline.shrinking import shrink


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("child", type=Path, metavar="CHILD", help="a checkpoint that was grown")
    parser.add_argument(
        "parent", type=Path, metavar="PARENT", help="a folder that is not there yet"
    )
    shared.output(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    with caught():
        found = shrink(options.child, options.parent)
    if options.json:
        print(json.dumps(asdict(found)))
    elif not options.quiet:
        print(
            f"{options.parent}: {found.child_parameters:,} -> {found.parent_parameters:,} "
            f"parameters\n{_worth(found.child_tokens, found.largest_change)}"
        )
    return 0


def _worth(tokens: int, change: float) -> str:
    if tokens:
        return (
            f"the child had been trained for {tokens:,} tokens: what it learned in the parts that "
            f"go is lost (grown again, its weights differ by up to {change:.3g})"
        )
    return f"grown again, it gives the child's weights with a largest difference of {change:.3g}"
