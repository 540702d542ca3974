"""Tables that a program has in memory: of pandas, polars, pyarrow, Hugging Face's datasets."""

from collections.abc import Iterator, Mapping
from typing import Any

from lstm_lrp_cli.errors import UnusableInput
from . import Row, Table
from .dates import is_date

# What the column is called that an index of dates becomes.
DATE_NAMES = ("date", "index", "date of the index")


def is_table(given: Any) -> bool:
    """Whether something has columns by name."""
    return hasattr(given, "columns") or hasattr(given, "column_names")


class MemoryTable(Table):
    """A table in memory, or a dict with a list for each column, as a table of rows.

    Places of rows are those of sequences: "sequence 3", counted from 0, as of all in memory.

    Parameters
    ----------
    where, row : str
        What messages call it, and each of its rows.
    """

    typed = True

    def __init__(self, given: Any, where: str = "input", row: str = "sequence") -> None:
        # What pyarrow and datasets call columns are names in the others.
        names = getattr(given, "column_names", None)
        if isinstance(names, Mapping):  # of datasets, those of each split
            listed = ", ".join(map(str, names))
            raise UnusableInput("input", f"is a data set of the splits {listed}; give one of them")
        names = list(given) if isinstance(given, Mapping) else (names or list(given.columns))
        super().__init__(where, [str(name) for name in names])
        self._given, self._names, self._row = given, names, row

    def asking(self, **columns: str) -> str:
        return ", ".join(f"{option}={name!r}" for option, name in columns.items())

    def _rows(self, places: list[int]) -> Iterator[Row]:
        columns = [self._given[self._names[place]] for place in places]
        for place, column in zip(places, columns, strict=True):
            if isinstance(column, str) or not hasattr(column, "__len__"):
                raise UnusableInput(
                    f"input: column {self.columns[place]}",
                    f"is of type {type(column).__name__}; expected a list, a value a row",
                )
        if len(set(map(len, columns))) > 1:
            counts = ", ".join(
                f"{self.columns[place]} {len(column)}"
                for place, column in zip(places, columns, strict=True)
            )
            raise UnusableInput("input", f"its columns are not of one length: {counts}")
        for number, row in enumerate(zip(*columns, strict=True)):
            yield tuple(map(_plain, row)), f"{self._row} {number}"


def with_index(table: Any) -> tuple[Any, str | None]:
    """A table of pandas with columns of what its index has; and the name of that of its dates.

    An index of numbers is none, unless it has several levels.
    """
    index: Any = getattr(table, "index", None)
    kind = type(index).__name__
    if kind == "MultiIndex":
        return table.reset_index(), None
    texts = getattr(index, "inferred_type", None) == "string"
    if kind not in ("DatetimeIndex", "PeriodIndex") and not texts:
        return table, None
    if texts and not is_date(index[0]):
        return (table if index.name is None else table.reset_index()), None
    if kind == "PeriodIndex":
        index = index.to_timestamp()
    names = [str(name) for name in table.columns]
    name = next(name for name in (index.name, *DATE_NAMES) if name and name not in names)
    dated = table.reset_index(drop=True)
    dated.insert(0, name, list(index.astype(str)))
    return dated, name


def _plain(value: Any) -> Any:
    """A value as Python has it; arrays as lists, and pandas' own kinds of nothing as None."""
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    for name in ("as_py", "tolist"):
        if hasattr(value, name):
            return getattr(value, name)()
    return value
