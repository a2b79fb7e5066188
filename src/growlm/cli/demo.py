"""``growlm demo``: the demo's recipe."""

import argparse
from pathlib import Path

from growlm.base.errors import FolderError
from growlm.cli import options as shared, run as run_command

RECIPE = Path("recipes/demo.toml")
"""In a clone."""

PACKED = Path(__file__).with_name("demo.toml")
"""In a wheel; pyproject.toml puts it there."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    shared.overrides(parser)
    shared.out(parser)
    shared.stopping(parser)
    shared.output(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    found = next((path for path in (RECIPE, PACKED) if path.is_file()), None)
    if found is None:
        raise FolderError(
            f"{RECIPE} in this folder", got=str(Path.cwd()), fix="growlm demo in a clone of growlm"
        )
    options.recipe = found
    return run_command.run(options)
