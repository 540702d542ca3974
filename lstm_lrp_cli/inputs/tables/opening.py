"""A table of an input, by its format."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lstm_lrp_cli.errors import UnusableInput, reading
from lstm_lrp_cli.inputs.spans import Span
from lstm_lrp_cli.inputs.stream import InputFormat, OpenInput, on_disk, open_input
from . import SPLITS, STATE, Table
from .delimited import DelimitedTable


@contextmanager
def open_table(
    opened: OpenInput,
    form: InputFormat,
    where: str,
    delimiter: str | None = None,
    span: Span | None = None,
) -> Iterator[Table]:
    """Open the table of an input that is open, for as long as its rows are read.

    Parameters
    ----------
    opened : OpenInput
        Of `stream.open_input`, compressed or not, a pipe too. Or a folder, for "arrow", that
        `Dataset.save_to_disk` wrote.
    form : str
        One of TABLES.
    where : str
        What messages call it.
    delimiter : str or None
        Of "csv", the character that parts fields; None finds it. "tsv" has tabs.
    span : Span or None
        The row groups that are read of Parquet; None is all.

    Raises
    ------
    UnusableInput
        It is no such table, or its header cannot be read.
    """
    if form in ("csv", "tsv"):
        yield DelimitedTable(opened.file, where, "\t" if form == "tsv" else delimiter)
        return
    from .arrow import open_arrow, open_dataset, open_parquet

    folder = opened.plain_path
    if folder is not None and folder.is_dir():
        with open_dataset(folder, where) as table:
            yield table
        return
    with (
        on_disk(opened, f".{form}") as path,
        open_parquet(path, where, span) if form == "parquet" else open_arrow(path, where) as table,
    ):
        yield table


def form_of_folder(path: str, form: InputFormat | None) -> InputFormat | None:
    """The format of what may be a folder: "arrow" of one, None of what is none.

    Raises
    ------
    UnusableInput
        It is a folder, and another format is asked for, or it is no data set.
    """
    if not Path(path).is_dir():
        return None
    if form not in (None, "arrow"):
        raise UnusableInput(path, f"is a directory; expected a .{form} file")
    if not any((Path(path) / name).is_file() for name in (STATE, SPLITS)):
        tables = sorted([*Path(path).glob("*.parquet"), *Path(path).glob("*/*.parquet")])
        mend = f"; name one of its tables: {tables[0]}" if tables else ""
        raise UnusableInput(
            path,
            "is a directory; expected a file of sequences, or a data set that "
            f"Dataset.save_to_disk wrote ({STATE}){mend}; or -o FOLDER/, for parts of all files",
        )
    return "arrow"


def row_groups(source: str) -> list[int]:
    """The rows of each group of a Parquet file.

    Raises
    ------
    UnusableInput
    """
    from .arrow import rows_of_groups

    with reading(source), open_input(source) as opened, on_disk(opened, ".parquet") as path:
        return rows_of_groups(path, opened.where)
