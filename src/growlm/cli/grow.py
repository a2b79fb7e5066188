"""``growlm grow``: a child checkpoint and its certificate."""

import argparse
from pathlib import Path

from growlm.cli import options as shared
from growlm.cli.parser import whole_number
from growlm.cli.signals import caught
from growlm.pipeline.folder import existing
from growlm.pipeline.growing import Growth, grow


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("parent", type=Path, metavar="PARENT", help="a checkpoint's folder")
    parser.add_argument("child", type=Path, metavar="CHILD", help="a folder that is not there yet")
    parser.add_argument(
        "--layers",
        type=whole_number("--layers"),
        required=True,
        metavar="N",
        help="the child's layers",
    )
    parser.add_argument(
        "--depth",
        default="interleave",
        metavar="OPERATOR",
        help="interleave, stack, or insert (default: interleave)",
    )
    parser.add_argument(
        "--optimizer-state",
        default="asymmetric",
        metavar="MODE",
        help="drop, copy, or asymmetric (default: asymmetric)",
    )
    parser.add_argument(
        "--context",
        type=whole_number("--context"),
        default=None,
        metavar="T",
        help="the child's (the parent's)",
    )
    parser.add_argument(
        "--run",
        type=Path,
        default=None,
        metavar="RUN",
        help="the run whose held-out text is used (the one PARENT lies in)",
    )
    shared.output(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    growth = Growth(
        parent=options.parent,
        child=options.child,
        operator=options.depth,
        layers=options.layers,
        optimizer_state=options.optimizer_state,
        context=options.context,
        stage=options.child.name,
    )
    with caught():
        found = grow(growth, run=existing(options.run) if options.run else None)
    if options.json:
        print(found.model_dump_json())
    elif not options.quiet:
        kind = found.batches.removesuffix(" tokens")
        print(
            f"{options.child}: {found.layers_from} -> {found.layers_to} layers by "
            f"{found.operator} ({found.claim}), {found.parent_parameters:,} -> "
            f"{found.child_parameters:,} parameters\n"
            f"on {found.tokens:,} {kind} tokens: largest logit difference "
            f"{found.max_logit_difference:.3g}, loss {found.loss_before:.4f} -> "
            f"{found.loss_after:.4f}"
        )
    return 0
