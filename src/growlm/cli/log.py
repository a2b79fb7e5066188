"""``growlm log``: a run's training log, from what lies in its folder."""

import argparse
from pathlib import Path

from growlm.base.version import VERSION
from growlm.cli import options as shared
from growlm.cli.show import show
from growlm.pipeline.events import Stop
from growlm.pipeline.open import recorded_run
from growlm.pipeline.run import log


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("run", type=Path, metavar="RUN", help="a run's folder")
    shared.output(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    show(log(recorded_run(options.run, stop=Stop(), version=VERSION)), options)
    return 0
