"""``growlm demo``: the demo's recipe."""

import argparse

from growlm.cli import options as shared, run as run_command
from growlm.pipeline.open import demo_recipe


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    shared.overrides(parser)
    shared.out(parser)
    shared.stopping(parser)
    shared.output(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    options.recipe = demo_recipe()
    return run_command.run(options)
