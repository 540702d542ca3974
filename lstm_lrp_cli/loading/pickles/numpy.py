"""NumPy's arrays, scalars and element types in pickles of every protocol and of NumPy 1 and 2.

An array is noted as a pickle has it, and made where it is used. One of objects is a list of what
else the pickle holds.
"""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_lrp_cli.loading.files import check_characters, damaged, shape_problem
from lstm_lrp_cli.loading.files.numpy import DAMAGED, npy_header
from .reader import PickleReader
from .values import PLAIN, Filled, Foreign, Functions, Made

# The types whose elements take as many bytes as their name says, or four times those.
_TYPE = re.compile(r"[biufcmMSUV][0-9]{1,9}")
# Numbers, truth values and texts; those of more bytes are of one machine alone.
_READ = frozenset(("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"))
_ARRAYS = frozenset(
    ("numpy.ndarray", "numpy.memmap", "numpy.core.memmap.memmap", "numpy._core.memmap.memmap")
)


class PickledType(Filled):
    """The type of an array's elements.

    Attributes
    ----------
    name : str
        As NumPy spells it, without the order of bytes: `f8`, `U12`, `O8`.
    order : str
        "<", ">" or "|", of the bytes.
    """

    def __init__(self, name: Any, *_: Any) -> None:
        if not isinstance(name, str) or not (_TYPE.fullmatch(name) or name[:1] == "O"):
            raise ValueError("an array's element type is none of NumPy's")
        self.name, self.order = name, "|"

    def fill(self, state: Any) -> None:
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else None
        if order not in ("<", ">", "|", "="):
            raise ValueError("an array's element type has no order of bytes")
        self.order = order

    @property
    def is_object(self) -> bool:
        return self.name[:1] == "O"

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(self.order + self.name)

    def check(self) -> None:
        """Refuse types whose elements are no numbers or texts.

        Raises
        ------
        ValueError
        """
        if self.name not in _READ and self.name[:1] not in "SU":
            raise ValueError(f"elements of NumPy's type {self.name}; expected numbers or texts")


class PickledArray(Filled):
    """An array as a pickle has it.

    Attributes
    ----------
    shape : tuple of int
    type : PickledType
    data : bytes, str or list
        What is in it: bytes, which Python 2 has as text, or objects one by one.
    is_fortran : bool
        Whether its first axis is the one whose neighbours are together.
    """

    def __init__(self) -> None:
        self.shape: tuple[int, ...] = (0,)
        self.type: PickledType | None = None
        self.data: Any = b""
        self.is_fortran = False

    def fill(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) < 4:
            raise ValueError("an array is not made of its shape, type and data")
        shape, kind, is_fortran, data = state[-4:]
        self.set(shape, kind, bool(is_fortran), data)

    def set(self, shape: Any, kind: Any, is_fortran: bool, data: Any) -> None:
        """Take what it is made of.

        Raises
        ------
        ValueError
            Its bytes are not as many as its shape says.
        """
        if not isinstance(kind, PickledType):
            raise ValueError("an array has no element type")
        problem = shape_problem(shape, 1 if kind.is_object else kind.dtype.itemsize)
        if problem:
            raise ValueError(f"an array {problem}")
        claimed = math.prod(shape)
        if kind.is_object:
            if not isinstance(data, list) or len(data) != claimed:
                raise ValueError(f"an array of {claimed} objects does not have as many")
        else:
            size = kind.dtype.itemsize
            if claimed and not size:  # they would take memory as soon as they are read
                raise ValueError(f"an array claims {claimed} elements of no bytes")
            data = _as_bytes(data, claimed * size)
        self.shape, self.type, self.data, self.is_fortran = shape, kind, data, is_fortran

    def array(self) -> NDArray[Any]:
        """The numbers or texts.

        Raises
        ------
        ValueError
            It holds objects, or what NumPy alone knows.
        """
        if self.type is None:
            raise ValueError("an array that was never filled")
        if self.type.is_object:
            raise ValueError("objects; expected numbers")
        self.type.check()
        made: NDArray[Any] = np.ndarray(
            self.shape, self.type.dtype, self.data, order="F" if self.is_fortran else "C"
        )
        check_characters(made)
        return made.astype(made.dtype.newbyteorder("="))

    def values(self) -> list[Any]:
        """All elements one by one, as Python has them, or as the pickle has its objects."""
        if self.type is not None and self.type.is_object:
            found: list[Any] = self.data
            return found
        return self.array().ravel().tolist()


