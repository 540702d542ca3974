"""What the layers of a long sequence give each other: in memory, or in a nameless file."""

from __future__ import annotations

import math
import shutil
import tempfile
import weakref
from contextlib import suppress
from typing import IO, Any, Protocol

import numpy as np

from lstm_lrp_cli.model import Floats
from .room import check_room

# An array that takes more is kept in a file of the folder for temporary ones, which has no name
# there: nothing is left of it, however the process ends.
IN_FILE_FROM = 2**26


class Held(Protocol):
    """An array, all zeros at first, of which some rows are read or written at a time."""

    def read(self, rows: slice) -> Floats:
        """Some rows, which are not to be written to."""

    def write(self, rows: slice, values: Floats) -> None:
        """Write some rows."""

    def whole(self) -> Floats:
        """All rows."""


def held(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Held:
    """An array in a file where it is large, and there is a disk with room for it; else in memory.

    Raises
    ------
    TooLarge
        There is not so much memory.
    """
    size = math.prod(shape) * dtype.itemsize
    if size > IN_FILE_FROM:
        with suppress(OSError):  # there is no such folder, or no file to be made in it
            if shutil.disk_usage(tempfile.gettempdir()).free > size:
                return InFile(tempfile.TemporaryFile(buffering=0), shape, dtype)
    return InMemory(shape, dtype)


class InMemory:
    """In memory, of which the system gives none to what is all zeros."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        check_room("what its layers give each other", *shape, dtype.itemsize)
        self._array = np.zeros(shape, dtype)

    def read(self, rows: slice) -> Floats:
        return self._array[rows]

    def write(self, rows: slice, values: Floats) -> None:
        self._array[rows] = values

    def whole(self) -> Floats:
        return self._array


class InFile:
    """In a file; what was not written to is a hole."""

    def __init__(self, file: IO[bytes], shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._file, self._shape, self._dtype = file, shape, dtype
        self._row = math.prod(shape[1:]) * dtype.itemsize
        weakref.finalize(self, file.close)
        file.truncate(shape[0] * self._row)

    def read(self, rows: slice) -> Floats:
        array = np.empty((rows.stop - rows.start, *self._shape[1:]), self._dtype)
        self._file.seek(rows.start * self._row)
        left = array.reshape(-1).view(np.uint8).data
        while len(left):
            count = self._file.readinto(left)  # type: ignore[attr-defined]
            if not count:
                raise EOFError("a temporary file was cut off")
            left = left[count:]
        return array

    def write(self, rows: slice, values: Floats) -> None:
        self._file.seek(rows.start * self._row)
        left = np.ascontiguousarray(values, self._dtype).reshape(-1).view(np.uint8).data
        try:
            while len(left):
                left = left[self._file.write(left) :]
        except OSError as error:  # which does not say where the disk is full
            raise OSError(error.errno, error.strerror, tempfile.gettempdir()) from error

    def whole(self) -> Floats:
        check_room("its relevance", *self._shape, self._dtype.itemsize)
        return self.read(slice(0, self._shape[0]))
