"""What the batches of Arrow's format unfold to, looked up before Arrow takes memory for them.

Source: the Arrow columnar format, "Serialization and Interprocess Communication"; Message.fbs and
File.fbs of its repository.
"""

import mmap
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from lstm_lrp_cli.loading.files import ALLOWED_BYTES, check_unfolded
from lstm_lrp_cli.loading.tensorflow.lite.flatbuffer import root_of

MAGIC = b"ARROW1"
# What a message begins with, but in files of versions before 0.15.
CONTINUED = 0xFFFFFFFF
# The kinds of messages that hold arrays.
DICTIONARY, BATCH = 2, 3
# More than any honest file has.
MOST_MESSAGES = 1_000_000
BLOCK, BUFFER = struct.Struct("<qi4xq"), struct.Struct("<qq")


def check_claims(path: Path, where: str) -> None:
    """Refuse a file, one of whose batches unfolds to far more than the file has, or all words.

    What is damaged is left to Arrow, which says what is wrong.
    """
    size = path.stat().st_size
    words = 0
    with path.open("rb") as file, suppress(ValueError, struct.error, OverflowError):
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        with data:
            messages = _listed(data) if data[: len(MAGIC)] == MAGIC else _in_order(data)
            for kind, claimed in messages:
                words += claimed if kind == DICTIONARY else 0
                check_unfolded(where, max(claimed, words), ALLOWED_BYTES, size)


def _listed(data: mmap.mmap) -> Iterator[tuple[int, int]]:
    """The messages of a file, whose places stand at its end: the kind, and the bytes of each."""
    (length,) = struct.unpack_from("<i", data, len(data) - len(MAGIC) - 4)
    begin = len(data) - len(MAGIC) - 4 - length
    footer = root_of(data[max(begin, 0) :])
    for field in (2, 3):
        at, count = footer.span(field)
        for number in range(min(count, MOST_MESSAGES)):
            place, _, _ = BLOCK.unpack_from(footer.data, at + BLOCK.size * number)
            found = _message(data, place)
            if found is not None:
                yield found[:2]


def _in_order(data: mmap.mmap) -> Iterator[tuple[int, int]]:
    """The messages of a stream, one after the other."""
    place = 0
    for _ in range(MOST_MESSAGES):
        found = _message(data, place)
        if found is None:
            return
        kind, claimed, place = found
        yield kind, claimed


def _message(data: mmap.mmap, place: int) -> tuple[int, int, int] | None:
    """The kind of a message, the bytes that its arrays take, and where it ends; None at the end."""
    if not 0 <= place <= len(data) - 8:
        return None
    first, length = struct.unpack_from("<Ii", data, place)
    begin = place + 8
    if first != CONTINUED:
        begin, length = place + 4, first
    if length <= 0:
        return None
    message = root_of(data[begin : begin + length])
    body = begin + length
    held = message.table(2)
    kind = message.whole(1, "<B")
    if kind == DICTIONARY and held is not None:
        held = held.table(1)
    claimed = 0
    if kind in (DICTIONARY, BATCH) and held is not None and held.table(3) is not None:
        at, count = held.span(2)
        for number in range(count):
            offset, size = BUFFER.unpack_from(held.data, at + BUFFER.size * number)
            if size >= 8 and 0 <= body + offset <= len(data) - 8:
                # -1 where it is as it stands.
                claimed += max(*struct.unpack_from("<q", data, body + offset), 0)
    return kind, claimed, body + max(message.whole(3, "<q"), 0)
