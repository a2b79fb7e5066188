"""``growlm study``: a grid of runs with shared parents, and what growing saved in it."""

import argparse
from pathlib import Path

from growlm.base.version import VERSION
from growlm.cli import options as shared
from growlm.cli.show import show
from growlm.pipeline.studying import carry_out, study_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    shared.recipe(parser)
    shared.stopping(parser)
    shared.output(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    recipe: Path = options.recipe
    with shared.stopped(options) as stop:
        study = study_of(
            recipe,
            options.overrides,
            out=options.out,
            stop=stop,
            version=VERSION,
            allow_fallback=options.allow_fallback,
        )
        show(carry_out(study), options)
    return 0
