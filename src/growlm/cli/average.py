"""``growlm average``: the uniform average of checkpoints of one stage."""

import argparse
from pathlib import Path

from growlm.pipeline.averaging import average


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("checkpoints", type=Path, nargs="+", metavar="CKPT", help="checkpoints")
    parser.add_argument("--out", type=Path, required=True, metavar="CKPT", help="the average")


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    meta = average(options.checkpoints, options.out)
    print(f"{options.out}: average of {len(options.checkpoints)}, weights {meta.weights_sha256}")
    return 0
