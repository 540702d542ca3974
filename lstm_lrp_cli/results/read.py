"""Files of results, read block by block, whatever they are written as."""

from collections.abc import Iterator

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.inputs.stream import (
    OpenInput,
    display_name,
    is_text,
    on_disk,
    open_input,
    seen_of,
)
from lstm_lrp_cli.loading.files.formats import what_it_is
from .json_lines import json_lines_blocks
from .result import Result

PARQUET = b"PAR1"


def read_results(source: str) -> Iterator[list[Result]]:
    """The results of a file or of standard input (`-`), compressed or not, in order.

    Memory is that of a block.

    Parameters
    ----------
    source : str
        JSON lines or Parquet, as `lrp explain` writes them.

    Raises
    ------
    UnusableInput
        It cannot be read, or is not what `lrp explain` writes. The error names the line.
    """
    where = display_name(source)
    with open_input(source) as opened:
        empty = True
        for block in _blocks(opened, where):
            empty = empty and not block
            yield block
        if empty:
            raise UnusableInput(
                where, "is empty; expected the lines that `lrp explain --format jsonl` writes"
            )


def _blocks(opened: OpenInput, where: str) -> Iterator[list[Result]]:
    if not opened.beginning.startswith(PARQUET):
        found = "" if is_text(opened.beginning) else what_it_is(seen_of(opened, where))
        if found:
            raise UnusableInput(
                where, f"{found}; expected what `lrp explain` writes as JSON lines or Parquet"
            )
        yield from json_lines_blocks(opened.file, where)
        return
    from .parquet import parquet_blocks

    with on_disk(opened, ".parquet") as path:
        yield from parquet_blocks(path, where)
