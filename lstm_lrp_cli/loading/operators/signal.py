"""What a tensor of a graph means: which of its axes are sequences, steps and units of which layers.

So a Transpose, a Squeeze or a Reshape is understood for what it does, whoever wrote it and however.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from lstm_lrp_cli.model.layers import PoolName
from .arrays import Dim, Size, axis_of, quotient
from .parts import MOST_PARTS, SignalPart, are_alike, bounded, cut_units, stacked, total

# The meanings of an axis. A stack has one entry for each of several values of like shape, as an
# LSTM's two directions; axes of one entry are stacks too. Rows are all steps of all sequences.
BATCH, TIME, FEATURE, STACK = "batch", "time", "feature", "stack"
# Several axes in one: rows, or the heads of attention of all sequences.
JOINED = {(BATCH, TIME), (TIME, BATCH), (BATCH, STACK), (STACK, BATCH)}
# The steps of the two sequences of which products were made, each step's with each step's.
LEFT, RIGHT = "time of the left", "time of the right"

# Exporters write the largest number of 32 or 64 bits for the end of an axis.
ENDLESS = 2**31 - 1


class OtherSize(Exception):
    """A number of steps that the graph says and an input does not: its name, and the number.

    Where the name is that of an input of lengths, the steps of those sequences are no fixed number.
    """

    def __init__(self, steps: str, size: int | str) -> None:
        super().__init__(f"{steps} of {size}")
        self.steps, self.size = steps, size


class Flattener(Protocol):
    """Makes one vector of all steps of a signal."""

    def __call__(self, signal: Signal, *, is_by_unit: bool) -> SignalPart: ...


class Signal(Struct, frozen=True, eq=False):
    """A tensor that depends on the input.

    Parameters
    ----------
    axes : tuple of str
        What each axis means. Where none is FEATURE, there is one unit.
    parts : ndarray of Part
        One axis for each STACK, in their order, then one for the parts that stand side by side
        along FEATURE.
    sizes : dict
        How many sequences and steps there are.
    """

    axes: tuple[str, ...]
    parts: NDArray[Any]
    sizes: dict[str, Size]

    @classmethod
    def of(cls, part: SignalPart, axes: tuple[str, ...], sizes: dict[str, Size]) -> Signal:
        """All units of a part, and stacks of one entry."""
        stacks = sum(label == STACK for axis in axes for label in axis.split("+"))
        parts = np.array([part], dtype=object).reshape((1,) * (stacks + 1))
        return cls(axes, parts, sizes)

    @property
    def size(self) -> int | None:
        """How many units there are along FEATURE."""
        return total(self.parts.reshape(-1, self.parts.shape[-1])[0])

    @property
    def shape(self) -> list[Size]:
        return [self._size(axis) for axis in range(len(self.axes))]

    @property
    def meaning(self) -> tuple[str, ...]:
        """The axes without those of one entry."""
        return tuple(label for axis, label in enumerate(self.axes) if not self.is_unit(axis))

    def is_unit(self, axis: int) -> bool:
        """Whether an axis has one entry, whatever the input."""
        return self.axes[axis] in (STACK, FEATURE) and self.shape[axis] == 1

    def transposed(self, order: Sequence[int]) -> Signal:
        axes = tuple(self.axes[axis] for axis in order)
        stacks = [
            self._stack_at(axis)
            for axis in order
            for label in self.axes[axis].split("+")
            if label == STACK
        ]
        return replace(self, axes=axes, parts=self.parts.transpose([*stacks, len(stacks)]))

    def unsqueezed(self, places: Sequence[int]) -> Signal:
        """With new axes of one entry, the first of them FEATURE where there is none yet."""
        signal = self
        rank = len(self.axes) + len(places)
        for place in sorted(axis_of(place, rank) for place in places):
            if FEATURE in signal.axes:
                signal = signal.with_unit(place)
            else:
                axes = (*signal.axes[:place], FEATURE, *signal.axes[place:])
                signal = replace(signal, axes=axes)
        return signal

    def with_unit(self, place: int) -> Signal:
        """With a new stack of one entry."""
        parts = np.expand_dims(self.parts, self._stack_at(place))
        return replace(self, axes=(*self.axes[:place], STACK, *self.axes[place:]), parts=parts)

    def squeezed(self, places: Sequence[int] | None) -> Signal | None:
        """Without those axes, which must have one entry; None is all such stacks."""
        rank = len(self.axes)
        if places is None:
            places = [k for k in range(rank) if self.axes[k] == STACK and self.is_unit(k)]
        gone = {axis_of(place, rank) for place in places}
        if any(self.shape[axis] != 1 for axis in gone):
            return None
        for axis in gone:
            if self.axes[axis] == TIME:  # the one step that there is
                return self.pooled(axis, "last", keep=True).squeezed(sorted(gone))
        axes = tuple(label for axis, label in enumerate(self.axes) if axis not in gone)
        stacks = tuple(self._stack_at(axis) for axis in gone if self.axes[axis] == STACK)
        return replace(self, axes=axes, parts=self.parts.squeeze(stacks))

    def pooled(self, axis: int, kind: PoolName, *, keep: bool) -> Signal:
        """One value made of those of all steps; their axis goes, or stays with one entry."""
        pool = np.frompyfunc(lambda part: replace(part, pooled=kind), 1, 1)
        axes = self.axes[:axis] + self.axes[axis + 1 :]
        signal = replace(self, axes=axes, parts=pool(self.parts))
        return signal.with_unit(axis) if keep else signal

    def taken(self, axis: int, indices: NDArray[Any]) -> Signal | None:
        """Entries of a stack, one unit, or the first or last step; an index drops the axis."""
        if indices.ndim > 1:
            return None
        if self.axes[axis] == STACK:
            parts = self.parts.take(indices, axis=self._stack_at(axis))
            axes = self.axes if indices.ndim else self.axes[:axis] + self.axes[axis + 1 :]
            return replace(self, axes=axes, parts=bounded(parts))
        if self.axes[axis] not in (TIME, FEATURE) or indices.size != 1:
            return None
        if self.axes[axis] == FEATURE:
            return self._unit(axis, int(indices.reshape(-1)[0]), keep=bool(indices.ndim))
        step = int(indices.reshape(-1)[0])
        end = end_of_steps(slice(step, step + 1 or None, 1), self.sizes[TIME])
        return None if end is None else self.pooled(axis, end, keep=bool(indices.ndim))

    def _unit(self, axis: int, place: int, *, keep: bool) -> Signal | None:
        """One of the units; their axis goes, or stays with one entry."""
        size = self.size
        if size is None or not -size <= place < size:
            return None
        one = self._units(place % size, place % size + 1)
        if one is None or keep:
            return one
        return replace(one, axes=self.axes[:axis] + self.axes[axis + 1 :])

    def cut(self, axis: int, cut: slice) -> Signal | None:
        """A slice of a stack, the units of some of the parts, or the first or last step."""
        size, label = self.shape[axis], self.axes[axis]
        if label == STACK:
            index = (slice(None),) * self._stack_at(axis)
            return replace(self, parts=self.parts[(*index, cut)])
        if is_whole(cut, size):
            return self
        if label == FEATURE and isinstance(size, int) and cut.step == 1:
            return self._units(*cut.indices(size)[:2])
        if label == TIME:
            end = end_of_steps(cut, size)
            return None if end is None else self.pooled(axis, end, keep=True)
        return None

    def joined(self, others: Sequence[Signal], axis: int) -> Signal | None:
        """Several signals of like axes in one, one after another along a stack or FEATURE."""
        if any(other.axes != self.axes for other in others):
            return None
        if self.axes[axis] not in (STACK, FEATURE):
            return None
        along = self._stack_at(axis) if self.axes[axis] == STACK else -1
        parts = np.concatenate([self.parts, *(other.parts for other in others)], axis=along)
        return replace(self, parts=bounded(parts))

    def reshaped(self, target: Sequence[Size], flatten: Flattener) -> Signal | None:
        """The same values in another shape; None where that joins what has no meaning together.

        Parameters
        ----------
        target : sequence of int or Dim
        flatten : callable
            Makes one vector of all steps, where a shape asks for that: step by step, or all steps
            of one unit after those of another.
        """
        made = self._laid_out(target, flatten, is_alone=False)
        return made or self._laid_out(target, flatten, is_alone=True)

    def _laid_out(
        self, target: Sequence[Size], flatten: Flattener, *, is_alone: bool
    ) -> Signal | None:
        """The same; `is_alone` is whether an axis of one sequence goes with that before it."""
        axes = tuple(label for axes in self.axes for label in axes.split("+"))
        signal: Signal | None = replace(self, axes=axes)
        for place, size in enumerate(target):
            count, left = 0, size
            while signal is not None and place + count < len(signal.axes):
                own = signal.shape[place + count]
                is_along = is_alone and signal.axes[place + count] == BATCH and own == 1
                if left == 1 and (count or own != 1) and not (count and is_along):
                    break
                rest = quotient(left, own)
                if rest is None:
                    if signal.axes[place + count] == TIME and isinstance(left, int):
                        tell(own, left)
                    signal, rest = signal._divided(place + count, left), 1
                count, left = count + 1, rest
            if signal is None or left != 1:
                return None
            signal = signal._merged(place, count, flatten)
        return None if signal is None else signal.squeezed(range(len(target), len(signal.axes)))

    def _divided(self, axis: int, outer: Size) -> Signal | None:
        """With a stack of so many entries before an axis, which has as many fewer."""
        if not isinstance(outer, int) or self.axes[axis] not in (STACK, FEATURE):
            return None
        at, parts = self._stack_at(axis), self.parts
        along = at if self.axes[axis] == STACK else parts.ndim - 1
        if outer < 1:
            return None
        if self.axes[axis] == FEATURE:
            return self._units_apart(axis, outer)
        if parts.shape[along] % outer:
            return None
        shape = (*parts.shape[:along], outer, -1, *parts.shape[along + 1 :])
        parts = np.moveaxis(parts.reshape(shape), along, at)
        axes = (*self.axes[:axis], STACK, *self.axes[axis:])
        return replace(self, axes=axes, parts=parts)

    def _units_apart(self, axis: int, outer: int) -> Signal | None:
        """With the units in a stack of so many entries, in their order."""
        size, at = self.size, self._stack_at(axis)
        if size is None or size % outer or not are_alike(self.parts):
            return None
        if self.parts.size * outer > MOST_PARTS:
            raise ValueError(f"a tensor of {self.parts.size * outer:,} values")
        each = size // outer
        rows = [
            cut_units(row, k * each, (k + 1) * each)
            for row in self.parts.reshape(-1, self.parts.shape[-1])
            for k in range(outer)
        ]
        if len({len(row) for row in rows}) > 1:
            return None
        parts = stacked(rows, (*self.parts.shape[:-1], outer))
        axes = (*self.axes[:axis], STACK, *self.axes[axis:])
        return replace(self, axes=axes, parts=np.moveaxis(parts, -2, at))

    def _merged(self, place: int, count: int, flatten: Flattener) -> Signal | None:
        """With one axis for some that follow one another."""
        if count == 0:
            return self.with_unit(place)
        units = [axis for axis in range(place, place + count) if self.is_unit(axis)]
        if len(units) == count:
            units.remove(next((k for k in units if self.axes[k] == FEATURE), units[0]))
        signal = self.squeezed(units)
        if signal is None or len(units) == count - 1:
            return signal
        *stacks, last = labels = signal.axes[place : place + count - len(units)]
        before, behind = signal.axes[:place], signal.axes[place + len(labels) :]
        if tuple(labels) in JOINED:
            return replace(signal, axes=(*before, "+".join(labels), *behind))
        if set(labels) == {TIME, FEATURE} and len(labels) == 2 and signal.parts.ndim == 1:
            part = flatten(signal, is_by_unit=last == TIME)
            axes = (*before, FEATURE, *behind)
            return replace(signal, axes=axes, parts=np.array([part], dtype=object))
        if set(stacks) != {STACK} or last not in (STACK, FEATURE):
            return None
        parts, at = signal.parts, signal._stack_at(place)
        if last == FEATURE:
            parts = np.moveaxis(parts, range(at, at + len(stacks)), range(-len(stacks) - 1, -1))
            at = parts.ndim - 1 - len(stacks)
        shape = (*parts.shape[:at], -1, *parts.shape[at + len(labels) :])
        return replace(signal, axes=(*before, last, *behind), parts=parts.reshape(shape))

    def _units(self, start: int, stop: int) -> Signal | None:
        """Just those units of the parts."""
        if not are_alike(self.parts) or start >= stop:
            return None
        rows = [cut_units(row, start, stop) for row in self.parts.reshape(-1, self.parts.shape[-1])]
        return replace(self, parts=stacked(rows, self.parts.shape[:-1]))

    def _stack_at(self, axis: int) -> int:
        """Which axis of `parts` belongs to a stack there."""
        labels = [label for each in self.axes[:axis] for label in each.split("+")]
        return labels.count(STACK)

    def _size(self, axis: int) -> Size:
        match self.axes[axis]:
            case "stack":
                return int(self.parts.shape[self._stack_at(axis)])
            case "feature":
                return Dim((FEATURE,)) if self.size is None else self.size
            case label:
                at = self._stack_at(axis)
                sizes = self.sizes | {STACK: self.parts.shape[at] if STACK in label else 1}
                return math.prod(sizes[name] for name in label.split("+"))


def tell(steps: Size, size: int) -> None:
    """Say that steps whose number an input leaves open are so many."""
    if isinstance(steps, Dim) and steps.factor == 1 and len(steps.axes) == 1:
        raise OtherSize(steps.axes[0], size)


def is_whole(cut: slice, size: Size) -> bool:
    """Whether a slice is all of an axis."""
    return bool(cut.step == 1 and cut.start == 0 and _endless(cut.stop, size))


def is_reversal(cut: slice, size: Size) -> bool:
    """Whether a slice is all of an axis, from its end to its beginning."""
    if isinstance(size, int) and cut.step == -1:
        return len(range(size)[cut]) == size
    from_end = cut.start == -1 or cut.start >= ENDLESS
    return bool(cut.step == -1 and from_end and cut.stop <= -ENDLESS)


def end_of_steps(cut: slice, size: Size) -> PoolName | None:
    """Which end of the steps a slice of one step is."""
    if isinstance(size, int):
        steps = range(size)[cut]
        ends: dict[int, PoolName] = {size - 1: "last", 0: "first"}
        return ends.get(steps[0]) if len(steps) == 1 else None
    if cut.start == 0 and cut.stop == 1:
        return "first"
    return "last" if cut.start == -1 and _endless(cut.stop, size) else None


def left_out(cut: slice, size: Size) -> tuple[int, int] | None:
    """How many steps a slice leaves out at both ends; None where that is not said so."""
    if cut.step != 1:
        return None
    if isinstance(size, int):
        start, stop, _ = cut.indices(size)
        return (start, size - stop) if start < stop else None
    if not isinstance(cut.start, int) or cut.start < 0:
        return None
    if _endless(cut.stop, size):
        return cut.start, 0
    return (cut.start, -cut.stop) if isinstance(cut.stop, int) and cut.stop < 0 else None


def _endless(stop: Any, size: Size) -> bool:
    """Whether a slice stops at the end or behind it."""
    end = size if isinstance(size, int) else ENDLESS
    return stop is None or stop == size or (isinstance(stop, int) and stop >= end)
