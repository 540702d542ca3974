"""Dates of a table's column: told from other values, and checked to increase.

What a date is written as is kept. What it means is only asked to tell whether rows stand in their
order: so 01/02/2012, which may be in January or in February, is refused only where that matters.
"""

import math
import re
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

from . import is_missing

# How a date may be meant. Numbers are seconds, days or steps since whenever.
Meaning = Literal["local", "zoned", "dmy", "mdy", "number"]
# What a date is by each way in which it may be meant: something that grows with time.
Meanings = dict[Meaning, float]

# What is written behind a column's name to say which of day and month comes first.
ORDERS: dict[str, Meaning] = {":dmy": "dmy", ":mdy": "mdy"}
# What columns of dates are called that are numbers.
NAMES = frozenset({"date", "datetime", "time", "timestamp", "ts", "ds", "epoch", "unixtime"})
# What stands for a value that is missing.
MISSING = frozenset({"", "na", "n/a", "nan", "nat", "null", "none", "<na>", "?"})

# What several series in one table ask for.
GROUP = "name the column that tells them apart by --group"

TIME = r"(?:[ T]+(\d{1,2}):(\d\d)(?::(\d\d)(\.\d+)?)?(?:\s*([AaPp])\.?[Mm]\.?)?)?"
YEAR_FIRST = re.compile(rf"(\d{{4}})[-/.](\d{{1,2}})(?:[-/.](\d{{1,2}}))?{TIME}\Z")
# Of two digits, the year stands last between strokes and points, as spreadsheets write it.
YEAR_LAST = re.compile(
    rf"(\d{{1,2}})(?:([-/.])(\d{{1,2}})\2(\d{{4}})|([/.])(\d{{1,2}})\5(\d\d)){TIME}\Z"
)
# 24-Dec-2012, 24 December 2012; Dec 24, 2012.
WEEKDAY = r"(?:[A-Za-z]{3,9},? +)?"
DAY_MONTH = re.compile(
    rf"{WEEKDAY}(\d{{1,2}})[-/. ]*([A-Za-z]{{3,9}})[-/., ]*(\d{{4}}|\d\d){TIME}\Z"
)
MONTH_DAY = re.compile(rf"([A-Za-z]{{3,9}})[. ]*(\d{{1,2}}),? +(\d{{4}}){TIME}\Z")
QUARTER = re.compile(r"(\d{4})[- ]?Q([1-4])\Z")
MONTHS = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)
# A zone that stands apart, which ISO does not know: 18:30:00 +0100.
ZONE = re.compile(r"(?<=\d) +([+-]\d\d:?\d\d)\Z")
EPOCH = datetime(1970, 1, 1)
MICROSECOND = timedelta(microseconds=1)


def is_absent(value: Any) -> bool:
    """Whether a value stands for one that is not there, in words too."""
    if isinstance(value, str):
        return value.strip().lower() in MISSING
    return is_missing(value)


def is_date(value: Any) -> bool:
    """Whether a value is a date and nothing else: a mere number may be anything."""
    return bool(meanings_of(value).keys() - {"number"})


def is_number(value: Any) -> bool:
    """Whether a value is a number, or a text that is one."""
    return meanings_of(value).keys() == {"number"}


def meanings_of(value: Any) -> Meanings:
    """All that a value may mean as a date; nothing if it is none."""
    if isinstance(value, str):
        return _of_text(value.strip())
    if is_missing(value) or isinstance(value, bool):
        return {}
    if isinstance(value, datetime):
        return _of_datetime(value)
    if isinstance(value, date):
        return _of_datetime(datetime(value.year, value.month, value.day))
    return {"number": value} if isinstance(value, int | float) and math.isfinite(value) else {}


