"""What every file of arrays offers: arrays by name, which are sized before any is read."""

import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from lstm_lrp_cli.errors import UnusableInput

# A file may unfold to this much and no more: weights are noise, which hardly compresses.
ALLOWED_BYTES = 64 * 2**20
ALLOWED_EXPANSION = 100
# And so much where it is not compressed, and what it has is computed.
FOLDED_EXPANSION = 8
# As NumPy has it, from version 2 on.
MOST_AXES = 64
# What an array's bytes are counted in.
MOST_BYTES = 2**63 - 1


class Stored(Struct, frozen=True):
    """An array as a file describes it, before any of it is read.

    Parameters
    ----------
    shape : tuple of int
    dtype : str
        NumPy's name of the element type, or "text".
    """

    shape: tuple[int, ...]
    dtype: str

    def __str__(self) -> str:
        return f"{self.dtype} {shape_text(self.shape)}"


class _Handle(Protocol):
    def close(self) -> None: ...


class ArrayFile(ABC):
    """An open file of arrays, to be closed by who opened it.

    Attributes
    ----------
    format : str
        What its kind is called.
    path : Path
    size : int
        Of the whole file, in bytes.
    datasets : mapping of str to Stored
        The arrays that it holds.
    documents : mapping of str to any
        What it keeps beside them, such as a checkpoint's vocabulary: plain values by name.
    beside : tuple of Path
        Other files that say what it is.
    """

    format: str
    datasets: Mapping[str, Stored]
    documents: Mapping[str, Any]
    beside: tuple[Path, ...] = ()
    _handle: _Handle | None = None  # where the file stays open

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = path.stat().st_size
        self.documents = {}

    @abstractmethod
    def read(self, name: str) -> NDArray[Any]:
        """Read one of the datasets.

        Raises
        ------
        UnusableInput
            It cannot be had, would take more memory than a file of that size honestly holds, or
            would execute code.
        """

    def where(self, name: str) -> str:
        """What errors call a part of the file."""
        return f"{self.path}: {name}"

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that it is read from."""
        return (self.path, *self.beside)

    def close(self) -> None:
        if self._handle is not None:
            self._handle.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @contextmanager
    def _closed_if_refused(self) -> Iterator[None]:
        """Opens a file, of which nothing stays open if it turns out to be of no use."""
        try:
            yield
        except BaseException:
            self.close()
            raise


@contextmanager
def damaged(
    where: str, problem: Callable[[Exception], str], *errors: type[Exception]
) -> Iterator[None]:
    """Reads what may be damaged, and refuses it where that raises one of some errors.

    Parameters
    ----------
    where : str
        What is read.
    problem : callable
        What to say of it, made of the error.
    errors : type of Exception

    Raises
    ------
    UnusableInput
    """
    try:
        yield
    except errors as error:
        raise UnusableInput(where, problem(error)) from error


def shape_problem(shape: Any, itemsize: int = 1) -> str:
    """What is wrong with a shape that a file claims; "" where an array may have it.

    Every format asks here, before a number is read: NumPy refuses some in errors of its own kinds,
    and an axis that is too long even where another one has no elements.

    Parameters
    ----------
    shape : any
        Whatever the file says.
    itemsize : int
        How many bytes an element takes.
    """
    if not isinstance(shape, tuple) or not (
        set(map(type, shape)) <= {int} or all(map(_is_whole, shape))
    ):
        return "has a shape that is not made of whole numbers"
    if len(shape) > MOST_AXES:
        return f"has {len(shape)} axes; expected {MOST_AXES} at most, and no weights have as many"
    if min(shape, default=0) < 0:
        return f"has an axis of {min(shape)} elements"
    if claimed_bytes(shape, itemsize) > MOST_BYTES:
        return f"claims {_many(claimed_bytes(shape, itemsize))} bytes, more than any machine has"
    return ""


def claimed_bytes(shape: tuple[int, ...], itemsize: int) -> int:
    """How many bytes an array takes, where elements of none and axes of none count as one."""
    return max(itemsize, 1) * math.prod(max(int(size), 1) for size in shape)


def _many(count: int) -> str:
    """A number that may have any digits, in a message."""
    return f"{count:,}" if count < 10**24 else "10^24 or more"


def _is_whole(size: Any) -> bool:
    return isinstance(size, int | np.integer) and not isinstance(size, bool)


def check_shape(where: str, shape: tuple[int, ...], itemsize: int = 1) -> None:
    """Refuse a shape that no array has."""
    problem = shape_problem(shape, itemsize)
    if problem:
        raise UnusableInput(where, f"{problem}; copy or save the file again")


def check_folded(where: str, claimed: int, file_bytes: int) -> None:
    """Refuse arrays that a graph makes of its constants where they come to many times its file.

    They are all kept: weights once as they stand, and a few times in other types or orders.
    """
    if claimed > ALLOWED_BYTES // 2 + FOLDED_EXPANSION * file_bytes:
        raise UnusableInput(
            where,
            f"makes constants of {claimed:,} bytes in a file of {file_bytes:,}; no such file is "
            "honest, so it is not read",
        )


def check_unfolded(where: str, claimed: int, allowed: int, file_bytes: int) -> None:
    """Refuse what unfolds to more than so many bytes, and many times its file."""
    if claimed > allowed + ALLOWED_EXPANSION * file_bytes:
        raise UnusableInput(
            where,
            f"claims to unfold to {claimed:,} bytes or more, in a file of {file_bytes:,}; no such "
            "file is honest, so it is not read",
        )


def check_size(
    where: str,
    shape: tuple[int, ...],
    itemsize: int,
    file_bytes: int,
    with_what: str = "",
    widened: int = 1,
) -> None:
    """Refuse an array that unfolds to far more bytes than its file has, or is of no real shape.

    ``widened`` is how many times as wide as in the file its elements may be counted.
    """
    claimed = claimed_bytes(shape, itemsize)
    if (
        len(shape) <= MOST_AXES
        and claimed > ALLOWED_BYTES + widened * ALLOWED_EXPANSION * file_bytes
    ):
        raise UnusableInput(
            where,
            f"claims {_many(claimed)} bytes{with_what} in a file of {file_bytes:,}, and is "
            "not read; are they mostly zeros, save them uncompressed",
        )
    check_shape(where, shape, itemsize)


def check_numeric(where: str, dtype: np.dtype[Any]) -> None:
    """Refuse what is neither a number nor text: such arrays are kept as pickles."""
    if dtype.kind not in "fiubSU":
        raise UnusableInput(
            where,
            f"holds {dtype} elements; expected numbers (pickled objects are never executed: "
            "save the array again as float32 or float64)",
        )


def check_characters(array: NDArray[Any]) -> None:
    """Refuse texts with what is no character: Python would make texts of them that break it.

    Raises
    ------
    ValueError
    """
    if array.dtype.kind != "U" or not array.size or not array.dtype.itemsize:
        return
    codes = np.ascontiguousarray(array).reshape(-1).view(f"{array.dtype.str[0]}u4")
    if codes.max() > sys.maxunicode:
        raise ValueError(f"a text has U+{codes.max():X}, which is no character")


def bfloat16(bits: NDArray[Any]) -> NDArray[np.float32]:
    """The numbers that 16-bit words hold as bfloat16, the upper half of a float32."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def shape_text(shape: tuple[int, ...]) -> str:
    """A shape as (240, 60)."""
    return f"({', '.join(map(str, shape))})"
