"""Tables on standard output, never cut to the width of a pipe."""

import sys

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

PIPE_COLUMNS = 240


def print_table(table: Table) -> None:
    """Print a table; off a terminal, rows are as wide as they need to be."""
    table.box = SIMPLE_HEAD
    table.pad_edge = False
    width = None if sys.stdout.isatty() else PIPE_COLUMNS
    Console(highlight=False, markup=False, emoji=False, width=width).print(table)
