"""A table of an input, by its format."""

from collections.abc import Iterator
from contextlib import contextmanager

from lstm_lrp_cli.inputs.stream import InputFormat, OpenInput
from . import Table
from .delimited import DelimitedTable


@contextmanager
def open_table(
    opened: OpenInput, form: InputFormat, where: str, delimiter: str | None = None
) -> Iterator[Table]:
    """Open the table of an input that is open, for as long as its rows are read.

    Parameters
    ----------
    opened : OpenInput
        Of `stream.open_input`, compressed or not, a pipe too.
    form : str
        One of TABLES.
    where : str
        What messages call it.
    delimiter : str or None
        Of "csv", the character that parts fields; None finds it. "tsv" has tabs.

    Raises
    ------
    UnusableInput
        It is no such table, or its header cannot be read.
    """
    yield DelimitedTable(opened.file, where, "\t" if form == "tsv" else delimiter)
