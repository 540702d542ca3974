"""What was done to the chunks of a dataset before they were written, undone."""

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from .source import Broken, Fields, FileBytes, NotRead, filled

DEFLATE, SHUFFLE, FLETCHER32, LZF = 1, 2, 3, 32000
# Filters that are not read, by the names that people know.
NAMES = {
    4: "szip",
    5: "nbit",
    6: "scaleoffset",
    305: "LZO",
    307: "bzip2",
    32001: "Blosc",
    32004: "LZ4",
    32008: "bitshuffle",
    32013: "ZFP",
    32015: "Zstandard",
    32017: "SZ",
    32026: "Blosc2",
}
# No honest pipeline has more filters, nor a checksum more bytes.
MOST_FILTERS = 32
CHECKSUM_BYTES = 4


class Filter(Struct, frozen=True):
    """One of the filters of a pipeline.

    Parameters
    ----------
    number : int
        By which the format knows it.
    name : str
    values : tuple of int
        Its settings.
    """

    number: int
    name: str
    values: tuple[int, ...]


def filters_of(body: bytes, source: FileBytes, what: str) -> tuple[Filter, ...]:
    """Understand a message of a pipeline.

    Raises
    ------
    Broken
    """
    fields = Fields(body, source, f"the filters of {what}")
    version, count = fields.version(1, 2), fields.number(1)
    if count > MOST_FILTERS:
        raise Broken(f"{fields.what} are said to be {count}")
    fields.skip(6 if version == 1 else 0)
    found = []
    for _ in range(count):
        number = fields.number(2)
        length = fields.number(2) if version == 1 or number >= 256 else 0
        fields.skip(2)
        values = fields.number(2)
        name = fields.take(filled(length) if version == 1 else length)
        settings = tuple(fields.number(4) for _ in range(values))
        fields.skip(4 * (values % 2) if version == 1 else 0)
        text = name.partition(b"\0")[0].decode("utf-8", "replace")
        found.append(Filter(number, text, settings))
    return tuple(found)


def check_known(filters: tuple[Filter, ...]) -> None:
    """Refuse filters that cannot be undone.

    Raises
    ------
    NotRead
    """
    for each in filters:
        if each.number not in UNDONE:
            name = NAMES.get(each.number) or each.name or "one of no name"
            raise NotRead(
                f"is compressed by {name} (filter {each.number}), which is not read; save it again "
                "uncompressed or by gzip (h5repack -f GZIP=4 old.h5 new.h5)"
            )


def undone(
    data: NDArray[np.uint8], filters: tuple[Filter, ...], mask: int, size: int
) -> NDArray[np.uint8]:
    """A chunk as it was before the filters, which are undone from the last.

    Parameters
    ----------
    mask : int
        A bit for each filter, set where it was left out.
    size : int
        The bytes of the chunk. Nothing becomes larger, but for checksums.

    Raises
    ------
    Broken
        It does not become a chunk of that size.
    """
    room = size + CHECKSUM_BYTES * len(filters)
    for k in reversed(range(len(filters))):
        if not mask >> k & 1:
            data = UNDONE[filters[k].number](data, filters[k].values, room)
    if len(data) != size:
        raise Broken(f"a chunk becomes {len(data):,} bytes, not {size:,}")
    return data


def _inflated(data: NDArray[np.uint8], _: tuple[int, ...], room: int) -> NDArray[np.uint8]:
    unpacking = zlib.decompressobj()
    try:
        found = unpacking.decompress(data.data, room + 1)
    except zlib.error as error:
        raise Broken(f"a chunk cannot be unpacked ({error})") from error
    if len(found) > room or not unpacking.eof:
        raise Broken("a chunk unpacks to more than it should, or is cut short")
    return np.frombuffer(found, np.uint8)


def _unshuffled(data: NDArray[np.uint8], values: tuple[int, ...], _: int) -> NDArray[np.uint8]:
    size = values[0] if values else 0
    if size == 0:
        raise Broken("a chunk is shuffled by elements of no bytes")
    count = len(data) // size
    if size == 1 or count < 2:
        return data
    whole = count * size
    found = np.empty(len(data), np.uint8)
    each = found[:whole].reshape(count, size)
    for k in range(size):
        each[:, k] = data[k * count : (k + 1) * count]
    found[whole:] = data[whole:]
    return found


def _checked(data: NDArray[np.uint8], _: tuple[int, ...], __: int) -> NDArray[np.uint8]:
    """What stands before its checksum, if that is right."""
    if len(data) < CHECKSUM_BYTES:
        raise Broken("a chunk has no room for its checksum")
    content, said = data[:-CHECKSUM_BYTES], data[-CHECKSUM_BYTES:].tobytes()
    first, second = fletcher32(content)
    halves = [int.from_bytes(said[at : at + 2], "little") for at in (0, 2)]
    # Version 1.6.2 and before wrote each half with its bytes in the other order.
    swapped = [int.from_bytes(said[at : at + 2], "big") for at in (0, 2)]
    if not any([half % 65535 for half in each] == [first, second] for each in (halves, swapped)):
        raise Broken("a chunk does not have the checksum that it says")
    return content


def fletcher32(data: NDArray[np.uint8]) -> tuple[int, int]:
    """Fletcher's checksum of 16-bit words, biggest byte first: both sums, modulo 65535.

    The checksum of HDF5 has 65535 for some sums of 0.
    """
    whole = data[: len(data) // 2 * 2].view(">u2")
    first = second = 0
    for start in range(0, len(whole), 2**16):
        words = whole[start : start + 2**16].astype(np.uint64)
        weights = np.arange(len(words), 0, -1, dtype=np.uint64)
        second += first * len(words) + int(words @ weights)
        first += int(words.sum())
    if len(data) % 2:
        first += int(data[-1]) << 8
        second += first
    return first % 65535, second % 65535


def _unpacked_lzf(data: NDArray[np.uint8], values: tuple[int, ...], room: int) -> NDArray[np.uint8]:
    """LZF (Marc Lehmann): texts as they are, and repetitions of what was unpacked before."""
    source, found = data.tobytes(), bytearray()
    at, end = 0, len(source)
    try:
        while at < end:
            control = source[at]
            at += 1
            if control < 32:
                found += source[at : at + control + 1]
                at += control + 1
            else:
                length = control >> 5
                if length == 7:
                    length += source[at]
                    at += 1
                start = len(found) - ((control & 31) << 8 | source[at]) - 1
                at += 1
                length += 2
                if start < 0:
                    raise Broken("a chunk repeats what stands before its beginning")
                part = found[start : start + length]
                while len(part) < length:  # it repeats itself
                    part += part[: length - len(part)]
                found += part
            if len(found) > room:
                raise Broken("a chunk unpacks to more than it should")
    except IndexError as error:
        raise Broken("a chunk is cut short") from error
    return np.frombuffer(bytes(found), np.uint8)


UNDONE: dict[int, Callable[[NDArray[np.uint8], tuple[int, ...], int], NDArray[Any]]] = {
    DEFLATE: _inflated,
    SHUFFLE: _unshuffled,
    FLETCHER32: _checked,
    LZF: _unpacked_lzf,
}
