"""What every format of weight file offers the rest of loading: named arrays, sized before read."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from lstm_lrp_cli.errors import UnusableInput

# A file may unfold to this much and no more: weights are noise, which hardly compresses.
ALLOWED_BYTES = 64 * 2**20
ALLOWED_EXPANSION = 100


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


class WeightFile(Protocol):
    """An open weight file.

    `datasets` lists the arrays that it holds, and `documents` what it keeps beside them, such as a
    checkpoint's vocabulary: plain values by name. Reading a dataset raises UnusableInput where the
    data cannot be had, would take more memory than a file of that size honestly holds, or would
    execute code.
    """

    @property
    def path(self) -> Path: ...

    @property
    def format(self) -> str: ...

    @property
    def datasets(self) -> Mapping[str, Stored]: ...

    @property
    def documents(self) -> Mapping[str, Any]: ...

    def read(self, name: str) -> NDArray[Any]: ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...


def check_size(where: str, shape: tuple[int, ...], itemsize: int, file_bytes: int) -> None:
    """Refuse an array that unfolds to far more bytes than its file has."""
    # Elements of no bytes take memory all the same, once they are read.
    claimed = max(itemsize, 1) * math.prod(shape)
    if claimed > ALLOWED_BYTES + ALLOWED_EXPANSION * file_bytes:
        raise UnusableInput(
            where,
            f"claims {claimed:,} bytes in a file of {file_bytes:,}; no such file of weights is "
            "honest, so it is not read",
        )


def check_numeric(where: str, dtype: np.dtype[Any]) -> None:
    """Refuse what is neither a number nor text: such arrays are kept as pickles."""
    if dtype.kind not in "fiubSU":
        raise UnusableInput(
            where,
            f"holds {dtype} elements; expected numbers (pickled objects are never executed: "
            "save the array again as float32 or float64)",
        )


def bfloat16(bits: NDArray[Any]) -> NDArray[np.float32]:
    """The numbers that 16-bit words hold as bfloat16, the upper half of a float32."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def shape_text(shape: tuple[int, ...]) -> str:
    """A shape as (240, 60)."""
    return f"({', '.join(map(str, shape))})"
