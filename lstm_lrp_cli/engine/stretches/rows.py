"""The stretches of a long sequence: values made as they are asked for, and amounts passed down."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from lstm_lrp_cli.engine.arrays import Packing
from lstm_lrp_cli.model import Floats, Integers
from .held import held

# A stretch has so many steps: what a layer records of it stays in the processor's cache, and the
# states with which stretches begin are few.
STEPS = 1024


class Grid(Struct, frozen=True, eq=False, dict=True):
    """The stretches of one sequence, in its order; all have as many steps, but the last.

    Parameters
    ----------
    packing : Packing
        Of the sequence, which is alone in its batch.
    """

    packing: Packing
    steps: int

    @classmethod
    def of(cls, packing: Packing) -> Grid:
        return cls(packing, STEPS)

    @property
    def rows(self) -> int:
        return self.packing.rows

    @cached_property
    def count(self) -> int:
        return -(-self.rows // self.steps)

    def at(self, number: int) -> slice:
        """The rows of a stretch."""
        start = number * self.steps
        return slice(start, min(start + self.steps, self.rows))

    def packing_of(self, number: int) -> Packing:
        """Of a stretch by itself; those of as many steps have the same."""
        return self._last if number == self.count - 1 else self._each

    @cached_property
    def _each(self) -> Packing:
        return Packing(np.array([self.steps], dtype=np.intp))

    @cached_property
    def _last(self) -> Packing:
        last = self.at(self.count - 1)
        return Packing(np.array([last.stop - last.start], dtype=np.intp))


class Rows:
    """A value of a long sequence, of which each stretch is made when it is asked for.

    Parameters
    ----------
    make : callable
        Makes a stretch, by its number: shape (steps, units).
    """

    def __init__(
        self, grid: Grid, units: int, dtype: np.dtype[Any], make: Callable[[int], Floats]
    ) -> None:
        self.grid, self.shape, self.dtype = grid, (grid.rows, units), dtype
        self._make = make

    def of(self, number: int) -> Floats:
        """The rows of a stretch."""
        return self._make(number)

    def whole(self) -> Floats:
        """All rows, in an array."""
        array = np.empty(self.shape, self.dtype)
        for number in range(self.grid.count):
            array[self.grid.at(number)] = self.of(number)
        return array

    def __getitem__(self, rows: Integers) -> Floats:
        found: Floats = self.whole()[rows]
        return found


def stretch_of(array: NDArray[Any] | Rows, grid: Grid, number: int) -> NDArray[Any]:
    """The rows of a stretch of a value."""
    return array.of(number) if isinstance(array, Rows) else array[grid.at(number)]


def whole_array(array: NDArray[Any] | Rows) -> NDArray[Any]:
    """All rows of a value at once."""
    return array.whole() if isinstance(array, Rows) else array


class Amounts:
    """What the steps of a value have of a score, or its gradient, stretch by stretch.

    Parameters
    ----------
    of : callable
        Gives those of a stretch by its number; None where all are zero.
    whole : callable
        Gives all, in an array.
    """

    __array_ufunc__ = None  # an array and amounts are added here

    def __init__(
        self, grid: Grid, of: Callable[[int], Floats | None], whole: Callable[[], Floats]
    ) -> None:
        self.grid, self.of, self.whole = grid, of, whole

    @classmethod
    def over(cls, amounts: Floats | Amounts, grid: Grid) -> Amounts:
        """Those of an array, as amounts."""
        if isinstance(amounts, Amounts):
            return amounts

        def of(number: int) -> Floats | None:
            own = amounts[grid.at(number)]
            return own if own.any() else None

        return cls(grid, of, lambda: amounts)

    def __add__(self, other: Floats | Amounts) -> Amounts:
        more = Amounts.over(other, self.grid)

        def of(number: int) -> Floats | None:
            one, another = self.of(number), more.of(number)
            if one is None or another is None:
                return another if one is None else one
            return one + another

        return Amounts(self.grid, of, lambda: self.whole() + more.whole())

    __radd__ = __add__


class Collected:
    """Takes amounts stretch by stretch, in any order; those of one stretch add up.

    Parameters
    ----------
    shape : tuple of int
        Of what there is of each row.
    """

    def __init__(self, grid: Grid, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._grid = grid
        self._held = held((grid.rows, *shape), dtype)
        self._taken: set[int] = set()

    def take(self, number: int, amounts: Floats) -> None:
        if number in self._taken:
            amounts = self._held.read(self._grid.at(number)) + amounts
        self._held.write(self._grid.at(number), amounts)
        self._taken.add(number)

    @property
    def amounts(self) -> Amounts:
        def of(number: int) -> Floats | None:
            return self._held.read(self._grid.at(number)) if number in self._taken else None

        return Amounts(self._grid, of, self._held.whole)
