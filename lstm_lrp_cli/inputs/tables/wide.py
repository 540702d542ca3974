"""Series from tables of numbers: a column for each feature, and a row for each step.

A table is one series, or several of which a column says which is which; a series is one sequence,
or is cut into windows. Rows of several series may stand in any order of these, as in a table that
is sorted by its dates, where windows bound what must be held of each.
"""

import math
import warnings
from array import array
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np

from lstm_lrp_cli.errors import LeftOut, UnusableInput
from lstm_lrp_cli.inputs.sequence import Sequence
from lstm_lrp_cli.inputs.series import checked_values
from lstm_lrp_cli.inputs.stream import whole_number
from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.model import Model
from . import Row, Table
from .dates import DateColumn, Meanings, is_absent, is_date, is_number
from .roles import LISTED, AsSeries, Roles, roles_of
from .text import gold_of

# How many values of series that are not at an end are held in all, before the oldest is let go of;
# and as how many a series counts itself.
MOST_HELD = 2**24
OWN_SIZE = 40
# Over how many parts the names of series are spread that have ended.
PARTS = 2**16


def read_wide(table: Table, asked: AsSeries, label: str | None, model: Model) -> Iterator[Sequence]:
    """The series of a table, or the windows of these, as their last rows come.

    Parameters
    ----------
    label : str or None
        The column with true classes.

    Raises
    ------
    UnusableInput
        A column is missing or of no use to the model, a value is missing or no number, or dates do
        not increase. The error names row and column.
    """
    counts = Counter(table.columns)
    names = [name for name in table.columns if counts[name] == 1]
    if len(names) < len(table.columns):
        twice = next(name for name in table.columns if counts[name] > 1)
        table.place_of(twice)  # which says so
    _check_header(names, table.where)
    rows = table.rows(names)
    first = next(rows, None)
    if first is None:
        return
    row = dict(zip(names, first[0], strict=True))
    roles = roles_of(table, asked, label, row, model.only_input)
    yield from _Cutting(table, names, roles, asked, model).sequences(chain([first], rows))


def _check_header(names: list[str], where: str) -> None:
    """Refuse a first row of values, which would be lost; but pandas numbers columns from 0."""
    named = [name for name in names if name]
    numbers = [name for name in named if is_number(name)]
    values = len(numbers) == len(named) or any(map(is_date, named))
    if numbers and values and named != list(map(str, range(len(named)))):
        raise UnusableInput(
            f"{where}: line 1",
            f"found numbers, `{','.join(names)[:60]}`; expected a first line with the names of the "
            "columns, such as date,FEATURE,...",
        )


class _Series:
    """What is held of a series: its last rows, as many as a window has, or all of them."""

    __slots__ = ("count", "cut", "dates", "label", "last", "name", "place", "values")

    def __init__(self, name: str | None, window: int | None, *, dated: bool) -> None:
        self.name = name
        self.count = 0  # of all rows so far
        self.cut = 0  # of those that stand in some sequence
        # Of a whole series one row behind the other: as lists they take eight times the memory.
        self.values: deque[list[float]] | array[float] = (
            array("d") if window is None else deque(maxlen=window)
        )
        self.dates: deque[str] | None = deque(maxlen=window) if dated else None
        self.last: tuple[str, Meanings] | None = None
        self.label: Any = None
        self.place = ""


class _Ended:
    """The series that have ended, of which there may be millions: no more than a hash of each name.

    Two names of ten million have the same once in some hundred thousand tables.
    """

    def __init__(self) -> None:
        self._hashes: defaultdict[int, array[int]] = defaultdict(lambda: array("q"))

    def add(self, name: str | None) -> None:
        self._hashes[hash(name) % PARTS].append(hash(name))

    def __contains__(self, name: str | None) -> bool:
        return hash(name) in self._hashes.get(hash(name) % PARTS, ())


