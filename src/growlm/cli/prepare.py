"""``growlm prepare``: tokenizer, shards and held-out texts."""

import argparse

from growlm.base.version import VERSION
from growlm.cli import options as shared
from growlm.cli.show import show
from growlm.cli.signals import caught
from growlm.pipeline.open import run_of
from growlm.pipeline.run import prepare


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    shared.recipe(parser)
    shared.output(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    with (
        caught() as stop,
        run_of(
            options.recipe, options.overrides, out=options.out, stop=stop, version=VERSION
        ) as job,
    ):
        show(prepare(job), options)
    return 0
