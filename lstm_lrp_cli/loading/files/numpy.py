"""NumPy's .npz, read without its pickles."""

import math
import tokenize
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from lstm_lrp_cli.errors import UnusableInput
from . import ArrayFile, Stored, check_numeric, check_size, damaged

# What NumPy raises at an array that is cut short or whose header is damaged.
# What is to be saved in the place of objects.
NUMBERS = "numbers, array.astype(float), or of sequences of several lengths savez(path, *arrays)"
DAMAGED = (ValueError, EOFError, OSError, SyntaxError, tokenize.TokenError)


def unpacking(where: str, whole: str = "") -> AbstractContextManager[None]:
    """Reads a zip that may be damaged, encrypted, oddly compressed or incomplete.

    Parameters
    ----------
    where : str
    whole : str
        What the whole file is called; "" is a part of one.

    Raises
    ------
    UnusableInput
    """
    import lzma  # with zipfile, which few files need
    import zipfile
    import zlib

    problem, mend = "cannot be read", "save the file again"
    if whole:
        problem, mend = f"is not a whole {whole} file", "copy or save it again"
    return damaged(
        where,
        lambda error: f"{problem} ({error}); {mend}",
        *(*DAMAGED, zipfile.BadZipFile, zlib.error, lzma.LZMAError, RuntimeError, KeyError),
    )


class NpzFile(ArrayFile):
    """A zip of .npy arrays. Only the headers are read until an array is asked for."""

    format = "NPZ"

    def __init__(self, path: Path) -> None:
        import zipfile

        super().__init__(path)
        with self._closed_if_refused():
            with unpacking(str(path), "NPZ"):
                self._handle = self._zip = zipfile.ZipFile(path)
                self._members = {
                    member.filename.removesuffix(".npy"): member
                    for member in self._zip.infolist()
                    if member.filename.endswith(".npy")
                }
                self.datasets = {name: self._header(name) for name in self._members}
            if not self.datasets:
                raise UnusableInput(
                    str(path),
                    "is a zip without .npy arrays (a PyTorch or .keras file?); "
                    "expected what numpy.savez writes",
                )

    def read(self, name: str) -> NDArray[Any]:
        stored, where = self.datasets[name], self.where(name)
        if stored.dtype == "object":
            check_numeric(where, np.dtype(object))
        dtype = np.dtype(stored.dtype)
        check_numeric(where, dtype)
        check_size(where, stored.shape, dtype.itemsize, self.size)
        with unpacking(where), self._zip.open(self._members[name]) as file:
            array: NDArray[Any] = npy.read_array(file, allow_pickle=False)
        return array

    def _header(self, name: str) -> Stored:
        member, where = self._members[name], self.where(name)
        with self._zip.open(member) as file:
            with damaged(where, lambda error: f"is not a NumPy array ({error})", *DAMAGED):
                version = npy.read_magic(file)
                read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
                shape, _, dtype = read(file)
            header = file.tell()
        if dtype.hasobject:
            return Stored(shape, "object")
        claimed = dtype.itemsize * math.prod(shape)
        if min(shape, default=0) < 0 or header + claimed != member.file_size:
            raise UnusableInput(
                where,
                f"its header claims {claimed:,} bytes of data, the file has "
                f"{member.file_size - header:,}; save the file again",
            )
        return Stored(shape, dtype.str if dtype.kind in "SUV" else dtype.name)


def write_npz(file: BinaryIO, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays as numpy.savez does."""
    members: dict[str, Any] = dict(arrays)
    np.savez(file, **members)


def open_npy(path: Path, where: str) -> NDArray[Any]:
    """Map a .npy file into memory; nothing is read until it is used.

    Parameters
    ----------
    where : str
        What errors call the file.

    Raises
    ------
    UnusableInput
        It is no whole .npy file, or holds pickled objects.
    """
    with (
        damaged(
            where,
            lambda error: (
                f"holds Python's objects, and pickled objects are never executed; save {NUMBERS}"
                if "Python objects" in str(error)
                else f"is not a whole .npy file of numbers ({error}); save {NUMBERS}"
            ),
            *DAMAGED,
        ),
        damaged(where, lambda _: "there is no such file", FileNotFoundError),
    ):
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(array, np.ndarray):
        array.close()
        raise UnusableInput(where, "is a whole NPZ archive; call it .npz")
    if array.size and not array.dtype.itemsize:
        raise UnusableInput(where, f"claims {array.size:,} elements of no bytes; save it again")
    return array
