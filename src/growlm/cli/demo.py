"""``growlm demo``: the demo's recipe."""

import argparse
from pathlib import Path

from growlm.base.errors import FolderError
from growlm.cli import options as shared, run as run_command

RECIPE = Path("recipes/demo.toml")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    shared.overrides(parser)
    shared.out(parser)
    shared.stopping(parser)
    shared.output(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    if not RECIPE.is_file():
        raise FolderError(
            f"{RECIPE} in this folder", got=str(Path.cwd()), fix="growlm demo in a clone of growlm"
        )
    options.recipe = RECIPE
    return run_command.run(options)