class _Cutting:
    """Cuts rows into sequences."""

    def __init__(
        self, table: Table, names: list[str], roles: Roles, asked: AsSeries, model: Model
    ) -> None:
        place = {name: number for number, name in enumerate(names)}
        read = model.only_input
        self._table = table
        self._roles = roles
        self._model = model
        self._features = [place[name] for name in roles.features]
        self._group = None if roles.group is None else place[roles.group]
        self._label = None if roles.label is None else place[roles.label]
        self._date = None if roles.date is None else place[roles.date]
        self._dates = DateColumn(roles.date or "", roles.order)
        self._window = _window_of(asked, roles, model, table.where)
        self._stride = asked.stride or 1
        # Shorter series are filled up, as they were for training.
        self._keeps_short = self._window is None or read.padding is not None
        self._number = 0
        self._open: dict[str | None, _Series] = {}
        self._gone = _Ended()
        self._short: list[str] = []
        self._short_count = self._behind = 0

    def sequences(self, rows: Iterator[Row]) -> Iterator[Sequence]:
        """The sequences of all rows."""
        current, named = None, object()
        for values, place in rows:
            name = None if self._group is None else values[self._group]
            if current is None or name != named:
                if current is not None:
                    yield from self._left(current)
                current, named = self._entered(self._name(name, place), place), name
            self._add(current, values, place)
            if self._ends_window(current):
                yield self._sequence(current)
        for series in list(self._open.values()):
            yield from self._ended(series)
        self._tell()

    def _ends_window(self, series: _Series) -> bool:
        """Whether the last row of a series is that of a window, too."""
        behind = -1 if self._window is None else series.count - self._window
        return behind >= 0 and behind % self._stride == 0

    def _name(self, value: Any, place: str) -> str | None:
        if self._group is None:
            return None
        if is_absent(value):
            raise UnusableInput(
                place, f"`{self._roles.group}` is missing; expected of which series the row is"
            )
        return str(value).strip()

    def _entered(self, name: str | None, place: str) -> _Series:
        """The series that a row is of, which may have begun before another."""
        if name in self._gone:
            by = ", ".join(filter(None, (self._roles.group, self._roles.date)))
            apart = " or cut it into windows with --window" if self._window is None else ""
            raise UnusableInput(
                place,
                f"{self._roles.group} {name} goes on after another; sort the file by {by}{apart}",
            )
        found = self._open.pop(name, None)
        found = found or _Series(name, self._window, dated=self._roles.dated)
        self._open[name] = found  # the last, as the oldest is let go of first
        return found

    def _left(self, series: _Series) -> Iterator[Sequence]:
        """What is known of a series once a row of another comes."""
        if self._window is None:
            yield from self._let_go(series)
            return
        held = self._window * max(len(self._features), 1) + OWN_SIZE
        if len(self._open) * held > MOST_HELD:
            yield from self._let_go(next(iter(self._open.values())))

    def _let_go(self, series: _Series) -> Iterator[Sequence]:
        del self._open[series.name]
        self._gone.add(series.name)
        yield from self._ended(series)

    def _ended(self, series: _Series) -> Iterator[Sequence]:
        """What is left of a series that has no more rows."""
        if series.cut:
            self._behind += series.count - series.cut
        elif self._keeps_short:
            yield self._sequence(series)
        else:
            self._short_count += 1
            if len(self._short) < LISTED:
                self._short.append(series.name or self._table.where)

    def _tell(self) -> None:
        """Warn of what is in no window; nothing at all is an error."""
        if self._short_count and not self._number:
            raise UnusableInput(
                self._table.where,
                f"has no {self._window} rows in a series; give a smaller --window",
            )
        told = []
        if self._short_count:
            more = self._short_count - len(self._short)
            listed = ", ".join(self._short) + (f" and {more} more" if more else "")
            told.append(f"{listed} left out, with fewer than the {self._window} rows of a window")
        if self._behind:
            rows = f"{self._behind:,} row{'s' * (self._behind != 1)}"
            told.append(
                f"{rows} behind the last windows left out, as --stride {self._stride} has it"
            )
        for each in told:
            warnings.warn(f"{self._table.where}: {each}", LeftOut, stacklevel=2)

    def _add(self, series: _Series, values: tuple[Any, ...], place: str) -> None:
        """Check a row, and add it to its series."""
        series.place = place
        before, series.last = series.last, None
        try:
            if self._date is not None:
                date = self._dates.read(values[self._date])
                if before is not None:
                    self._dates.check_order(before, date)
                series.last = date
                if series.dates is not None:
                    series.dates.append(date[0])
            numbers = self._numbers(values)
            if isinstance(series.values, deque):
                series.values.append(numbers)
            else:
                series.values.extend(numbers)
        except ValueError as error:
            raise UnusableInput(self._at(series), str(error)) from error
        if self._label is not None:
            series.label = values[self._label]
        series.count += 1

    def _at(self, series: _Series) -> str:
        """The last row of a series, as messages call it."""
        told = [f"{self._roles.group} {series.name}"] if series.name is not None else []
        if series.last is not None:
            told.append(f"{self._roles.date} {series.last[0]}")
        return ": ".join(filter(None, (series.place, ", ".join(told))))

    def _numbers(self, values: tuple[Any, ...]) -> list[float]:
        """The values of a row's features."""
        try:
            numbers = [float(values[column]) for column in self._features]
            if math.isfinite(sum(numbers)):
                return numbers
        except (TypeError, ValueError):
            pass
        pairs = zip(self._features, self._roles.features, strict=True)
        return [_number(values[column], name) for column, name in pairs]

    def _sequence(self, series: _Series) -> Sequence:
        """What is held of a series, as a sequence."""
        series.cut = series.count
        roles, model = self._roles, self._model
        values, _ = checked_values(
            _rows(series, len(self._features)), roles.features, model, self._at(series)
        )
        gold = None
        if roles.label is not None:
            classes = self._table.classes.get(roles.label)
            gold = gold_of(series.label, roles.label, classes, model, self._at(series))
        dates = None if series.dates is None else tuple(series.dates)
        named = self._number, self._id(series)
        self._number += 1
        return Sequence(named[0], values, None, roles.features, named[1], gold, dates=dates)

    def _id(self, series: _Series) -> str | int | None:
        """What a sequence is called: by its series, and of a window also by where it begins."""
        name = series.name
        if self._window is None:
            number = None if name is None else whole_number(name)
            return number if number is not None and str(number) == name else name
        start = series.count - len(series.values)
        begins = str(start) if series.dates is None else series.dates[0]
        if name is None:
            return begins if series.dates is not None else None if start == self._number else start
        return f"{name} {begins}"


