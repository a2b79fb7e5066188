"""``growlm certify``: a child beside its parent, and whether its certificate holds."""

import argparse
import json
from pathlib import Path
from typing import Any

from rich.table import Table

from growlm.cli import options as shared
from growlm.cli.signals import caught
from growlm.cli.tables import print_table
from growlm.pipeline.certifying import Certified, certify
from growlm.pipeline.folder import existing
from growlm.pipeline.growing import changes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    for name, meaning in (("parent", "the model before"), ("child", "the model after")):
        parser.add_argument(
            name,
            type=Path,
            metavar=name.upper(),
            help=f"{meaning}: a checkpoint, or a Hugging Face folder",
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
    place = existing(options.run) if options.run else None
    with caught():
        found = certify(options.parent, options.child, run=place)
    if options.json:
        print(json.dumps(_values(found)))
    elif not options.quiet:
        print("\n".join(_lines(options.child, found)))
        print_table(_measured(found))
    return 0


def _values(found: Certified) -> dict[str, Any]:
    certificate = found.certificate
    return {
        "holds": certificate is not None,
        "unclaimed": found.unclaimed,
        "parent_parameters": found.parent_parameters,
        "child_parameters": found.child_parameters,
        "measurements": [each.model_dump(mode="json") for each in found.measurements],
        "certificate": certificate.model_dump(mode="json") if certificate else None,
    }


def _lines(child: Path, found: Certified) -> list[str]:
    certificate = found.certificate
    counts = f"{found.parent_parameters:,} -> {found.child_parameters:,}"
    if certificate is None:
        return [f"{child}: {found.unclaimed}", f"parameters   {counts}"]
    decayed, plain = (certificate.optimizer_groups[each] for each in ("decayed", "plain"))
    return [
        f"{child}: its certificate holds",
        f"growth       {changes(certificate)}",
        *(f"             {departure}" for departure in certificate.departures),
        f"parameters   {counts}, as the formula has it",
        "weights      each is what the plan makes of the parent, to the last bit",
        f"optimizer    {decayed} weights decay and {plain} do not; each is in one group",
        f"norm cliff   {certificate.norm_cliff:.3g} times the parent's mean step between layers",
        f"neighbours   {certificate.adjacency:.0%} of the layers' were the parent's",
        f"plan         {certificate.plan_sha256}",
    ]


def _measured(found: Certified) -> Table:
    table = Table("numbers", "context", "tokens")
    for name in ("largest logit difference", "largest logit", "parent's loss", "child's loss"):
        table.add_column(name, justify="right")
    for each in found.measurements:
        table.add_row(
            each.dtype,
            f"{each.context:,}",
            f"{each.tokens:,}",
            f"{each.max_logit_difference:.3g}",
            f"{each.largest_logit:.4g}",
            f"{each.loss_before:.6f}",
            f"{each.loss_after:.6f}",
        )
    return table
