"""Arrays that elementwise operations run through fast."""

import math

import numpy as np

from lstm_lrp_cli.model.arrays import Floats

# A vector register's width. Storing across its borders takes twice the time (docs/benchmarks.md).
ALIGNMENT = 64


def aligned_empty(shape: tuple[int, ...], dtype: np.dtype[np.floating]) -> Floats:
    """`np.empty` whose first value stands at a multiple of 64 bytes."""
    size = math.prod(shape) * dtype.itemsize
    memory = np.empty(size + ALIGNMENT, dtype=np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size].view(dtype).reshape(shape)


def row_sums(values: Floats) -> Floats:
    """Sum over the units of each row: of (n, units) to (n,).

    A product with ones takes a third of the time of `sum(axis=1)`.
    """
    ones = np.ones(values.shape[1], dtype=values.dtype)
    total: Floats = values @ ones
    return total
