"""HDF5's global heap, which holds texts of any length, checked before the library follows it.

The library walks each collection of the heap from object to object by their sizes. Where the size
of a free space is 0 it never arrives (seen in HDF5 1.14.6 and 2.0.0), so a few damaged bytes would
have it run without end. The layout is that of the HDF5 File Format Specification, III.E, "Global
Heap".
"""

import mmap
from typing import BinaryIO

# The signature and the only version that there is.
COLLECTION = b"GCOL\x01"


def has_endless_heap(file: BinaryIO, length_bytes: int) -> bool:
    """Whether a collection of the global heap leads nowhere.

    Parameters
    ----------
    file : BinaryIO
        The whole HDF5 file.
    length_bytes : int
        The bytes of a length, as the file has them.
    """
    try:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _has_endless(data, length_bytes)
    except (OSError, ValueError):  # in memory
        file.seek(0)
        return _has_endless(file.read(), length_bytes)


def _has_endless(data: bytes | mmap.mmap, length_bytes: int) -> bool:
    start = data.find(COLLECTION)
    # Collections do not overlap, so there is no room for more objects than this; a file in which
    # they seem to would take the square of its size to walk.
    left = len(data) // 8
    while start >= 0:
        walked = _objects(data, start, length_bytes, left)
        if walked is None:
            return True
        left -= walked
        start = data.find(COLLECTION, start + 1)
    return False


def _objects(data: bytes | mmap.mmap, start: int, length_bytes: int, most: int) -> int | None:
    """How many objects a collection has; None if they do not lead to its end, or are too many."""
    # The collection and each object begin with 8 bytes and a length, filled up to a multiple of 8.
    head = 8 + _filled(length_bytes)

    def length(at: int) -> int:
        return int.from_bytes(data[at + 8 : at + 8 + length_bytes], "little")

    end = start + length(start)
    if end > len(data):
        return 0  # the library refuses it, or these are no collection but numbers like it
    at, count = start + head, 0
    while at + head <= end:
        size = length(at)
        # Object 0 is the free space, whose size counts its own beginning.
        is_free = data[at : at + 2] == b"\0\0"
        step = size if is_free else head + _filled(size)
        count += 1
        if step == 0 or count > most:
            return None
        at += step
    return count


def _filled(size: int) -> int:
    return -(-size // 8) * 8
