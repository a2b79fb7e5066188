"""``growlm run``: a whole recipe."""

import argparse
from pathlib import Path

from growlm.base.version import VERSION
from growlm.cli import options as shared
from growlm.cli.show import show
from growlm.pipeline.open import run_of
from growlm.pipeline.ranks import joined, together
from growlm.pipeline.run import everything


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    shared.recipe(parser)
    shared.stopping(parser)
    shared.output(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    recipe: Path = options.recipe
    with (
        shared.stopped(options) as stop,
        joined(patience_seconds=stop.patience_seconds) as world,
        run_of(
            recipe,
            options.overrides,
            out=options.out,
            stop=stop,
            version=VERSION,
            allow_fallback=options.allow_fallback,
            world=world,
        ) as job,
    ):
        show(together(job, everything(job)), options)
    return 0
