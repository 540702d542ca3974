"""What a folder or URL of parts says of them: a line of JSON for each part, in the input's order.

`lrp explain` writes it when all parts are there. It is read as what a stranger wrote: no line is
longer than names of files can make it, and no part lies outside the folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from lstm_lrp_cli.errors import UnusableInput, reading, short
from lstm_lrp_cli.inputs.spans import asked, file_system, is_url
from lstm_lrp_cli.inputs.stream import STANDARD_INPUT, display_name, open_input

# Where in a folder of parts all lies that is no part; the manifest and the receipts in it.
ABOUT = "_lrp"
MANIFEST = f"{ABOUT}/manifest.jsonl"
RECEIPTS = f"{ABOUT}/receipts"
# Two names of the longest that systems have, each character written as an escape, and numbers.
LONGEST_ENTRY = 2**16
AGAIN = "run the same command again"

Count = Annotated[int, Meta(ge=0)]
Name = Annotated[str, Meta(min_length=1)]


class Entry(Struct, frozen=True):
    """One part: a file of results of a whole input, or of a range of it.

    Parameters
    ----------
    part : str
        Its path in the folder, with `/`.
    input : str
        What the input is called, of which a sequence's number is the place.
    start, stop : int, int or None
        The range: bytes of lines, row groups of Parquet; None is the input's end.
    first : int
        The number of the first line or row, from 1.
    sequences, steps : int
        How many there are.
    bytes : int
        The part's size.
    """

    part: Name
    input: Name
    start: Count
    stop: Count | None
    first: Count
    sequences: Count
    steps: Count
    bytes: Count


_DECODER = msgspec.json.Decoder(Entry)


def is_folder_of_parts(source: str) -> bool:
    """Whether a source of results is a folder, or URL, that parts are, or were, written to."""
    if not is_url(source):
        return source != STANDARD_INPUT and Path(source, ABOUT).is_dir()
    try:
        return source.endswith("/") or _is_there(inside(source, MANIFEST))
    except (UnusableInput, OSError):  # told where it is opened, which may be allowed
        return False


def read_manifest(folder: str) -> Iterator[Entry]:
    """The parts of a folder, one after the other, however many there are.

    Raises
    ------
    UnusableInput
        There is no manifest yet, or a line is not what `lrp explain` writes. The error names it.
    """
    path = inside(folder, MANIFEST)
    if not _is_there(path):
        raise _not_finished(folder)
    where = display_name(path)
    with reading(where), open_input(path) as opened:
        before: Entry | None = None
        number = 0
        while line := opened.file.readline(LONGEST_ENTRY + 1):
            number += 1
            place = f"{where}: line {number}"
            entry = _entry(line, folder, place)
            if before is not None and before.input == entry.input and entry.start <= before.start:
                raise UnusableInput(
                    place,
                    f"the part `{short(entry.part)}` begins no later in its input than the one "
                    f"before it; {AGAIN}",
                )
            yield entry
            before = entry
        if before is None:
            raise UnusableInput(where, f"is empty; {AGAIN}")


def manifest_line(entry: Entry) -> bytes:
    """What the manifest says of a part."""
    return msgspec.json.encode(entry) + b"\n"


def inputs_of(folder: str) -> Iterator[str]:
    """The inputs of a folder's parts in their order, each once, since its parts stand together."""
    for name, _ in groupby(read_manifest(folder), attrgetter("input")):
        yield name


def inside(folder: str, path: str) -> str:
    """A path in a folder or URL, as it is opened."""
    return f"{folder.rstrip('/')}/{path}" if is_url(folder) else os.path.join(folder, path)


def size_of(path: str) -> int | None:
    """The bytes of a file or URL; None where its store does not say.

    Raises
    ------
    FileNotFoundError
        There is none.
    StoreFailed
        It cannot be asked for.
    """
    if is_url(path):
        store, place = file_system(path)
        with asked(path):
            found = store.info(place)
            size: int | None = found["size"]
            is_file = found["type"] == "file"
    else:
        is_file, size = os.path.isfile(path), os.stat(path).st_size
    if not is_file:
        raise FileNotFoundError(path)
    return size


def _is_there(path: str) -> bool:
    try:
        size_of(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _entry(line: bytes, folder: str, place: str) -> Entry:
    if len(line) > LONGEST_ENTRY:
        raise UnusableInput(place, f"is longer than {LONGEST_ENTRY:,} bytes; {AGAIN}")
    try:
        entry = _DECODER.decode(line)
    except msgspec.ValidationError as error:
        raise UnusableInput(place, f"{error}; expected a line of a part; {AGAIN}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnusableInput(place, f"is not JSON: {error}; {AGAIN}") from error
    if _leads_out(entry.part, folder):
        raise UnusableInput(
            place, f"the part `{short(entry.part)}` leads out of the folder; expected a path in it"
        )
    return entry


def _leads_out(part: str, folder: str) -> bool:
    """Whether a part's path does not stay in its folder, by any system's reading of it."""
    # Not by `Path`, which keeps all names that it has seen.
    steps = part.replace(os.sep, "/").split("/")
    out = not steps[0] or ".." in steps or os.path.splitdrive(part)[0]
    # In URLs "::" parts one from another.
    return bool(out) or "://" in part or "\0" in part or ("://" in folder and "::" in part)


def _not_finished(folder: str) -> UnusableInput:
    """An error about a folder without a manifest."""
    receipts = inside(folder, RECEIPTS)
    if is_url(folder):
        store, place = file_system(receipts)
        with asked(receipts):
            written = len(store.find(place))
    else:
        written = sum(1 for _ in Path(receipts).rglob("*.json"))
    if is_url(folder) and not written:
        return UnusableInput(
            display_name(folder), f"has no {MANIFEST}; expected a folder of parts, all written"
        )
    return UnusableInput(
        display_name(folder),
        f"is not finished: {written:,} of its parts {'is' if written == 1 else 'are'} written, and "
        f"there is no {MANIFEST} yet; {AGAIN}",
    )
