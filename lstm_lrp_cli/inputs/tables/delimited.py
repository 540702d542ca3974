"""CSV and TSV: fields parted by a comma, a tab or another character, some of them quoted.

CSV is read as RFC 4180 has it: fields with the delimiter, quotes or line ends in them are quoted,
and quotes in them are doubled. Many TSV files know no quotes, and their texts begin with one: there
a quote is one of the file's only where that gives the row as many fields as the header has.
"""

import csv
import re
from collections import deque
from collections.abc import Iterable, Iterator
from io import BufferedReader
from itertools import islice

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.inputs.lines import CHUNK, LONGEST_LINE, Lines, blocks_of_lines, read_in_order
from . import Row, Table

DELIMITERS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}
# How many rows are looked at to tell the delimiter, where the header leaves it open.
LOOKED_AT = 20
# What Excel reads in a first line, and shows nowhere.
EXCEL = re.compile(r"sep=(.)\r?\n?\Z")
# How many columns a table may have, and over how many lines a row may go.
MOST_COLUMNS = 200_000
MOST_LINES = 2**20
# From which length on a row's fields are counted before they are made.
LONG_ROW = 2**20
# How many characters are looked through, time and again, for the end of one row.
MOST_LOOKED_AT = 2**25
# Where quotes are not all doubled: nothing else ends what is quoted.
LONE_QUOTE = re.compile(r'(?<!")(?:"")*+"(?!")')


class DelimitedTable(Table):
    """A table of text.

    Parameters
    ----------
    file : BufferedReader
    where : str
        What messages call it.
    delimiter : str or None
        The character that parts fields; None finds it in the header.

    Raises
    ------
    UnusableInput
        The header cannot be read, or leaves open which delimiter it has.
    """

    def __init__(self, file: BufferedReader, where: str, delimiter: str | None = None) -> None:
        lines = _Ahead(_whole_lines(file, where))
        told = EXCEL.match(next(iter(lines.peek(1)), ""))
        if told:
            next(lines)
        self.delimiter = delimiter or (told and told.group(1)) or _delimiter(lines, where)
        self._found = _rows(lines, where, self.delimiter)
        header, place = next(self._found, ([], where))
        if len(header) > MOST_COLUMNS:
            raise UnusableInput(place, _csv_problem("too many fields"))
        super().__init__(where, [name.strip() for name in header])

    def _rows(self, places: list[int]) -> Iterator[Row]:
        width = len(self.columns)
        whole = places == list(range(width))
        for fields, place in self._found:
            if len(fields) != width:
                mend = "quote fields that have it in them"
                if len(fields) < width:
                    mend = "quote fields that have line ends in them, and fill in what is missing"
                named = DELIMITERS.get(self.delimiter, f"`{self.delimiter}`")
                raise UnusableInput(
                    place,
                    f"has {len(fields)} field{'s' * (len(fields) != 1)}, parted by {named}; "
                    f"expected {width} ({self.listed}): {mend}",
                )
            yield tuple(fields if whole else [fields[number] for number in places]), place


