"""``growlm overlap``: which benchmark examples stand in which texts."""

import argparse
import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

from rich.table import Table

from growlm.base.version import VERSION
from growlm.cli import options as shared
from growlm.cli.show import show
from growlm.cli.signals import caught
from growlm.cli.tables import print_table
from growlm.pipeline.events import Event
from growlm.pipeline.overlapping import asked, overlap_alone


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "--source",
        dest="sources",
        action="append",
        required=True,
        metavar="NAME=GLOB",
        help="texts: files, a folder or a glob, under a name; may be repeated",
    )
    parser.add_argument(
        "--against",
        action="append",
        required=True,
        metavar="FILE",
        help="a benchmark's JSON lines, as FILE or NAME=FILE, or a task of lm-evaluation-harness, "
        "as lm-eval:TASK; may be repeated",
    )
    parser.add_argument(
        "--fields",
        action="append",
        default=[],
        metavar="NAME:text=FIELD,answer=FIELD",
        help="which fields of a benchmark are text, answer and context; NAME[KEY] picks from a "
        "list, A/B[KEY] between fields (known by name: lambada, piqa, hellaswag)",
    )
    parser.add_argument(
        "--text-field",
        default="text",
        metavar="FIELD",
        help="the field of a source's JSON line that holds the text (text)",
    )
    parser.add_argument(
        "--rules",
        choices=("fast", "exact"),
        default="fast",
        help="where the published rules look for words in a row: inside the runs found, or "
        "everywhere, which is several times slower (fast)",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="where overlap.json and .md go"
    )
    shared.output(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    what = asked(
        options.sources,
        options.against,
        options.fields,
        text_field=options.text_field,
        rules=options.rules,
    )
    found: list[dict[str, Any]] = []

    def events() -> Generator[Event, None, None]:
        found.append((yield from overlap_alone(what, out=options.out, version=VERSION)))

    with caught():
        show(events(), options)
    if options.json:
        print(json.dumps({"overlaps": [_summary(each) for each in found[0]["overlaps"]]}))
    elif not options.quiet:
        print_table(_table(found[0]["overlaps"]))
    return 0


def _summary(overlap: dict[str, Any]) -> dict[str, Any]:
    return {key: overlap[key] for key in ("benchmark", "source", "labels")}


def _table(overlaps: list[dict[str, Any]]) -> Table:
    table = Table("benchmark", "source")
    names = ("clean", "partial", "dirty")
    for name in (*names, "other", "answer covered", "gpt3", "tulu3"):
        table.add_column(name, justify="right")
    for each in overlaps:
        labels = each["labels"]
        table.add_row(
            each["benchmark"],
            each["source"],
            *(f"{labels[name]:,}" for name in names),
            f"{sum(labels.values()) - sum(labels[name] for name in names):,}",
            f"{sum(bool(hit['answer_covered']) for hit in each['hits']):,}",
            *(f"{each['rules'][rule]['flagged']:,}" for rule in ("gpt3", "tulu3")),
        )
    return table