def _rows(series: _Series, features: int) -> Floats:
    """What is held of a series as an array, shape (rows, features)."""
    rows: Floats = np.array(series.values, dtype=np.float64)
    return rows.reshape(len(rows) if rows.ndim == 2 else series.count, features)


def _window_of(asked: AsSeries, roles: Roles, model: Model, where: str) -> int | None:
    """How many rows make a sequence; None is all of a series."""
    read = model.only_input
    if not read.steps and not roles.long:
        if asked.window not in (None, 1):
            raise UnusableInput(
                where,
                f"the model takes one vector a sequence, not {asked.window}; leave out --window",
            )
        return 1
    if asked.window is not None:
        return asked.window
    if read.padding is not None and read.padding.length and not roles.long:
        return read.padding.length
    if asked.stride is not None:
        raise UnusableInput(where, "--stride is that of windows; give --window, too")
    return None


def _number(value: Any, name: str) -> float:
    """A value of a feature.

    Raises
    ------
    ValueError
        It is missing, or no finite number.
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if math.isfinite(number):
        return number
    if is_absent(value):
        found = f"is missing{f' ({value})' if value is not None and str(value).strip() else ''}"
        raise ValueError(
            f"`{name}` {found}; expected a finite number: fill or drop what is missing"
        )
    text = str(value).strip()
    mend = "expected a finite number" if math.isinf(number) else "expected a number"
    if "," in text and "." not in text and text.replace(",", "", 1).lstrip("+-").isdecimal():
        mend = "expected a number with a decimal point, not a comma"
    raise ValueError(f"`{name}` is `{text[:40]}`; {mend}")
