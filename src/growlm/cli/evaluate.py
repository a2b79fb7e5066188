"""``growlm evaluate``: scores of checkpoints on a run's held-out documents."""

import argparse
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
            print(f'{{"checkpoint": "{path}", "scores": {view.model_dump_json()}}}')
    elif not options.quiet:
        print_table(_table(scores))
    return 0


def _table(scores: Scores) -> Table:
    names = list(scores.found[0][1].bits_per_byte) if scores.found else []
    table = Table("checkpoint", "context", *(f"{name}, bits per byte" for name in names))
    table.add_column("last word, accuracy")
    table.add_column("perplexity")
    for path, view in scores.found:
        word = view.last_word
        table.add_row(
            str(path),
            f"{view.context} ({view.multiple}x)",
            *(f"{view.bits_per_byte[name]:.4f}" for name in names),
            f"{word.accuracy:.3f} ± {word.accuracy_stderr:.3f}" if word else "-",
            f"{word.perplexity:.4g}" if word else "-",
        )
    return table
