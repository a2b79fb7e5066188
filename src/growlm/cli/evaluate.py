"""``growlm evaluate``: scores of checkpoints on a run's held-out documents."""

import argparse
import json
from pathlib import Path

from rich.table import Table

from growlm.cli import options as shared
from growlm.cli.show import show
from growlm.cli.tables import print_table
from growlm.pipeline.scoring import Scores, score_checkpoints


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "checkpoints", type=Path, nargs="+", metavar="CKPT", help="checkpoints' folders"
    )
    parser.add_argument(
        "--run",
        type=Path,
        default=None,
        metavar="RUN",
        help="the run whose held-out text is used (the one CKPT lies in)",
    )
    shared.output(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    scores = Scores()
    show(score_checkpoints(options.checkpoints, options.run, scores), options)
    if options.json:
        for path, view in scores.found:
            print(json.dumps({"checkpoint": str(path), "scores": view.model_dump(mode="json")}))
    elif not options.quiet:
        print_table(_table(scores))
    return 0


def _table(scores: Scores) -> Table:
    names = list(dict.fromkeys(name for _, view in scores.found for name in view.bits_per_byte))
    table = Table("checkpoint", "context", *(f"{name}, bits per byte" for name in names))
    table.add_column("last word, accuracy")
    table.add_column("perplexity")
    for path, view in scores.found:
        word = view.last_word
        table.add_row(
            str(path),
            f"{view.context} ({view.multiple}x)",
            *(_number(view.bits_per_byte.get(name)) for name in names),
            f"{word.accuracy:.3f} ± {word.accuracy_stderr:.3f}" if word else "-",
            f"{word.perplexity:.4g}" if word else "-",
        )
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
