"""Tables and paragraphs on standard output; no table is cut to the width of a pipe."""

import sys
from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.table import Table

PIPE_COLUMNS = 240
PROSE_COLUMNS = 100
"""Columns that a paragraph fills, at most."""


EXPOSURE = ("trained on", "with the answer", "exposures", "most", "masked")
"""Columns that say what a model was trained on of a benchmark."""


def exposure_cells(total: Mapping[str, Any]) -> list[str]:
    """Return those columns' cells."""
    return [
        f"{total['examples']:,}",
        f"{total['answered']:,}",
        f"{total['exposures']:.2f}",
        f"{total['most']:.2f}",
        f"{total['masked']:,}",
    ]


def print_table(table: Table) -> None:
    """Print a table; off a terminal, rows are as wide as they need to be."""
    table.box = SIMPLE_HEAD
    table.pad_edge = False
    width = None if sys.stdout.isatty() else PIPE_COLUMNS
    Console(highlight=False, markup=False, emoji=False, width=width).print(table)


def print_prose(text: RenderableType) -> None:
    """Print paragraphs, wrapped to the terminal, or to 80 columns off one; ``COLUMNS`` wins."""
    console = Console(highlight=False, markup=False, emoji=False)
    with console.capture() as captured:
        console.print(text, width=min(console.width, PROSE_COLUMNS))
    # Rich fills each line with spaces, which files and pipes need not keep.
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))
