"""Tables of the user: columns by name, and rows one after the other.

`opening.open_table` gives a `Table` of whatever the table is written as. It has `columns`, known
before any row is read, and `rows(columns)`, which reads those columns and no others. Nothing is
kept of the rows, so memory does not grow with the table.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from collections.abc import Sequence as Several
from typing import Any

from lstm_lrp_cli.errors import UnusableInput, short

# The values of some columns of a row, in the order asked for, and the row's place for error
# messages: "reviews.csv: line 7", at which it begins; "reviews.parquet: row 6", counted from 1.
Row = tuple[tuple[Any, ...], str]
# How many columns a message lists.
LISTED = 12
# What tells a folder of Hugging Face's datasets, and one of several of them.
STATE, SPLITS = "state.json", "dataset_dict.json"


def is_missing(value: Any) -> bool:
    """Whether a value of a typed table stands for one that is not there: None, NaN, pandas' NA."""
    try:
        return value is None or bool(value != value)
    except (TypeError, ValueError):
        return type(value).__name__ == "NAType"


class Table(ABC):
    """A table that is open for reading.

    Parameters
    ----------
    where : str
        What messages call it.
    columns : tuple of str
        Their names, in the table's order; none of an empty file. A name may come twice, or be
        empty, as in tables that pandas wrote with its index; such a column cannot be asked for
        where the name is not the only one.
    typed : bool
        Whether values are of types: int, float, str, bool, bytes, date, datetime, list or None,
        which is a missing one. Else all are text as it stands in the file, and what is missing is
        an empty text, or what its writer put there ("NA", "nan").
    classes : dict of str to tuple of str
        Columns of class numbers, with the classes' names, where the table tells these.
    first_row : int
        The number of the first row that is read, from 1.
    ends : frozenset of int
        The numbers of rows behind which a block ends, whatever it holds.
    """

    typed = False
    first_row = 1
    ends: frozenset[int] = frozenset()
    classes: Mapping[str, tuple[str, ...]] = {}

    def __init__(self, where: str, columns: Several[str]) -> None:
        self.where = where
        self.columns = tuple(columns)

    def rows(self, columns: Several[str]) -> Iterator[Row]:
        """The values of these columns of each row, with the row's place, in the table's order.

        To be called once: a table may come through a pipe. Of no columns, rows are empty tuples.

        Raises
        ------
        UnusableInput
            A column is not there, or more than once: at once. Or the table is damaged, or a row
            has another number of fields: when it is reached, and what stands before comes first.
        """
        return self._rows([self.place_of(name) for name in columns])

    def place_of(self, name: str) -> int:
        """Which column has a name, from 0.

        Raises
        ------
        UnusableInput
            None has it, or more than one.
        """
        found = [place for place, column in enumerate(self.columns) if column == name]
        if len(found) == 1:
            return found[0]
        if found:
            raise UnusableInput(
                self.where, f"has {len(found)} columns `{name}`; rename all of them but one"
            )
        alike = [column for column in self.columns if column.strip().lower() == name.lower()]
        mend = f"; is `{alike[0]}` meant?" if len(alike) == 1 else ""
        raise UnusableInput(
            self.where, f"has no column `{name}`{mend or f'; expected one of {self.listed}'}"
        )

    def first(self) -> dict[str, Any]:
        """The values of the first row by their columns; of messages alone, as it is read so."""
        row, _ = next(self._rows(list(range(len(self.columns)))), ((), ""))
        return dict(zip(self.columns, row, strict=False))

    @property
    def listed(self) -> str:
        """The columns, as a message lists them."""
        names = ", ".join(short(name) or "(without a name)" for name in self.columns[:LISTED])
        more = len(self.columns) - LISTED
        return f"{names} and {more} more" if more > 0 else names

    def asking(self, **columns: str) -> str:
        """How the user says which columns are read, in the mend of a message."""
        import shlex  # for messages alone

        return " ".join(f"--{option} {shlex.quote(name)}" for option, name in columns.items())

    @abstractmethod
    def _rows(self, places: list[int]) -> Iterator[Row]:
        """The values of the columns at these places."""