def _of_datetime(value: datetime) -> Meanings:
    if value.tzinfo is None:
        return {"local": (value - EPOCH) // MICROSECOND}
    return {"zoned": (value.astimezone(UTC).replace(tzinfo=None) - EPOCH) // MICROSECOND}


def _of_text(text: str) -> Meanings:
    parted = "/" in text or ":" in text or text.find("-", 1) > 0
    number = {} if parted else _of_number(text)
    return number or _of_date(text) or (_of_number(text) if parted else {})


def _of_number(text: str) -> Meanings:
    try:
        number = float(text)
    except ValueError:
        return {}
    return {"number": number} if math.isfinite(number) else {}


def _of_date(text: str) -> Meanings:
    found = YEAR_FIRST.match(text)
    if found:
        year, month, day, *time = found.groups()
        return _known(local=_moment(year, month, day or "1", time))
    found = YEAR_LAST.match(text)
    if found:
        first, *rest, hour, minute, second_of, fraction, half = found.groups()
        parted, second, year = rest[:3] if rest[0] else rest[3:]
        time = [hour, minute, second_of, fraction, half]
        day_first = _moment(year, second, first, time)
        # With points between, no country writes the month first.
        month_first = None if parted == "." else _moment(year, first, second, time)
        return _known(dmy=day_first, mdy=month_first)
    try:
        return _of_datetime(datetime.fromisoformat(ZONE.sub(r"\1", text.replace(" UTC", "Z"))))
    except (ValueError, OverflowError):
        return _of_words(text)


def _of_words(text: str) -> Meanings:
    """What a date means in which the month is a word, or a quarter stands."""
    found = QUARTER.match(text)
    if found:
        return _known(local=_moment(found[1], str(3 * int(found[2]) - 2), "1", [None] * 5))
    found = DAY_MONTH.match(text)
    day, month = (1, 2) if found else (2, 1)
    found = found or MONTH_DAY.match(text)
    if not found:
        return {}
    word = found[month].lower()
    number = next((place for place, name in enumerate(MONTHS, 1) if name.startswith(word)), 0)
    return _known(local=_moment(found[3], str(number), found[day], list(found.groups()[3:])))


def _known(**moments: float | None) -> Meanings:
    return {name: when for name, when in moments.items() if when is not None}  # type: ignore[misc]


def _moment(year: str, month: str, day: str, time: list[str | None]) -> float | None:
    """Microseconds since 1970; None where there is no such day or time."""
    hour, minute, second, fraction, half = time
    hours, years = int(hour or 0), int(year)
    if len(year) == 2:  # as POSIX and Excel have it, but for a year
        years += 2000 if years < 69 else 1900
    if half:
        if not 1 <= hours <= 12:
            return None
        hours = hours % 12 + (12 if half in "Pp" else 0)
    try:
        when = datetime(years, int(month), int(day), hours, int(minute or 0), int(second or 0))
    except ValueError:
        return None
    return (when - EPOCH) // MICROSECOND + float(fraction or 0) * 1e6


class DateColumn:
    """Reads the dates of a column, all of which are written alike.

    Parameters
    ----------
    name : str
        The column.
    order : {"dmy", "mdy"} or None
        Whether the day or the month comes first, where somebody says it.
    """

    def __init__(self, name: str, order: Meaning | None = None) -> None:
        self.name = name
        self._order = order
        self._meant: set[Meaning] | None = None
        self._only: Meaning | None = None  # what is left of it, if that is one
        self._first = ""

    def read(self, value: Any) -> tuple[str, Meanings]:
        """A date as it is written, and what it may mean.

        Raises
        ------
        ValueError
            It is missing, is none, or is written otherwise than those before.
        """
        text = str(value).strip()
        meanings = (_of_number(text) if self._only == "number" else {}) or meanings_of(value)
        if self._meant is not None and meanings.keys() == self._meant:  # as nearly all are
            return text, meanings
        if is_absent(value):
            raise ValueError(f"`{self.name}` is missing; expected the date of the row: fill it in")
        if self._meant is None:
            self._first = text
            known = meanings.keys() if self._order is None else meanings.keys() & {self._order}
            self._meant = set(known)
            if not known:
                raise ValueError(f"`{self.name}` is `{text[:40]}`; expected {self._forms}")
        left = self._meant & meanings.keys()
        if not left:
            raise ValueError(
                f"`{self.name}` is `{text[:40]}`, which is not written like `{self._first[:40]}` "
                "before it, or is no date; write all in one way"
            )
        self._meant = left
        self._only = next(iter(left)) if len(left) == 1 else None
        return text, meanings

    @property
    def _forms(self) -> str:
        if self._order is not None:
            return f"a date such as 24/12/2012, {self._order}"
        return (
            "a date such as 2012-12-24, 2012-12-24T18:30+01:00, 24/12/2012 or seconds since 1970; "
            "name another column by --date"
        )

    def check_order(self, before: tuple[str, Meanings], now: tuple[str, Meanings]) -> None:
        """Refuse a date that is not after the one before it.

        Raises
        ------
        ValueError
        """
        if self._only is not None and now[1][self._only] > before[1][self._only]:
            return
        meant = self._meant or set()
        rises = {each for each in meant if now[1][each] > before[1][each]}
        if rises == meant:
            return
        name = self.name
        if rises:
            raise ValueError(
                f"`{name}` is {now[0]} after {before[0]}, which is in order if "
                f"{'the day' if 'dmy' in rises else 'the month'} stands first; say which does: "
                f"--date {name}:dmy or --date {name}:mdy"
            )
        if all(now[1][each] == before[1][each] for each in meant):
            raise ValueError(
                f"`{name}` is {now[0]} a second time; expected each date once: if the table is of "
                f"several series, {GROUP}; {self._told_apart(now[0])}"
            )
        raise ValueError(
            f"`{name}` is {now[0]} after {before[0]}; sort the rows by `{name}`, or if the table "
            f"is of several series, {GROUP}"
        )

    def _told_apart(self, text: str) -> str:
        if "local" in (self._meant or ()) and ":" in text:
            return "where clocks were set back, write the zone behind: 2012-10-28T02:00+01:00"
        return "a time that is in another column belongs into this one: 2012-10-28 02:00"
