"""What the pages of a Parquet file claim, before pyarrow takes memory for any of it.

A page says in its header how many values it has and how many bytes it unfolds to. Values that
repeat are kept as one value and a count, so that a few bytes honestly come to thousands of them;
and, in a hostile file, to billions. The format is that of https://parquet.apache.org/docs/, whose
headers are structs of Thrift's compact protocol.
"""

import mmap
from pathlib import Path
from typing import Any, NamedTuple

from lstm_lrp_cli.errors import UnusableInput

# Files may unfold to this much and no more. Numbers of relevance hardly repeat, but for those of
# steps that nothing is said of.
ALLOWED_BYTES = 16 * 2**20
ALLOWED_EXPANSION = 100
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


class _Chunk(NamedTuple):
    """What the pages of one column of a group claim: bytes, how many there are, and their forms."""

    claimed: int
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
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            return _claims(data, where)
        except _Damaged as error:
            raise UnusableInput(where, "is damaged, or no Parquet file; is it whole?") from error


def _claims(data: mmap.mmap, where: str) -> Claims:
    size = len(data)
    end = size - END_BYTES
    begun = end - int.from_bytes(data[end : end + 4], "little")
    groups = _field(_struct(data, begun, end, DEEPEST)[0], GROUPS, list)
    chunks = sum(len(_field(group, COLUMNS, list)) for group in groups)
    pages_left = FEW_PAGES + 2 * chunks + size // LEAST_PAGE_BYTES
    claimed: list[int] = []
    texts: dict[str, bool] = {}
    of_row = 1.0
    for group in groups:
        claimed.append(0)
        for column in group[COLUMNS]:
            said = _field(column, CHUNK, dict)
            name = b".".join(_field(said, PATH, list)).decode("utf-8", "replace")
            chunk = _chunk(data, said, f"{where}: column {name}", pages_left)
            pages_left -= chunk.pages
            claimed[-1] += chunk.claimed
            _check(where, sum(claimed), size)
            if said.get(KIND) == TEXT:
                texts[name] = texts.get(name, True) and LENGTHS not in chunk.forms
        of_row = max(of_row, claimed[-1] / max(_field(group, ROWS, int), 1))
    return Claims(claimed, of_row, [name for name, listed in texts.items() if listed])


def _field(struct: Any, number: int, kind: type[Any]) -> Any:
    """A field of a struct that must be there."""
    value = struct.get(number) if isinstance(struct, dict) else None
    if not isinstance(value, kind):
        raise _Damaged
    return value


def _check(where: str, claimed: int, size: int) -> None:
    if claimed > ALLOWED_BYTES + ALLOWED_EXPANSION * size:
        raise UnusableInput(
            where,
            f"claims to unfold to {claimed:,} bytes or more, in a file of {size:,}; no such file "
            "of results is honest, so it is not read",
        )


def _chunk(data: mmap.mmap, said: dict[int, Any], where: str, most_pages: int) -> _Chunk:
    """What the pages of one column of a group claim."""
    start = _field(said, DATA, int)
    words = said.get(LIST_OF_WORDS)
    if isinstance(words, int) and 0 < words < start:
        start = words
    end = start + _field(said, CHUNK_BYTES, int)
    if not 0 <= start <= end <= len(data):
        raise UnusableInput(where, "lies outside of the file; is it whole?")
    pages = claimed = 0
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
    if said.get(KIND) == TEXT and (PREFIXES in forms or forms >= {WORDS, LENGTHS}):
        raise UnusableInput(
            where,
            "is of the encoding DELTA_BYTE_ARRAY, or of a list of words and "
            "DELTA_LENGTH_BYTE_ARRAY; write it as PLAIN or with a dictionary, as is usual",
        )
    return _Chunk(claimed, pages, forms)


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
