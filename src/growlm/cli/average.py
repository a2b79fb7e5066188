"""``growlm average``: the uniform average of checkpoints of one stage."""

import argparse
import json
from pathlib import Path

from growlm.cli import options as shared
from growlm.cli.signals import caught
from growlm.pipeline.averaging import average


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("checkpoints", type=Path, nargs="+", metavar="CKPT", help="checkpoints")
    parser.add_argument("--out", type=Path, required=True, metavar="CKPT", help="the average")
    shared.output(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    with caught():
        meta = average(options.checkpoints, options.out)
    count, weights = len(options.checkpoints), meta.weights_sha256
    if options.json:
        found = {"path": str(options.out), "averaged": count, "weights_sha256": weights}
        print(json.dumps(found))
    elif not options.quiet:
        print(f"{options.out}: average of {count}, weights {weights}")
    return 0
