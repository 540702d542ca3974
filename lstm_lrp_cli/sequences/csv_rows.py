"""Rows of comma-separated values."""

import csv
from collections.abc import Iterable, Iterator

from lstm_lrp_cli.errors import UnusableInput


def csv_rows(lines: Iterable[tuple[str, str]], where: str) -> Iterator[tuple[list[str], str]]:
    """Split lines into rows, each with its place for error messages; empty lines are passed over.

    Parameters
    ----------
    lines : iterable of (text, place)
    """
    reader = csv.reader(text for text, _ in lines)
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise UnusableInput(
                f"{where}: line {reader.line_num}", f"is no CSV: {error}"
            ) from error
        if row is None:
            return
        if row:
            yield row, f"{where}: line {reader.line_num}"
