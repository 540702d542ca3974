"""What the pages of a Parquet file claim, before pyarrow takes memory for any of it.

A page says in its header how many values it has and how many bytes it unfolds to. Values that
repeat are kept as one value and a count, so that a few bytes honestly come to thousands of them;
and, in a hostile file, to billions. The format is that of https://parquet.apache.org/docs/, whose
headers are structs of Thrift's compact protocol.
"""

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from lstm_lrp_cli.errors import UnusableInput
from . import check_unfolded

# Files may unfold to this much and no more. Numbers of relevance hardly repeat, but for those of
# steps that nothing is said of.
ALLOWED_BYTES = 16 * 2**20
# Tables of the user's may have lists that are filled up, with zeros say.
ALLOWED_IN_TABLES = 256 * 2**20
# What a value takes at least, whatever it is and however often it repeats.
VALUE_BYTES = 8
# Pages beyond these are no work that the file's size is worth.
FEW_PAGES = 1000
LEAST_PAGE_BYTES = 500
# Behind what describes a file stand its length and a mark.
END_BYTES = 8

# Fields of what stands at a file's end, of a group of rows in it, and of a column of one.
GROUPS, (COLUMNS, ROWS), CHUNK = 4, (1, 3), 3
KIND, PATH, CHUNK_BYTES, DATA, LIST_OF_WORDS = 1, 3, 7, 9, 11
TEXT = 6
# Fields of a page's header, and of those of the kinds of pages.
UNFOLDED, FOLDED = 2, 3
OF_DATA, OF_WORDS, OF_DATA_2 = 5, 7, 8
VALUES, FORM = 1, {OF_DATA: 2, OF_WORDS: 2, OF_DATA_2: 4}
# Forms that texts are in: behind all their lengths; each behind a part of the one before it, so
# that no header says how long they are; and, by no number of the format's, in a list of words.
LENGTHS, PREFIXES, WORDS = 6, 7, -1

# Kinds of values in Thrift's compact protocol: a truth value is its kind.
TRUTHS, BYTE, NUMBERS, DOUBLE, BINARY, LISTS, STRUCT = (1, 2), 3, (4, 5, 6), 7, 8, (9, 10), 12
DEEPEST = 12


class _Damaged(ValueError):
    """What is no header of a page."""


class Claims(NamedTuple):
    """What a file's pages claim.

    Parameters
    ----------
    of_groups : list of int
        What each group of rows unfolds to, in bytes.
    of_row : float
        What a row unfolds to, in the group of the longest ones.
    texts : list of str
        The columns of texts, of which lists of words can be made: not of those behind lengths.
    """

    of_groups: list[int]
    of_row: float
    texts: list[str]


class WaysToRead(NamedTuple):
    """How a table of the user's is read some rows at a time.

    Parameters
    ----------
    words : list of str
        The columns of lists of texts, which stay as they are in the file: words, and their places.
    longest : int
        How many bytes a text of another column may have that stands for many, at most.
    """

    words: list[str]
    longest: int


class _Chunk(NamedTuple):
    """What the pages of one column of a group claim.

    Parameters
    ----------
    name : str
        The column.
    of_texts, in_lists : bool
        What it has, as far as that is told: more values than rows are in lists.
    claimed, largest : int
        How many bytes all pages unfold to, and the largest of them.
    pages : int
    forms : set of int
    """

    name: str
    of_texts: bool
    in_lists: bool
    claimed: int
    largest: int
    pages: int
    forms: set[int]


def claims_of_pages(path: Path, where: str) -> Claims:
    """What a file unfolds to, by what its pages claim.

    Nothing of pyarrow's is asked: it ends the process over some of what is damaged.

    Parameters
    ----------
    path : Path
    where : str
        The file, as messages call it.

    Raises
    ------
    UnusableInput
        They claim more than an honest file of this size, are damaged, or of a form that is not
        bounded.
    """
    claimed: list[int] = []
    texts: dict[str, bool] = {}
    of_row = 1.0
    size = path.stat().st_size
    for rows, chunks in _groups(path, where):
        claimed.append(0)
        for chunk in chunks:
            _refuse_unbounded(chunk, where)
            claimed[-1] += chunk.claimed
            check_unfolded(where, sum(claimed), ALLOWED_BYTES, size)
            if chunk.of_texts:
                texts[chunk.name] = texts.get(chunk.name, True) and LENGTHS not in chunk.forms
        of_row = max(of_row, claimed[-1] / max(rows, 1))
    return Claims(claimed, of_row, [name for name, listed in texts.items() if listed])


