"""The rich console that tables and heat maps are printed on."""

import os
import shutil
from typing import NoReturn, TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

# Off a terminal there is no width to go by; a table is then wide enough not to fold.
PIPED_WIDTH = 120
UNBOUNDED = 10_000


class PipeConsole(Console):
    """Leaves a closed pipe to the command, which ends quietly; rich would exit with status 1."""

    def on_broken_pipe(self) -> NoReturn:
        raise BrokenPipeError


def open_console(file: TextIO) -> Console:
    """A console on a stream. Text is never highlighted by what it looks like."""
    piped = not file.isatty() and "COLUMNS" not in os.environ
    size = shutil.get_terminal_size()
    # With the height as well: of a dumb terminal, rich would take neither for known.
    return PipeConsole(
        file=file, highlight=False, width=PIPED_WIDTH if piped else size.columns, height=size.lines
    )


def print_table(table: Table, console: Console) -> None:
    """Print a table in which numbers, which stand on the right, are whole at any width.

    Where there is little room they take no more than they need, and their headers are folded.
    """
    wide = Measurement.get(console, console.options.update(width=UNBOUNDED), table).maximum
    for column in table.columns:
        if column.justify == "right":
            words = (*map(str, column.cells), *str(column.header).split())
            column.min_width = max(map(cell_len, words), default=0)
            if wide > console.width:
                column.max_width = column.min_width
        else:
            column.overflow = "fold"
    console.print(table)
