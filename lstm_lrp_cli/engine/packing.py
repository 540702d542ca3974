"""Sequences of different lengths as one array, without padding.

The rows of a packed array are ordered by step, and within a step by sequence, the sequences from
longest to shortest. The sequences that still run at a step are then the first of the batch, and
their rows at that step are one contiguous slice.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_lrp_cli.model.arrays import Floats, Integers


@dataclass(frozen=True)
class Packing:
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
