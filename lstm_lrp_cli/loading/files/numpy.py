"""NumPy's .npz, read without its pickles."""

import io
import math
import re
import struct
import tokenize
import warnings
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from lstm_lrp_cli.errors import UnusableInput, short
from . import ArrayFile, Stored, check_characters, check_numeric, check_size, damaged, shape_problem

# What is to be saved in the place of objects.
NUMBERS = "numbers, array.astype(float), or of sequences of several lengths savez(path, *arrays)"
# What NumPy raises at an array that is cut short or whose header is damaged.
DAMAGED = (ValueError, EOFError, OSError, SyntaxError, tokenize.TokenError)


# No array of numbers has a longer header; NumPy reads none, but takes its memory first.
LONGEST_HEADER = 10_000
# How its length is spelled, by the version of the format.
_LENGTHS = {1: struct.Struct("<H"), 2: struct.Struct("<I"), 3: struct.Struct("<I")}
# The header that NumPy writes of plain numbers: the one of nearly all arrays, of which a file may
# have thousands, and which takes Python's parser ten times as long.
_PLAIN = re.compile(
    rb"\{'descr': '([<>][fiu][248]|\|[iub]1)', 'fortran_order': (True|False), "
    rb"'shape': \(((?:[1-9]\d{0,17}(?:, [1-9]\d{0,17})+)?|[1-9]\d{0,17},)\), \} *\n"
)


@contextmanager
def _parsing() -> Iterator[None]:
    """Parses a header; what Python and NumPy warn of, such as numbers of Python 2, is read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """The header of a .npy array: its shape, whether Fortran orders it, and its elements' type.

    Raises
    ------
    ValueError
        It is none that NumPy writes, or of a shape that no array has.
    """
    version = npy.read_magic(file)
    form = _LENGTHS.get(version[0])
    if form is None:
        raise ValueError(f"version {version[0]}.{version[1]} of the format is not known")
    begins = file.read(form.size)
    length = form.unpack(begins)[0] if len(begins) == form.size else 0
    if not 0 < length <= LONGEST_HEADER:
        raise ValueError(f"its header claims {length:,} bytes; expected {LONGEST_HEADER:,} at most")
    data = file.read(length)
    shape, is_fortran, dtype = _plain(data) or _parsed(version, begins + data)
    problem = shape_problem(shape, dtype.itemsize)
    if problem:
        raise ValueError(f"its header {problem}")
    return shape, is_fortran, dtype


def _plain(data: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]] | None:
    """What a header says as NumPy writes it of plain numbers; None of others."""
    found = _PLAIN.fullmatch(data)
    if found is None:
        return None
    descr, is_fortran, sizes = found.groups()
    shape = tuple(map(int, sizes.rstrip(b",").split(b", "))) if sizes else ()
    return shape, is_fortran == b"True", np.dtype(descr.decode())


def _parsed(version: tuple[int, int], data: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """What any header says; errors as of `npy_header`."""
    whole = io.BytesIO(data)
    read = npy.read_array_header_1_0 if version[0] == 1 else npy.read_array_header_2_0
    try:
        with _parsing():
            shape, is_fortran, dtype = read(whole)
            return shape, is_fortran, dtype
    except Exception as error:  # Python parses it, which fails in many ways
        said = str(error).partition("\n")[0]
        raise ValueError(short(said) or "its header is nested too deep") from error


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
        with unpacking(where), self._zip.open(self._members[name]) as file, _parsing():
            array: NDArray[Any] = npy.read_array(file, allow_pickle=False)
            check_characters(array)
        return array

    def _header(self, name: str) -> Stored:
        member, where = self._members[name], self.where(name)
        with self._zip.open(member) as file:
            with damaged(where, lambda error: f"is not a NumPy array ({error})", *DAMAGED):
                shape, _, dtype = npy_header(file)
            header = file.tell()
        if dtype.hasobject:
            return Stored(shape, "object")
        claimed = dtype.itemsize * math.prod(shape)
        if header + claimed != member.file_size:
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
    if path.exists() and not path.is_file():
        raise UnusableInput(where, "is a pipe or a device; expected a file on disk")
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
        with path.open("rb") as file:
            begins = file.read(6)
            if begins == b"\x93NUMPY":
                file.seek(0)
                npy_header(file)
        with _parsing():
            array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(array, np.ndarray):
            check_characters(array)
    if not isinstance(array, np.ndarray):
        array.close()
        raise UnusableInput(where, "is a whole NPZ archive; call it .npz")
    if array.size and not array.dtype.itemsize:
        raise UnusableInput(where, f"claims {array.size:,} elements of no bytes; save it again")
    return array
