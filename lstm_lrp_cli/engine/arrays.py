"""Arrays that elementwise operations run through fast."""

import math
import sys
import threading
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_lrp_cli.model.arrays import Floats

# A vector register's width. Storing across its borders takes up to twice the time
# (docs/benchmarks.md).
ALIGNMENT = 64
# Blocks of memory from this size on are used again.
KEPT_FROM = 2**20


class _Memory:
    """Blocks of memory that are used again once nothing refers to them any more.

    The system gives large blocks page by page as they are first touched, all zeros, and takes them
    back when they are freed. In large models that costs a good part of the engine's time.
    """

    def __init__(self) -> None:
        self._blocks: list[NDArray[np.uint8]] = []
        self._choosing = threading.Lock()

    def take(self, size: int) -> NDArray[np.uint8]:
        """A block of at least so many bytes."""
        if size < KEPT_FROM:
            return np.empty(size, dtype=np.uint8)
        with self._choosing:
            return self._chosen(size)

    def _chosen(self, size: int) -> NDArray[np.uint8]:
        idle = [
            block
            for block, references in zip(self._blocks, _references(self._blocks), strict=True)
            if references <= REFERENCES_OF_IDLE
        ]
        fitting = [block for block in idle if len(block) >= size]
        if fitting:
            return min(fitting, key=len)
        if idle:  # so that there are never more blocks than arrays at one time
            largest = max(idle, key=len)
            self._blocks = [block for block in self._blocks if block is not largest]
            del idle[:], largest
        block = np.empty(size, dtype=np.uint8)
        self._blocks.append(block)
        return block


def _references(blocks: list[NDArray[np.uint8]]) -> list[int]:
    """How many references there are to each block; every array that lies in it is one."""
    return [sys.getrefcount(block) for block in blocks]


# To a block that only a list knows of, which depends on the version of Python.
[REFERENCES_OF_IDLE] = _references([np.empty(0, dtype=np.uint8)])

_memory = _Memory()


def aligned_empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Floats:
    """`np.empty` whose first value stands at a multiple of 64 bytes."""
    size = math.prod(shape) * dtype.itemsize
    memory = _memory.take(size + ALIGNMENT)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size].view(dtype).reshape(shape)


def row_dots(a: Floats, b: Floats, out: Floats) -> None:
    """Write the dot product of each row of two arrays, shape (.., n, units), to (.., n).

    `a` is lost. A product with ones sums short rows in less time than `einsum` takes to be called.
    """
    np.multiply(a, b, out=a)
    ones = filled(a.shape[-1], a.dtype, 1.0)
    # `np.dot` takes less time to be called, and cannot write as freely.
    if a.ndim == 2 and out.flags.c_contiguous:
        np.dot(a, ones, out=out)
    else:
        np.matmul(a, ones, out=out)


@lru_cache(maxsize=64)
def filled(units: int, dtype: np.dtype[np.floating], value: float) -> Floats:
    """A vector of one value, which is not to be written to."""
    vector = np.full(units, value, dtype=dtype)
    vector.flags.writeable = False
    return vector
