"""Files of results, read block by block, whatever they are written as."""

from __future__ import annotations

from collections.abc import Iterator

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.results.json_lines import json_lines_blocks
from lstm_lrp_cli.results.result import Result
from lstm_lrp_cli.sequences.stream import display_name, open_input

PARQUET = b"PAR1"


def read_results(source: str) -> Iterator[list[Result]]:
    """The results of a file or of standard input (`-`), compressed or not, in order.

    Memory is that of a block. What stands before an error comes first.

    Parameters
    ----------
    source : str
        JSON lines, as `lrp explain --format jsonl` writes them.

    Raises
    ------
    UnusableInput
        It cannot be read, or is not what `lrp explain` writes. The error names the line.
    """
    where = display_name(source)
    with open_input(source) as opened:
        if opened.beginning.startswith(PARQUET):
            raise UnusableInput(
                where, "is Parquet; expected JSON lines: write them with --format jsonl"
            )
        empty = True
        for block in json_lines_blocks(opened.file, where):
            empty = empty and not block
            yield block
        if empty:
            raise UnusableInput(
                where, "is empty; expected the lines that `lrp explain --format jsonl` writes"
            )
