"""``growlm exposure``: which benchmark examples a checkpoint was trained on, and when."""

import argparse
import json
from pathlib import Path
from typing import Any

from rich.table import Table

from growlm.cli import options as shared
from growlm.cli.tables import EXPOSURE, exposure_cells, print_table
from growlm.pipeline.exposing import ledger_of, summary

LINEAGE = {
    "known": "known: the data of every stage were searched",
    "partial": "partial: of what follows, nothing is known of stages and sources not searched",
    "unknown": "unknown: no stage's data were searched, so nothing can be said of any benchmark",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("checkpoint", type=Path, metavar="CKPT", help="a checkpoint's folder")
    parser.add_argument(
        "--examples",
        action="store_true",
        help="every example that was trained on, with its steps, and not only their numbers",
    )
    shared.output(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    found = summary(ledger_of(options.checkpoint))
    if options.json:
        print(json.dumps(found))
    elif not options.quiet:
        _show(found, examples=options.examples)
    return 0


def _show(found: dict[str, Any], *, examples: bool) -> None:
    print(f"lineage {LINEAGE[found['lineage']]}")
    for segment in found["segments"]:
        print(f"  {segment['stage']}: {segment['status']}{_searched(segment)}")
    if found["totals"]:
        print_table(_totals(found["totals"]))
    if examples and any(segment["examples"] for segment in found["segments"]):
        print_table(_examples(found["segments"]))


def _searched(segment: dict[str, Any]) -> str:
    if not segment["benchmarks"]:
        return ""
    left = f"; not all in {', '.join(segment['unsearched'])}" if segment["unsearched"] else ""
    return f" ({', '.join(segment['benchmarks'])}{left})"


def _totals(totals: list[dict[str, Any]]) -> Table:
    table = Table("benchmark")
    for name in EXPOSURE:
        table.add_column(name, justify="right")
    for each in totals:
        table.add_row(each["benchmark"], *exposure_cells(each))
    return table


def _examples(segments: list[dict[str, Any]]) -> Table:
    table = Table("benchmark", "row", "stage", "source", "document", "share", "exposures", "steps")
    for segment in segments:
        for each in segment["examples"]:
            if not each["steps"]:
                continue
            table.add_row(
                each["benchmark"],
                str(each["index"]),
                segment["stage"],
                each["source"],
                each["document"],
                f"{each['score']:.2f}",
                f"{sum(each['shares']):.2f}" + (" (masked)" if each["masked"] else ""),
                ", ".join(f"{step:,}" for step in each["steps"]),
            )
    return table
