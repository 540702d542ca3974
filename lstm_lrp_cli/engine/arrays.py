"""Arrays as the engine lays them: in aligned memory, sequences packed by length, and copies."""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from msgspec import Struct, field
from numpy.typing import NDArray

from lstm_lrp_cli.model import Floats, Integers

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


class Packing(Struct, frozen=True, dict=True):
    """Where the steps of each sequence stand in a packed array.

    Parameters
    ----------
    lengths : ndarray of int, shape (batch,)
        Steps of each sequence, none longer than the one before it. A length may be 0.
    """

    lengths: Integers

    def __post_init__(self) -> None:
        if np.any(np.diff(self.lengths) > 0):
            raise ValueError("sequences must be packed from the longest to the shortest")

    @classmethod
    def of_vectors(cls, batch: int) -> Packing:
        """One step of each sequence: rows are sequences."""
        return cls(np.ones(batch, dtype=np.intp))

    @property
    def batch(self) -> int:
        return len(self.lengths)

    @property
    def rows(self) -> int:
        return int(self.lengths.sum())

    @cached_property
    def active(self) -> Integers:
        """Sequences that still run at each step, shape (steps,)."""
        steps = int(self.lengths[0]) if self.batch else 0
        return np.searchsorted(-self.lengths, -np.arange(steps), side="left")

    @cached_property
    def offsets(self) -> Integers:
        """First row of each step, and the number of rows at the end, shape (steps + 1,)."""
        return np.concatenate([[0], np.cumsum(self.active)])

    @cached_property
    def sequence(self) -> Integers:
        """The sequence that each row belongs to, shape (rows,)."""
        return np.arange(self.rows) - np.repeat(self.offsets[:-1], self.active)

    @cached_property
    def step(self) -> Integers:
        """The step that each row is, shape (rows,)."""
        return np.repeat(np.arange(len(self.active)), self.active)

    @cached_property
    def reverse(self) -> Integers:
        """The row of the same sequence's mirrored step: indexing with it reverses sequences."""
        mirrored: Integers = self.offsets[self.lengths[self.sequence] - 1 - self.step]
        return mirrored + self.sequence

    @cached_property
    def previous(self) -> Integers:
        """The row of the step before, for each row that is not of the first step."""
        before: Integers = self.offsets[self.step[self.started :] - 1]
        return before + self.sequence[self.started :]

    @cached_property
    def started(self) -> int:
        """Sequences with at least one step; they come first in the batch."""
        return int(self.active[0]) if len(self.active) else 0

    @cached_property
    def last(self) -> Integers:
        """The row of the last step of each sequence that has one, shape (started,)."""
        ends: Integers = self.offsets[self.lengths[: self.started] - 1]
        return ends + np.arange(self.started)

    @cached_property
    def by_sequence(self) -> Integers:
        """The packed rows in the order of sequences, each from its first step to its last."""
        starts = np.cumsum(self.lengths) - self.lengths
        order = np.empty(self.rows, dtype=np.intp)
        order[starts[self.sequence] + self.step] = np.arange(self.rows)
        return order

    @cached_property
    def boundaries(self) -> Integers:
        """Where each started sequence begins in `by_sequence`, shape (started,)."""
        return (np.cumsum(self.lengths) - self.lengths)[: self.started]

    def slices(self) -> Iterator[slice]:
        """The slice of rows of each step, from the first."""
        for start, stop in zip(self.offsets[:-1].tolist(), self.offsets[1:].tolist(), strict=True):
            yield slice(start, stop)

    def pack(self, flat: NDArray[Any]) -> NDArray[Any]:
        """Pack rows that stand sequence after sequence, in the batch's order."""
        packed = np.empty_like(flat)
        packed[self.by_sequence] = flat
        return packed

    def total(self, values: Floats) -> Floats:
        """Sum a value of every row over each sequence, in float64, shape (batch,)."""
        return np.bincount(self.sequence, values, self.batch).astype(np.float64)

    def totals(self, values: Floats) -> Floats:
        """The same of several values of every row, shape (values, rows): (values, batch)."""
        return np.stack([self.total(each) for each in values])


class CopiedSteps(Struct, frozen=True, eq=False):
    """The steps of copies of sequences: a copy has all steps of its sequence.

    Parameters
    ----------
    originals : Packing
        What the copies are of.
    sequences : ndarray of int, shape (copies,)
        The sequence that each is a copy of.
    packing : Packing
        The copies' own.
    """

    originals: Packing
    sequences: Integers
    packing: Packing

    @property
    def rows(self) -> Integers:
        """The row that each row is a copy of, shape (rows,): to gather values with."""
        starts: Integers = self.originals.offsets[self.packing.step]
        return starts + self.sequences[self.packing.sequence]

    def places(self, rows: Integers) -> Integers:
        """Where a row of the original, one a copy, stands in the copy, shape (copies,).

        Parameters
        ----------
        rows : ndarray of int, shape (copies,)
            Each of the sequence that the copy is of; -1 for no row, which stays so.
        """
        there = rows >= 0
        places = np.full(len(rows), -1, dtype=np.intp)
        steps = self.originals.step[rows[there]]
        places[there] = self.packing.offsets[steps] + np.flatnonzero(there)
        return places


class Copies(Struct, frozen=True, eq=False):
    """Some copies of a batch's sequences.

    Parameters
    ----------
    numbers : ndarray of int, shape (copies,)
        Where each copy stands among all that were asked for.
    sequences : ndarray of int, shape (copies,)
        The sequence that each is a copy of, in the batch's order.
    """

    numbers: Integers
    sequences: Integers
    _of: dict[int, CopiedSteps] = field(default_factory=dict)

    def of(self, packing: Packing) -> CopiedSteps:
        """The copies' steps, of an input or of a value that the model makes of it."""
        key = id(packing)
        if key not in self._of:
            own = Packing(packing.lengths[self.sequences])
            self._of[key] = CopiedSteps(packing, self.sequences, own)
        return self._of[key]


def copies(packings: Sequence[Packing], sequences: Integers, most_rows: int) -> Iterator[Copies]:
    """Copy sequences of a batch, a bounded number of rows at a time.

    Parameters
    ----------
    packings : sequence of Packing
        Of the batch's inputs.
    sequences : ndarray of int, shape (copies,)
        The sequence that each is a copy of, in any order.
    most_rows : int
        How many rows are copied at a time; a single copy may have more.
    """
    order = np.argsort(sequences, kind="stable")  # from the longest to the shortest
    rows = np.sum([packing.lengths for packing in packings], axis=0)[sequences[order]]
    ends = np.cumsum(rows)
    start = 0
    while start < len(order):
        before = ends[start] - rows[start]
        stop = max(int(np.searchsorted(ends, before + most_rows, side="right")), start + 1)
        numbers = order[start:stop]
        yield Copies(numbers, sequences[numbers])
        start = stop
