"""Files of pickles: Python's own and joblib's, plain or compressed.

joblib writes a pickle in which each array's numbers stand behind the wrapper that says its shape.
"""

import mmap
import os
from pathlib import Path
from typing import Any

from msgspec import Struct

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.files import ALLOWED_BYTES, ALLOWED_EXPANSION, damaged, shape_problem
from lstm_lrp_cli.loading.files.formats import what_it_is
from lstm_lrp_cli.loading.files.seen import Seen, is_lone_pickle, is_old_torch, look
from .numpy import NUMPY, PickledArray, PickledType
from .reader import PickleReader
from .values import Foreign, Functions

# What LZMA may take to unpack, which its file asks for.
_LZMA_MEMORY = 256 * 2**20
# How files begin that joblib compresses, by what unpacks them.
_PACKED = {
    b"\x78": "zlib",
    b"\x1f\x8b": "zlib",
    b"BZh": "bz2",
    b"\xfd7zXZ\0": "lzma",
    b"\x5d\x00": "lzma",
}
_WRAPPERS = ("joblib.numpy_pickle", "sklearn.externals.joblib.numpy_pickle")


class Pickled(Struct, frozen=True):
    """What a file of a pickle holds.

    Parameters
    ----------
    value : any
    asked : tuple of Foreign
        The functions and classes that it asks for and that are not known, in their order.
    """

    value: Any
    asked: tuple[Foreign, ...]


class _Wrapped(PickledArray):
    """An array whose numbers stand in joblib's file behind what says its shape."""

    def __init__(self, reader: PickleReader) -> None:
        super().__init__()
        self._reader = reader

    def fill(self, state: Any) -> None:
        kind = state["dtype"]
        if not isinstance(kind, PickledType):
            raise ValueError("an array has no element type")
        if kind.is_object:
            inner = self._reader.read_inside()
            if not isinstance(inner, PickledArray):
                raise ValueError("an array of objects is none")
            self.set(inner.shape, inner.type, inner.is_fortran, inner.data)
            return
        shape, size = state["shape"], kind.dtype.itemsize
        problem = shape_problem(shape, size)
        if problem:
            raise ValueError(f"an array {problem}")
        if state.get("numpy_array_alignment_bytes") is not None:
            self._reader.take_bytes(self._reader.take_bytes(1)[0])
        for length in shape:
            size *= length
        self.set(shape, kind, state["order"] == "F", self._reader.take_bytes(size))


def read_pickle_file(path: Path, what: str, functions: Functions = NUMPY) -> Pickled:
    """Read what pickle.dump or joblib.dump wrote; nothing of it is run.

    Parameters
    ----------
    what : str
        What the file should be, for error messages, such as "a pickled LabelEncoder".
    functions : dict of (str, str) to callable
        What is known beside joblib's own, as `read_pickle` takes them.

    Raises
    ------
    UnusableInput
        There is no such file, it is something else or damaged, or unpacks to more than it honestly
        holds.
    """
    where = str(path)
    if not os.path.isfile(where):
        found = "is no file" if os.path.exists(where) else "there is no such file"
        raise UnusableInput(where, f"{found}; expected {what}")
    seen = look(path)
    if not seen.beginning:
        raise UnusableInput(where, f"is empty; expected {what}")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        way = next((way for begins, way in _PACKED.items() if seen.starts(begins)), None)
        if way is None:
            _check_begins(seen, what)
            return _read(data, where, functions, len(data))
        return _read(_unpacked(data, way, where), where, functions, len(data))


def _read(data: Any, where: str, functions: Functions, size: int) -> Pickled:
    reader = PickleReader(data, where, size=size)
    wrappers = {(each, "NumpyArrayWrapper"): lambda: _Wrapped(reader) for each in _WRAPPERS}
    reader.functions = {**functions, **wrappers}
    return Pickled(reader.read(), tuple(reader.asked))


def _check_begins(seen: Seen, what: str) -> None:
    """Refuse what is no pickle, by what it is."""
    where = str(seen.path)
    if seen.starts(b"\x04\x22\x4d\x18", b"ZF"):
        by = "LZ4, which Python does not have" if seen.starts(b"\x04") else "joblib before 0.9.3"
        raise UnusableInput(
            where,
            f"is compressed by {by}; save it again with joblib.dump(..., compress=3), which takes "
            "zlib, or without",
        )
    found = "" if is_lone_pickle(seen) and not is_old_torch(seen) else what_it_is(seen)
    if not found and seen.text and not seen.ending.endswith(b"."):
        first = seen.text.strip().split("\n", 1)[0]
        found = f"is text that begins with `{first[:40]}`"
    if found:
        raise UnusableInput(where, f"{found}; expected {what}")


def _unpacked(data: Any, way: str, where: str) -> bytes:
    """What is compressed, up to what an honest file of its size holds."""
    import bz2  # here, for few files are compressed
    import lzma
    import zlib

    most = ALLOWED_BYTES + ALLOWED_EXPANSION * len(data)
    unpacker: Any = zlib.decompressobj(zlib.MAX_WBITS | 32)  # zlib's and gzip's
    if way == "bz2":
        unpacker = bz2.BZ2Decompressor()
    elif way == "lzma":
        unpacker = lzma.LZMADecompressor(memlimit=_LZMA_MEMORY)
    with damaged(
        where,
        lambda error: f"is compressed, and cannot be unpacked ({error}); save the file again",
        *(zlib.error, lzma.LZMAError, OSError, EOFError, ValueError),
    ):
        found: bytes = unpacker.decompress(data, most)
    if not unpacker.eof:
        problem = "is cut short; copy or save it again"
        if len(found) >= most:
            problem = f"unpacks to more than {most:,} bytes, which no such file honestly does"
        raise UnusableInput(where, problem)
    return found
