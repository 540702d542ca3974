"""Tables that a program has in memory: of pandas, polars, pyarrow, Hugging Face's datasets."""

from collections.abc import Iterator, Mapping
from typing import Any

from lstm_lrp_cli.errors import UnusableInput
from . import Row, Table


def is_table(given: Any) -> bool:
    """Whether something has columns by name."""
    return hasattr(given, "columns") or hasattr(given, "column_names")


class MemoryTable(Table):
    """A table in memory, or a dict with a list for each column, as a table of rows.

    Places of rows are those of sequences: "sequence 3", counted from 0, as of all in memory.
    """

    typed = True

    def __init__(self, given: Any) -> None:
        # What pyarrow and datasets call columns are names in the others.
        names = getattr(given, "column_names", None)
        if isinstance(names, Mapping):  # of datasets, those of each split
            listed = ", ".join(map(str, names))
            raise UnusableInput("input", f"is a data set of the splits {listed}; give one of them")
        names = list(given) if isinstance(given, Mapping) else (names or list(given.columns))
        super().__init__("input", [str(name) for name in names])
        self._given, self._names = given, names

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
            yield tuple(map(_plain, row)), f"sequence {number}"


def _plain(value: Any) -> Any:
    """A value as Python has it; arrays as lists."""
    for name in ("as_py", "tolist"):
        if hasattr(value, name):
            return getattr(value, name)()
    return value