def ways_to_read(path: Path, where: str) -> WaysToRead:
    """How a table is read, one of whose pages, or lists of one group, might unfold without bounds.

    Values that repeat may be as many as there are rows: they are read some at a time.

    Raises
    ------
    UnusableInput
        A page, or all lists of a group, claim more than an honest file of this size, or are
        damaged.
    """
    size = path.stat().st_size
    in_lists: set[str] = set()
    longest = 1
    for _, chunks in _groups(path, where):
        for chunk in chunks:
            claimed = chunk.claimed if chunk.in_lists else chunk.largest
            check_unfolded(f"{where}: column {chunk.name}", claimed, ALLOWED_IN_TABLES, size)
            if chunk.of_texts and chunk.in_lists:
                _refuse_unbounded(chunk, where)
                in_lists |= set() if LENGTHS in chunk.forms else {chunk.name}
            elif chunk.of_texts and chunk.forms & {WORDS, PREFIXES}:
                longest = max(longest, chunk.largest)
    return WaysToRead(sorted(in_lists), longest)


def _groups(path: Path, where: str) -> Iterator[tuple[int, list[_Chunk]]]:
    """The number of rows of each group, and what its columns claim."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield from _groups_in(data, where)
    except (_Damaged, ValueError) as error:  # ValueError: there is nothing to map
        raise UnusableInput(where, "is damaged, or no Parquet file; is it whole?") from error


def _groups_in(data: mmap.mmap, where: str) -> Iterator[tuple[int, list[_Chunk]]]:
    size = len(data)
    end = size - END_BYTES
    begun = end - int.from_bytes(data[end : end + 4], "little")
    groups = _field(_struct(data, begun, end, DEEPEST)[0], GROUPS, list)
    chunks = sum(len(_field(group, COLUMNS, list)) for group in groups)
    pages_left = FEW_PAGES + 2 * chunks + size // LEAST_PAGE_BYTES

    for group in groups:
        rows = _field(group, ROWS, int)
        found = []
        for column in group[COLUMNS]:
            found.append(_chunk(data, _field(column, CHUNK, dict), rows, where, pages_left))
            pages_left -= found[-1].pages
        yield rows, found


def _field(struct: Any, number: int, kind: type[Any]) -> Any:
    """A field of a struct that must be there."""
    value = struct.get(number) if isinstance(struct, dict) else None
    if not isinstance(value, kind):
        raise _Damaged
    return value


def _refuse_unbounded(chunk: _Chunk, where: str) -> None:
    """Refuse texts each of which may be as long as all others together: nothing bounds them."""
    if chunk.of_texts and (PREFIXES in chunk.forms or chunk.forms >= {WORDS, LENGTHS}):
        raise UnusableInput(
            f"{where}: column {chunk.name}",
            "is of the encoding DELTA_BYTE_ARRAY, or of a list of words and "
            "DELTA_LENGTH_BYTE_ARRAY; write it as PLAIN or with a dictionary, as is usual",
        )


def _chunk(data: mmap.mmap, said: dict[int, Any], rows: int, where: str, most_pages: int) -> _Chunk:
    """What the pages of one column of a group of so many rows claim."""
    names = _field(said, PATH, list)
    if not all(isinstance(each, bytes) for each in names):
        raise _Damaged
    try:
        name = b".".join(names).decode()
    except UnicodeDecodeError as error:
        raise UnusableInput(where, "has a column whose name is no UTF-8") from error
    where = f"{where}: column {name}"
    start = _field(said, DATA, int)
    words = said.get(LIST_OF_WORDS)
    if isinstance(words, int) and 0 < words < start:
        start = words
    end = start + _field(said, CHUNK_BYTES, int)
    if not 0 <= start <= end <= len(data):
        raise UnusableInput(where, "lies outside of the file; is it whole?")
    pages = claimed = largest = count = 0
    forms = set()
    place = start
    while place < end:
        if pages == most_pages:
            raise UnusableInput(where, "has more pages than an honest file of its size")
        header, place = _struct(data, place, end, DEEPEST)
        folded, unfolded, values, form = _said(header)
        forms.add(WORDS if OF_WORDS in header else form)
        pages += 1
        place += folded
        claimed += unfolded + VALUE_BYTES * values
        count += 0 if OF_WORDS in header else values
        largest = max(largest, unfolded)
    in_lists = len(names) > 1 or count > rows
    return _Chunk(name, said.get(KIND) == TEXT, in_lists, claimed, largest, pages, forms)


def _said(header: dict[int, Any]) -> tuple[int, int, int, int]:
    """Of a page: its bytes in the file and unfolded, how many values it has, and in what form."""
    for kind in (OF_DATA, OF_DATA_2, OF_WORDS):
        own = header.get(kind)
        if isinstance(own, dict):
            said = (header.get(FOLDED), header.get(UNFOLDED), own.get(VALUES))
            found = [*said, own.get(FORM[kind], 0)]
            if all(isinstance(each, int) and each >= 0 for each in found):
                return found[0], found[1], found[2], found[3]
    raise _Damaged


def _struct(data: mmap.mmap, place: int, end: int, depth: int) -> tuple[dict[int, Any], int]:
    """The fields of a struct by their numbers, and where it ends."""
    found: dict[int, Any] = {}
    number = 0
    while True:
        byte, place = _byte(data, place, end)
        if byte == 0:
            return found, place
        if byte >> 4:
            number += byte >> 4
        else:
            coded, place = _number(data, place, end)
            number = _signed(coded)
        if number in found:  # another reader might take the other one
            raise _Damaged
        kind = byte & 15
        found[number], place = (
            (None, place) if kind in TRUTHS else _value(data, place, end, kind, depth)
        )


def _value(data: mmap.mmap, place: int, end: int, kind: int, depth: int) -> tuple[Any, int]:
    """A value of some kind, None if it is of no use here; where it ends."""
    if kind in NUMBERS:
        coded, place = _number(data, place, end)
        return _signed(coded), place
    if kind == BINARY:
        length, place = _number(data, place, end)
        if length > end - place:
            raise _Damaged
        return data[place : place + length], place + length
    if kind in (BYTE, DOUBLE, *TRUTHS):  # a truth value in a list is a byte
        return None, place + (8 if kind == DOUBLE else 1)
    if kind == STRUCT and depth:
        return _struct(data, place, end, depth - 1)
    if kind in LISTS and depth:
        return _list(data, place, end, depth - 1)
    raise _Damaged  # a map, of which there is none


def _list(data: mmap.mmap, place: int, end: int, depth: int) -> tuple[list[Any], int]:
    byte, place = _byte(data, place, end)
    count, kind = byte >> 4, byte & 15
    if count == 15:
        count, place = _number(data, place, end)
    if count > end - place:  # each takes a byte, at least
        raise _Damaged
    found = []
    for _ in range(count):
        value, place = _value(data, place, end, kind, depth)
        found.append(value)
    return found, place


def _byte(data: mmap.mmap, place: int, end: int) -> tuple[int, int]:
    if not 0 <= place < end:
        raise _Damaged
    return data[place], place + 1


def _number(data: mmap.mmap, place: int, end: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first."""
    found = 0
    for shift in range(0, 70, 7):
        byte, place = _byte(data, place, end)
        found |= (byte & 127) << shift
        if byte < 128:
            return found, place
    raise _Damaged


def _signed(coded: int) -> int:
    return (coded >> 1) ^ -(coded & 1)
