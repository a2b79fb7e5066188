"""``growlm log``: a run's training log, or several runs on one page, from what lies in folders."""

import argparse
import json
from pathlib import Path

from growlm.base.version import VERSION
from growlm.cli import options as shared
from growlm.cli.show import show
from growlm.pipeline.comparing import check_place, compare
from growlm.pipeline.events import Stop
from growlm.pipeline.open import recorded_run
from growlm.pipeline.run import log


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "runs", type=Path, nargs="+", metavar="RUN", help="a run's folder; several are overlaid"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=None,
        metavar="FOLDER",
        help="where the page of several runs goes; that of one stands in its own folder",
    )
    shared.output(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    check_place(options.runs, options.out)
    if len(options.runs) == 1:
        show(log(recorded_run(options.runs[0], stop=Stop(), version=VERSION)), options)
        return 0
    written = compare(options.runs, options.out, version=VERSION)
    if options.json:
        print(json.dumps({"written": [str(path) for path in written]}))
    elif not options.quiet:
        print("\n".join(map(str, written)))
    return 0
