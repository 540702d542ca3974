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
# Tables of the user's may have lists that are filled up, with zeros say.
ALLOWED_IN_TABLES = 256 * 2**20
# What a value takes at least, whatever it is and however often it repeats.
VALUE_BYTES = 8
# Pages beyond these are no work that the file's size is worth.
FEW_PAGES = 1000
LEAST_PAGE_BYTES = 500

# Fields of a page's header, and of those of the kinds of pages.
UNFOLDED, FOLDED = 2, 3
OF_DATA, OF_WORDS, OF_DATA_2 = 5, 7, 8
VALUES, FORM = 1, {OF_DATA: 2, OF_WORDS: 2, OF_DATA_2: 4}
# Forms that texts are in: behind all their lengths; each behind a part of the one before it, so
# that no header says how long they are; and, by no number of the format's, in a list of words.
LENGTHS, PREFIXES, WORDS = 6, 7, -1

# Kinds of values in Thrift's compact protocol: a truth value is its kind.
TRUTHS, BYTE, NUMBERS, DOUBLE, BINARY, STRUCT = (1, 2), 3, (4, 5, 6), 7, 8, 12
DEEPEST = 8


class _Damaged(ValueError):
    """What is no header of a page."""


class Claims(NamedTuple):
    """What a file's pages claim.

    Parameters
    ----------
    of_groups : list of int
        What each group of rows unfolds to, in bytes.
    measured : set of str
        The columns whose texts stand behind their lengths, of which no list of words is made.
    """

    of_groups: list[int]
    measured: set[str]


class _Chunk(NamedTuple):
    """What the pages of one column of a group claim: bytes, how many there are, and their forms.

    And of the largest of them, how many bytes it unfolds to.
    """

    claimed: int
    pages: int
    forms: set[int]
    largest: int


def claims_of_pages(path: Path, metadata: Any, where: str) -> Claims:
    """What a file unfolds to, by what its pages claim.

    Parameters
    ----------
    path : Path
    metadata : pyarrow.parquet.FileMetaData
        That of the file.
    where : str
        The file, as messages call it.

    Raises
    ------
    UnusableInput
        They claim more than an honest file of this size, are damaged, or of a form that is not
        bounded.
    """
    size = path.stat().st_size
    chunks = metadata.num_row_groups * metadata.num_columns
    pages_left = FEW_PAGES + 2 * chunks + size // LEAST_PAGE_BYTES
    found = Claims([], set())
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for number in range(metadata.num_row_groups):
            group = metadata.row_group(number)
            found.of_groups.append(0)
            for place in range(group.num_columns):
                column = group.column(place)
                name = column.path_in_schema
                chunk = _chunk(data, column, f"{where}: column {name}", pages_left)
                _refuse_unbounded(chunk, f"{where}: column {name}")
                pages_left -= chunk.pages
                found.of_groups[-1] += chunk.claimed
                _check(where, sum(found.of_groups), size)
                found.measured.update({name} if LENGTHS in chunk.forms else ())
    return found


class Table(NamedTuple):
    """How a table of the user's is read some rows at a time.

    Parameters
    ----------
    words : list of str
        The columns whose texts stay as they are in the file, a list of words and their places.
    longest : int
        How many bytes a text of another column may have, at most.
    """

    words: list[str]
    longest: int


def checked_table(path: Path, metadata: Any, where: str) -> Table:
    """Refuse a table one of whose pages, or lists of one group, would unfold without bounds.

    Values that repeat may be as many as there are rows: they are read some at a time.

    Raises
    ------
    UnusableInput
        They claim more than an honest file of this size, or are damaged.
    """
    size = path.stat().st_size
    allowed = ALLOWED_IN_TABLES + ALLOWED_EXPANSION * size
    pages_left = FEW_PAGES + 2 * metadata.num_row_groups * metadata.num_columns
    pages_left += size // LEAST_PAGE_BYTES
    columns = [metadata.schema.column(place) for place in range(metadata.num_columns)]
    texts = {each.path for each in columns if each.physical_type == "BYTE_ARRAY"}
    others: set[str] = set()
    longest = 1
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for number in range(metadata.num_row_groups):
            group = metadata.row_group(number)
            for place, described in enumerate(columns):
                name = described.path
                chunk = _chunk(data, group.column(place), f"{where}: column {name}", pages_left)
                pages_left -= chunk.pages
                is_list = described.max_repetition_level > 0
                claimed = chunk.claimed if is_list else chunk.largest
                if claimed > allowed:
                    raise UnusableInput(
                        f"{where}: column {name}",
                        f"claims to unfold to {claimed:,} bytes or more, in a file of {size:,}; no "
                        "honest table does",
                    )
                if name in texts and chunk.forms & {LENGTHS, PREFIXES}:
                    others.add(name)
                    longest = max(longest, chunk.largest)
                    if is_list:
                        _refuse_unbounded(chunk, f"{where}: column {name}")
    return Table(sorted(texts - others), longest)


def _check(where: str, claimed: int, size: int) -> None:
    if claimed > ALLOWED_BYTES + ALLOWED_EXPANSION * size:
        raise UnusableInput(
            where,
            f"claims to unfold to {claimed:,} bytes or more, in a file of {size:,}; no such file "
            "of results is honest, so it is not read",
        )


def _chunk(data: mmap.mmap, column: Any, where: str, most_pages: int) -> _Chunk:
    """What the pages of one column of a group claim."""
    words = column.dictionary_page_offset
    start = column.data_page_offset if not words else min(words, column.data_page_offset)
    end = start + column.total_compressed_size
    if not 0 <= start <= end <= len(data):
        raise UnusableInput(where, "lies outside of the file; is it whole?")
    pages = claimed = largest = 0
    forms = set()
    place = start
    while place < end:
        if pages == most_pages:
            raise UnusableInput(where, "has more pages than an honest file of its size")
        try:
            header, place = _struct(data, place, end, DEEPEST)
            folded, unfolded, values, form = _said(header)
        except _Damaged as error:
            raise UnusableInput(where, "has a page that is damaged; is it whole?") from error
        forms.add(WORDS if OF_WORDS in header else form)
        pages += 1
        place += folded
        claimed += unfolded + VALUE_BYTES * values
        largest = max(largest, unfolded)
    return _Chunk(claimed, pages, forms, largest)


def _refuse_unbounded(chunk: _Chunk, where: str) -> None:
    """Refuse texts that may each be as long as all others together, so that nothing bounds them."""
    if PREFIXES in chunk.forms or chunk.forms >= {WORDS, LENGTHS}:
        raise UnusableInput(
            where,
            "is of the encoding DELTA_BYTE_ARRAY, or of a list of words and "
            "DELTA_LENGTH_BYTE_ARRAY; write it as PLAIN or with a dictionary, as is usual",
        )


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
    """The fields of a struct that are numbers or structs, by their numbers; where it ends."""
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
        value, place = _value(data, place, end, byte & 15, depth)
        if value is not None:
            found[number] = value


def _value(data: mmap.mmap, place: int, end: int, kind: int, depth: int) -> tuple[Any, int]:
    """A value of some kind, None if it is neither number nor struct; where it ends."""
    if kind in TRUTHS:
        return None, place
    if kind == BYTE:
        return None, place + 1
    if kind in NUMBERS:
        coded, place = _number(data, place, end)
        return _signed(coded), place
    if kind == DOUBLE:
        return None, place + 8
    if kind == BINARY:
        length, place = _number(data, place, end)
        return None, place + length
    if kind == STRUCT and depth:
        return _struct(data, place, end, depth - 1)
    raise _Damaged  # lists and maps, of which a page's header has none


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
