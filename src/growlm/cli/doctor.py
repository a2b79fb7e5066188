"""``growlm doctor``: what this machine has, and what to do for what it lacks."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from rich.table import Table

from growlm.cli import options as shared
from growlm.cli.tables import print_table
from growlm.pipeline.doctoring import findings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    shared.output(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command; what is missing is told, and is no failure."""
    found = list(findings(Path.cwd()))
    if options.json:
        for each in found:
            print(json.dumps(asdict(each)))
        return 0
    table = Table("", "found", "to do")
    for each in found:
        table.add_row(each.name, each.found, each.fix or "")
    if not options.quiet:
        print_table(table)
    return 0
