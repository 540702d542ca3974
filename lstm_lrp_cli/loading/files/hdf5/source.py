"""The bytes of an HDF5 file, of which no more is looked at than an honest file has.

What is read here follows the HDF5 File Format Specification (versions 3.0 and 4.0, The HDF Group).
"""

import os
from pathlib import Path
from struct import unpack_from
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89HDF\r\n\x1a\n"
# A file up to this size is read at once, which costs less than its many parts.
READ_AT_ONCE = 4 * 2**20
# What describes the arrays is looked at once, or a few times where several share it. A file in
# which it is looked at more often than this says leads in circles.
LOOKED_AT, LOOKS_EACH = 4 * 2**20, 16
# An address of no place has all its bits set.
NOWHERE = {size: 2 ** (8 * size) - 1 for size in (2, 4, 8)}


class Broken(Exception):
    """A part of an HDF5 file is not what the format has there."""


class NotRead(Exception):
    """An honest part of an HDF5 file is of a kind that is not read; the text is a whole problem."""


class FileBytes:
    """An open file, or the bytes of one.

    Attributes
    ----------
    size : int
        Of the file, in bytes, from where its HDF5 begins.
    offset_bytes, length_bytes : int
        The bytes of an address and of a length, as the file has them.
    """

    offset_bytes = 8
    length_bytes = 8

    def __init__(self, path: Path, content: bytes | None) -> None:
        self._file: BinaryIO | None = None
        if content is None:
            self._file = path.open("rb", buffering=0)
            self.size = os.fstat(self._file.fileno()).st_size
            if self.size <= READ_AT_ONCE:
                with self._file:
                    content = self._file.read(self.size)
                self._file = None
        self._content = content
        if content is not None:
            self.size = len(content)
        self._base = 0
        self._left = 0
        self.begin()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def begin(self) -> None:
        """Begin a part of the work, each of which has its own bound."""
        self._left = LOOKED_AT + LOOKS_EACH * self.size

    def begin_at(self, base: int) -> None:
        """Count addresses from here on."""
        self.size -= base
        self._base = base

    def look(self, at: int, count: int, what: str) -> bytes:
        """Some bytes of what describes the arrays.

        Raises
        ------
        Broken
            They are not there, or more was looked at than an honest file has.
        """
        self.spend(count, what)
        return self.raw(at, count, what)

    def spend(self, count: int, what: str) -> None:
        """Count work that is no more than some bytes of the file are worth."""
        self._left -= count + 8
        if self._left < 0:
            raise Broken(f"{what} stands in circles, or is claimed many times")

    def raw(self, at: int, count: int, what: str) -> bytes:
        """Some bytes of the file; Broken where it has no such."""
        self._check(at, count, what)
        at += self._base
        if self._content is not None:
            return self._content[at : at + count]
        parts: list[bytes] = []
        while count > 0:
            part = self._read(at, count)
            if not part:
                raise Broken(f"{what} cannot be read whole: the file grew shorter")
            parts.append(part)
            at, count = at + len(part), count - len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def array(self, at: int, count: int, what: str) -> NDArray[np.uint8]:
        """The same as bytes that can be written to."""
        self._check(at, count, what)
        if self._content is not None or self._file is None:
            return np.frombuffer(self.raw(at, count, what), np.uint8).copy()
        found = np.empty(count, np.uint8)
        view, at, done = found.data, at + self._base, 0
        while done < count:
            step = self._read_into(at + done, view[done:])
            if not step:
                raise Broken(f"{what} cannot be read whole: the file grew shorter")
            done += step
        return found

    def _check(self, at: int, count: int, what: str) -> None:
        if at < 0 or count < 0 or at + count > self.size:
            raise Broken(f"{what} is claimed at bytes {at:,} to {at + count:,} of {self.size:,}")

    def _read(self, at: int, count: int) -> bytes:
        assert self._file is not None
        if hasattr(os, "pread"):  # whoever else has the file open does not move where it is read
            return os.pread(self._file.fileno(), count, at)
        self._file.seek(at)
        return self._file.read(count)

    def _read_into(self, at: int, view: memoryview) -> int:
        assert self._file is not None
        if hasattr(os, "preadv"):
            return os.preadv(self._file.fileno(), [view], at)
        part = self._read(at, len(view))
        view[: len(part)] = part
        return len(part)

    def fields(self, at: int, count: int, what: str, signature: bytes = b"") -> "Fields":
        """A structure of a known size, after its signature."""
        data = self.look(at, count, what)
        if not data.startswith(signature):
            raise Broken(f"{what} begins with {data[:4]!r}, not {signature!r}")
        return Fields(data, self, what, len(signature))

    def checked(self, at: int, count: int, what: str, signature: bytes) -> "Fields":
        """A structure whose last four bytes are the checksum of the others; they are cut off."""
        fields = self.fields(at, count, what, signature)
        fields.data = sound(fields.data, what)
        return fields


