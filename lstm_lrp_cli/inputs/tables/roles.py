"""Which columns of a table of numbers are what: features, dates, groups, labels."""

import re
import warnings
from collections.abc import Sequence as Several
from typing import Any, TypedDict, Unpack

from msgspec import Struct

from lstm_lrp_cli.errors import LeftOut, UnusableInput, WrongUsage
from lstm_lrp_cli.inputs.tables.features import places_of_features
from lstm_lrp_cli.model.model import Input
from . import Table
from .dates import NAMES, ORDERS, Meaning, is_date, is_number, meanings_of

# The header of a table whose rows say of which sequence they are, and which step of it.
LONG = ("sequence", "step")
# How many names a message lists.
LISTED = 8


class AsSeries(Struct, frozen=True):
    """How series are cut from a table with a column a feature.

    Parameters
    ----------
    window : int or None
        How many rows make a sequence; None is all, or as many as the model's padding has steps.
    stride : int or None
        How many rows further the next window begins; None is 1.
    group : str or None
        The column that says of which of several series a row is.
    date : str or None
        The column that says when a row was, ":dmy" or ":mdy" behind it where that must be told;
        None finds it, if there is one.
    """

    window: int | None = None
    stride: int | None = None
    group: str | None = None
    date: str | None = None

    @property
    def options(self) -> list[str]:
        """The options that ask for it."""
        return [f"--{name}" for name in self.__struct_fields__ if getattr(self, name) is not None]


USUAL_SERIES = AsSeries()


class SeriesOptions(TypedDict, total=False):
    """How a program says the same, in keywords."""

    window: int
    stride: int
    group: str
    date: str


SERIES = tuple(SeriesOptions.__annotations__)


def as_series(**given: Unpack[SeriesOptions]) -> AsSeries:
    """How series are cut, as keywords say it.

    Raises
    ------
    WrongUsage
        Windows are none.
    """
    asked = AsSeries(**given)
    for name, value in (("window", asked.window), ("stride", asked.stride)):
        if value is not None and (not isinstance(value, int) or value < 1):
            raise WrongUsage(f"is {value!r}; expected a whole number of rows, from 1", name)
    return asked


class Roles(Struct, frozen=True):
    """What the columns of a table of numbers are.

    Parameters
    ----------
    features : tuple of str
        In the model's order.
    date : str or None
    order : {"dmy", "mdy"} or None
        Whether the day or the month stands first in dates, where that is told.
    dated : bool
        Whether what is in the column `date` is told as dates; else it is there to be in order.
    long : bool
        Whether rows say of which sequence they are, which is then what it is.
    group, label : str or None
        Those with the names of series, and with true classes: a window's is that of its last row.
    """

    features: tuple[str, ...]
    date: str | None = None
    order: Meaning | None = None
    dated: bool = False
    long: bool = False
    group: str | None = None
    label: str | None = None


def roles_of(
    table: Table, asked: AsSeries, label: str | None, first: dict[str, Any], read: Input
) -> Roles:
    """What is in each column of a table.

    Parameters
    ----------
    first : dict
        The first row.

    Raises
    ------
    UnusableInput
        A column is missing, or the others are not as many as the model has features.
    """
    long = table.columns[:2] == LONG
    group = asked.group or (LONG[0] if long else None)
    date, order = _named_date(table, asked.date or (LONG[1] if long else None))
    for name in filter(None, (group, date, label)):
        table.place_of(name)
    others = [name for name in first if name not in (group, date, label)]
    if date is None:
        date = _found_date(table, others, first, read)
        others = [name for name in others if name != date]
    undated = _no_dates(others, first) if date is None else ""
    features = _features(table, others, first, read, undated)
    dated = date is not None and (not long or is_date(first[date]))
    return Roles(features, date, order, dated, long, group, label)


def _named_date(table: Table, name: str | None) -> tuple[str | None, Meaning | None]:
    """The column that is named for dates, and what is said of their order."""
    if name is not None and name not in table.columns:
        for ending, order in ORDERS.items():
            if name.endswith(ending):
                return name.removesuffix(ending), order
    return name, None


def _found_date(table: Table, names: list[str], first: dict[str, Any], read: Input) -> str | None:
    """The column of dates, where no one names it; None where there is none.

    Numbers are dates only in columns that are called so, if there are too many to be features.
    """
    features = frozenset(read.features or ())
    names = [name for name in names if name not in features]
    found = [name for name in names if is_date(first[name])]
    called = [name for name in names if name.strip().lower() in NAMES]
    if not found and (read.features is not None or len(names) > read.size):
        found = [name for name in called if meanings_of(first[name])]
    if len(found) > 1:
        found = [name for name in found if name in called] or found
    if len(found) > 1:
        listed = ", ".join(found[:LISTED])
        raise UnusableInput(
            table.where,
            f"has several columns of dates ({listed}); name the one by which rows are ordered: "
            f"--date {found[0]}",
        )
    return found[0] if found else None


def _features(
    table: Table, names: list[str], first: dict[str, Any], read: Input, undated: str
) -> tuple[str, ...]:
    """The columns that are features: those that the mapping names, or all that are left.

    Without names, columns of text are left out where just as many others are there as are taken.
    """
    header = table.where if table.typed else f"{table.where}: line 1"
    places = places_of_features(names, read, header)
    if places is not None:
        if undated:
            message = f"{table.where}: {undated.removeprefix('; ')}"
            warnings.warn(message, LeftOut, stacklevel=2)
        return read.features or ()
    if len(names) > read.size:
        names = [name for name in names if name]  # the index that pandas wrote has no name
    numbers = [name for name in names if is_number(first[name])]
    if len(names) > read.size == len(numbers):
        others = ", ".join(f"`{name}`" for name in names if name not in numbers)
        message = f"{table.where}: {others} left out, which has no numbers{undated}"
        warnings.warn(message, LeftOut, stacklevel=2)
        return tuple(numbers)
    if len(names) == read.size:
        return tuple(names)
    raise UnusableInput(table.where, _unfitting(names, numbers, read))


def _no_dates(names: Several[str], first: dict[str, Any]) -> str:
    """Which columns of text are called as dates are, and hold none that are known."""
    texts = [name for name in names if not is_number(first[name])]
    called = [name for name in texts if re.search("date|time", name.lower())]
    told = "".join(f"; `{name}` is `{str(first[name])[:40]}`, no date" for name in called)
    return f"{told} that is read, so rows are taken as they stand" if told else ""


def _unfitting(names: Several[str], numbers: Several[str], read: Input) -> str:
    """What is wrong with the number of features, and what would be right."""
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    found = (
        f"has {len(names)} feature{'s' * (len(names) != 1)} "
        f"({', '.join(names[:LISTED])}{more}); the model takes {read.size}"
    )
    if len(names) < read.size:
        return found
    chosen = ", ".join([*numbers, *names][: min(read.size, LISTED)])
    return (
        f"{found}: name them in the mapping, such as features: [{chosen}]; or say what the others "
        "are by --date, --group, --label"
    )
