"""Protobuf's wire format, and the tables of LevelDB in which TensorFlow keeps what is in a file.

Both are read as bytes that anybody may have written: what is cut short or does not fit is a
ValueError, and nothing is copied that was not checked.

Sources: protobuf.dev, "Encoding"; LevelDB, doc/table_format.md.
"""

import struct
from collections.abc import Iterator

Data = bytes | memoryview

# A number takes seven bits a byte.
LONGEST_NUMBER = 10
# The end of a table: where its two last blocks are, filled up, and a number that says what it is.
FOOTER = 48
MAGIC = bytes.fromhex("57fb808b247547db")
# Behind a block: how it is compressed, and a check sum.
TRAILER = struct.Struct("<BI")
# No name of a variable is longer.
LONGEST_KEY = 4096
# Castagnoli's polynomial, its bits turned round.
POLYNOMIAL = 0x82F63B78


def number_at(data: Data, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and where it ends."""
    number = 0
    for place in range(LONGEST_NUMBER):
        if at + place >= len(data):
            break
        byte = data[at + place]
        number |= (byte & 127) << (7 * place)
        if byte < 128:
            return number & (2**64 - 1), at + place + 1
    raise ValueError("a number is cut short, or too long")


def fields(message: Data) -> Iterator[tuple[int, int | memoryview]]:
    """The fields of a message: the number of each, and its value, of a number or of bytes."""
    data, at = memoryview(message), 0
    while at < len(data):
        tag, at = number_at(data, at)
        kind = tag & 7
        if kind == 0:
            value, at = number_at(data, at)
            yield tag >> 3, value
            continue
        if kind == 2:
            size, at = number_at(data, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"found a field of kind {kind}")
        if size > len(data) - at:
            raise ValueError(f"a field claims {size:,} bytes, and {len(data) - at:,} are left")
        part, at = data[at : at + size], at + size
        yield tag >> 3, part if kind == 2 else int.from_bytes(part, "little")


def messages(message: Data, number: int) -> Iterator[memoryview]:
    """The fields of one number that hold bytes: a text, or a message of its own."""
    for found, value in fields(message):
        if found == number and isinstance(value, memoryview):
            yield value


def text_of(message: Data, number: int) -> str:
    """The last field of one number as text; "" where there is none."""
    text = ""
    for found in messages(message, number):
        text = bytes(found).decode("utf-8")
    return text


def whole(message: Data, number: int, default: int = 0) -> int:
    """The last field of one number that is a number."""
    for found, value in fields(message):
        if found == number and isinstance(value, int):
            default = value
    return default


def table_entries(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The keys of a table with their values, in their order, which is that of the alphabet."""
    if len(data) < FOOTER or data[-len(MAGIC) :] != MAGIC:
        raise ValueError("its end is not that of a table")
    footer, at = data[-FOOTER:], 0
    for _ in range(2):  # the first block of the two says what is not needed
        offset, at = number_at(footer, at)
        size, at = number_at(footer, at)
    last = b""
    for _, handle in _block(data, offset, size):
        begin, after = number_at(handle, 0)
        for key, value in _block(data, begin, number_at(handle, after)[0]):
            # The same block, told twice, would be.
            if key <= last and (key or last):
                raise ValueError("its keys do not stand in their order")
            last = key
            yield key, value


def _block(data: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """The entries of a block, each of which has what differs from the key before."""
    end = offset + size
    if size < 4 or end + TRAILER.size > len(data):
        raise ValueError(f"a block of {size:,} bytes at {offset:,} is not inside the file")
    compression, checked = TRAILER.unpack_from(data, end)
    if compression:
        raise ValueError("a block is compressed, which TensorFlow's never are")
    if checked != _masked(data[offset : end + 1]):
        raise ValueError(f"the check sum of the block at {offset:,} is another")
    restarts = int.from_bytes(data[end - 4 : end], "little")
    entries = memoryview(data)[offset : max(offset, end - 4 * (restarts + 1))]
    key, at = b"", 0
    while at < len(entries):
        shared, at = number_at(entries, at)
        added, at = number_at(entries, at)
        length, at = number_at(entries, at)
        if shared > len(key) or shared + added > LONGEST_KEY or added + length > len(entries) - at:
            raise ValueError(f"an entry of the block at {offset:,} is longer than its block")
        key = key[:shared] + bytes(entries[at : at + added])
        yield key, bytes(entries[at + added : at + added + length])
        at += added + length


def _table_of_sums() -> list[int]:
    sums = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (POLYNOMIAL if byte & 1 else 0)
        sums.append(byte)
    return sums


SUMS = _table_of_sums()


def _masked(data: bytes) -> int:
    """The check sum of bytes (CRC-32C) in the form in which LevelDB stores it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ SUMS[(crc ^ byte) & 255]
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