def _as_bytes(data: Any, count: int) -> bytes:
    """So many bytes; those that Python 2 has as a text are spelled in one of two ways."""
    ways = [data] if isinstance(data, bytes) else []
    if isinstance(data, str):
        ways = [data.encode(encoding, "ignore") for encoding in ("utf-8", "latin-1")]
    found = next((way for way in ways if len(way) == count), None)
    if found is None:
        raise ValueError(f"an array claims {count} bytes, and does not have as many")
    return found


def _encoded(text: Any = "", encoding: Any = "latin-1") -> bytes:
    """Bytes as the protocols before 3 have them."""
    if isinstance(text, bytes):
        return text
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1", "utf-8"):
        raise ValueError("bytes are not made of a text")
    return text.encode(encoding)


def _begun(kind: Any, *_: Any) -> Any:
    """An array that is filled later."""
    if not isinstance(kind, Foreign) or str(kind) not in _ARRAYS:
        return Made(kind if isinstance(kind, Foreign) else Foreign("numpy", "a subclass"))
    return PickledArray()


def _from_buffer(data: Any, kind: Any, shape: Any, order: Any, axes: Any = None) -> PickledArray:
    """An array as protocol 5 has it."""
    if order not in ("C", "F") or axes is not None:
        raise ValueError("an array's axes are in an order of their own")
    made = PickledArray()
    made.set(shape, kind, order == "F", data)
    return made


def _scalar(kind: Any, data: Any = None) -> Any:
    """One number or text, as Python has it."""
    if not isinstance(kind, PickledType):
        raise ValueError("a number has no type")
    if kind.is_object:
        return data
    kind.check()
    found = np.frombuffer(_as_bytes(data, kind.dtype.itemsize), kind.dtype)
    check_characters(found)
    return found[0].item()


# No list of labels or words is larger.
ALLOWED_BYTES = 2**28

_CORES = ("numpy.core", "numpy._core")
# Beside Python's plain values, what NumPy's are made by.
NUMPY: Functions = {
    **PLAIN,
    ("numpy", "dtype"): PickledType,
    **{(f"{core}.multiarray", "_reconstruct"): _begun for core in _CORES},
    **{(f"{core}.multiarray", "scalar"): _scalar for core in _CORES},
    **{(f"{core}.numeric", "_frombuffer"): _from_buffer for core in _CORES},
    ("_codecs", "encode"): _encoded,
    **{(module, "bytes"): _encoded for module in ("builtins", "__builtin__")},
    **{(module, "bytearray"): _encoded for module in ("builtins", "__builtin__")},
}


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def read_npy(path: Path, where: str) -> PickledArray:
    """Read an array that numpy.save wrote, and of objects its pickle; nothing of it is run.

    Raises
    ------
    UnusableInput
        It is damaged, or of elements that are no numbers, texts or objects.
    """
    with (
        damaged(
            where,
            lambda error: f"is not a whole .npy file ({_first_line(error)}); save it again",
            *DAMAGED,
        ),
        path.open("rb") as file,
    ):
        if path.stat().st_size > ALLOWED_BYTES:
            raise ValueError(f"more than {ALLOWED_BYTES:,} bytes")
        shape, is_fortran, dtype = npy_header(file)
        data = file.read()
        if dtype.hasobject:
            found = PickleReader(data, where, NUMPY).read()
            if not isinstance(found, PickledArray):
                raise ValueError("its objects are those of no array")
            return found
        kind = PickledType(dtype.str[1:])
        kind.fill((3, dtype.str[0]))
        made = PickledArray()
        made.set(shape, kind, is_fortran, data)
        return made