class _Ahead(Iterator[str]):
    """Lines, of which some may be looked at before they are read, and the number of the last."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._held: deque[str] = deque()
        self.number = 0

    def __next__(self) -> str:
        line = self._held.popleft() if self._held else next(self._lines)
        self.number += 1
        return line

    def peek(self, count: int) -> list[str]:
        """The next lines, or as many as there are."""
        self._held.extend(islice(self._lines, max(0, count - len(self._held))))
        return list(islice(self._held, count))


def _whole_lines(file: BufferedReader, where: str) -> Iterator[str]:
    """Each line with its end, which may belong to a quoted field."""
    for block in blocks_of_lines(file, where, CHUNK):
        yield from read_in_order(block, _with_ends)


def _with_ends(lines: Lines) -> list[str]:
    *whole, last = lines.decoded().split("\n")
    found = [f"{line}\n" for line in whole]
    return [*found, last] if last else found


def _delimiter(lines: _Ahead, where: str) -> str:
    """The delimiter that the header has most of; where that is open, by which rows are equal."""
    header = re.sub(r'"[^"]*"', "", next(iter(lines.peek(1)), ""))
    counts = {each: header.count(each) for each in DELIMITERS}
    most = max(counts.values())
    found = [each for each, count in counts.items() if count == most]
    if most == 0 or len(found) == 1:
        return found[0]
    some = lines.peek(LOOKED_AT)
    equal = [each for each in found if _same_width(some, each)]
    if len(equal) == 1:
        return equal[0]
    named = " or ".join(DELIMITERS[each] for each in found)
    raise UnusableInput(
        f"{where}: line 1",
        f"parts its fields by {named}, as far as `{header.strip()[:60]}` tells; give --delimiter",
    )


def _same_width(lines: list[str], delimiter: str) -> bool:
    """Whether the first rows have as many fields as the header, if they are parted so."""
    try:
        rows = list(csv.reader(lines, delimiter=delimiter))[:-1]  # the last may be cut
    except csv.Error:  # of which is told when they are read
        return False
    return len({len(row) for row in rows if row}) == 1


def _rows(lines: _Ahead, where: str, delimiter: str) -> Iterator[tuple[list[str], str]]:
    return _of_tsv(lines, where) if delimiter == "\t" else _of_csv(lines, where, delimiter)


def _of_csv(lines: _Ahead, where: str, delimiter: str) -> Iterator[tuple[list[str], str]]:
    """Rows as RFC 4180 has them; empty lines are passed over."""
    csv.field_size_limit(LONGEST_LINE)
    size = count = 0

    def counted() -> Iterator[str]:
        """The lines, of which one row may not have more than one line could be long."""
        nonlocal size, count
        for line in lines:
            size += len(line)
            count += 1
            if size > LONGEST_LINE or count > MOST_LINES:
                raise csv.Error("field limit" if size > LONGEST_LINE else "too many lines")
            if len(line) > LONG_ROW and '"' not in line and line.count(delimiter) > MOST_COLUMNS:
                raise csv.Error("too many fields")
            yield line

    reader = csv.reader(counted(), delimiter=delimiter, strict=True)
    while True:
        size = count = 0
        place = f"{where}: line {lines.number + 1}"
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise UnusableInput(place, _csv_problem(str(error))) from error
        if row is None:
            return
        if row:
            yield row, place


def _csv_problem(found: str) -> str:
    """What is wrong with a row, of what Python's csv says of it."""
    if "unexpected end" in found:
        return "opens a quote that no later line closes; quotes within quotes are doubled"
    if "field limit" in found:
        return f"is a row of more than {LONGEST_LINE:,} characters; is a quote opened, not closed?"
    if "too many lines" in found:
        return f"is a row of more than {MOST_LINES:,} lines; is a quote opened, not closed?"
    if "too many fields" in found:
        return f"has more than {MOST_COLUMNS:,} fields; expected a table of fewer columns"
    if "expected after" in found:
        return 'has a quote within a quoted field; expected it doubled ("")'
    if "new-line character" in found:
        return (
            "has a carriage return within a field that is not quoted; expected lines to end "
            "with LF or CR LF"
        )
    return f"is no CSV: {found}"


def _of_tsv(lines: _Ahead, where: str) -> Iterator[tuple[list[str], str]]:
    """Rows whose quotes are the file's only where that makes them as wide as the header."""
    width = 0
    for line in lines:
        place = f"{where}: line {lines.number}"
        text = _bare(line)
        if len(text) > LONG_ROW and text.count("\t") > MOST_COLUMNS:
            raise UnusableInput(place, _csv_problem("too many fields"))
        row = text.split("\t")
        if '"' in text:
            row = _unquoted(text, row, width, lines, place)
        if row != [""] or width == 1:
            width = width or len(row)
            yield row, place


def _unquoted(text: str, plain: list[str], width: int, lines: _Ahead, place: str) -> list[str]:
    """The fields of a row that has quotes, which may go on in further lines."""
    found = _quoted_fields(text)
    if found is None and width and not _stands_alone(plain, width, lines.peek(1)):
        size = looked_at = len(text)
        parts = [text]
        while found is None:
            more = next(lines, None)
            if more is None or size > LONGEST_LINE or looked_at > MOST_LOOKED_AT:
                raise UnusableInput(place, _csv_problem("unexpected end"))
            parts.append(more)
            size += len(more)
            if LONE_QUOTE.search(more):
                looked_at += size
                found = _quoted_fields(_bare("\n".join(map(_bare, parts))))
    return found if found is not None and len(found) == (width or len(found)) else plain


def _stands_alone(plain: list[str], width: int, following: Iterable[str]) -> bool:
    """Whether a line is a row as it stands, though a quote is opened there and not closed."""
    return len(plain) == width and all(len(line.split("\t")) == width for line in following)


def _quoted_fields(text: str) -> list[str] | None:
    """The fields of a row, without quotes around them; None where one is open at its end."""
    fields: list[str] = []
    place = 0
    while True:
        closing = _closing_quote(text, place) if text.startswith('"', place) else len(text)
        if closing < 0:
            return None
        if text[closing + 1 : closing + 2] in ("\t", "") and closing < len(text):
            fields.append(text[place + 1 : closing].replace('""', '"'))
            place = closing + 1
        else:
            end = text.find("\t", place)
            end = len(text) if end < 0 else end
            fields.append(text[place:end])
            place = end
        if place == len(text):
            return fields
        place += 1


def _closing_quote(text: str, opening: int) -> int:
    """Where the quote is that closes another, and is not doubled; -1 where there is none."""
    place = text.find('"', opening + 1)
    while text.startswith('""', place) and place >= 0:
        place = text.find('"', place + 2)
    return place


def _bare(line: str) -> str:
    """A line without its end."""
    return line.removesuffix("\n").removesuffix("\r")