class Fields:
    """What stands one after another in a structure, smallest byte first."""

    __slots__ = ("at", "data", "source", "what")

    def __init__(self, data: bytes, source: FileBytes, what: str, at: int = 0) -> None:
        self.data, self.source, self.what, self.at = data, source, what, at

    @property
    def left(self) -> int:
        return len(self.data) - self.at

    def take(self, count: int) -> bytes:
        start, self.at = self.at, self.at + count
        if count < 0 or self.at > len(self.data):
            raise Broken(f"{self.what} ends amid what it holds")
        return self.data[start : self.at]

    def skip(self, count: int) -> None:
        self.take(count)

    def number(self, count: int) -> int:  # called most of all, so it takes for itself
        start, self.at = self.at, self.at + count
        if count < 0 or self.at > len(self.data):
            raise Broken(f"{self.what} ends amid what it holds")
        return int.from_bytes(self.data[start : self.at], "little")

    def address(self) -> int | None:
        """Where something stands; None where it is nowhere."""
        size = self.source.offset_bytes
        found = self.number(size)
        return None if found == NOWHERE[size] else found

    def place(self) -> int:
        """The same of what must be there."""
        found = self.address()
        if found is None:
            raise Broken(f"{self.what} leads nowhere")
        return found

    def length(self) -> int:
        return self.number(self.source.length_bytes)

    def text(self) -> bytes:
        """What stands before a zero."""
        end = self.data.find(b"\0", self.at)
        if end < 0:
            raise Broken(f"{self.what} has a name without an end")
        start, self.at = self.at, end + 1
        return self.data[start:end]

    def version(self, *known: int) -> int:
        found = self.number(1)
        if found not in known:
            raise Broken(f"{self.what} is of version {found}")
        return found


def filled(count: int, to: int = 8) -> int:
    """A number of bytes, filled up to a multiple."""
    return -(-count // to) * to


def sound(data: bytes, what: str) -> bytes:
    """What stands before its checksum, if that is right."""
    if len(data) < 4 or checksum(data[:-4]) != int.from_bytes(data[-4:], "little"):
        raise Broken(f"{what} does not have the checksum that it says")
    return data[:-4]


def checksum(data: bytes) -> int:
    """Bob Jenkins's lookup3 (2006, public domain), by which HDF5 checks what describes arrays."""
    mask = 0xFFFFFFFF
    length = len(data)
    a = b = c = (0xDEADBEEF + length) & mask
    if length == 0:
        return c
    whole = (length - 1) // 12 * 12  # the last 1 to 12 bytes are mixed otherwise
    words = unpack_from(f"<{whole // 4}I", data)
    for k in range(0, len(words), 3):
        a, b, c = a + words[k], b + words[k + 1], (c + words[k + 2]) & mask
        a = ((a - c) & mask) ^ ((c << 4) & mask | c >> 28)
        c = (c + b) & mask
        b = ((b - a) & mask) ^ ((a << 6) & mask | a >> 26)
        a = (a + c) & mask
        c = ((c - b) & mask) ^ ((b << 8) & mask | b >> 24)
        b = (b + a) & mask
        a = ((a - c) & mask) ^ ((c << 16) & mask | c >> 16)
        c = (c + b) & mask
        b = ((b - a) & mask) ^ ((a << 19) & mask | a >> 13)
        a = (a + c) & mask
        c = ((c - b) & mask) ^ ((b << 4) & mask | b >> 28)
        b = (b + a) & mask
    last = unpack_from("<3I", data[whole:].ljust(12, b"\0"))
    a, b, c = (a + last[0]) & mask, (b + last[1]) & mask, (c + last[2]) & mask
    for left in (14, 11, 25, 16, 4, 14, 24):  # three numbers in turns, each by the one before it
        c, a, b = a, b, ((c ^ b) - ((b << left) & mask | b >> (32 - left))) & mask
    return int(b)
