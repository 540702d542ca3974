"""The parts that stand side by side along the units of a signal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from lstm_lrp_cli.model.layers import PoolName

# Concatenation in concatenation grows without end; no honest model has as many values.
MOST_PARTS = 4096


class SignalPart(Struct, frozen=True):
    """The units of one layer, or of one direction of a recurrent one, or some of them, in a signal.

    Parameters
    ----------
    layer : str
    size : int or None
        How many units; None for an input that does not say.
    backward : bool or None
        Which direction of a recurrent layer; None where it is another layer.
    pooled : PoolName or None
        How one value was made of those of all steps.
    is_cell : bool
        Whether they are the cell states of an LSTM.
    start, among : int or None
        Where they are some of the layer's units: from which one on, and of how many.
    """

    layer: str
    size: int | None
    backward: bool | None = None
    pooled: PoolName | None = None
    is_cell: bool = False
    start: int | None = None
    among: int | None = None

    @property
    def is_final(self) -> bool:
        """Whether it is the state after the last step that a direction of a layer read."""
        return self.backward is not None and self.pooled == ("first" if self.backward else "last")

    @property
    def side(self) -> SignalPart:
        """The hidden state where it is the cell state."""
        return replace(self, is_cell=False)

    @property
    def whole(self) -> SignalPart:
        """All units of the layer, or of its direction."""
        if self.start is None:
            return self
        return replace(self, size=self.among, start=None, among=None)

    @property
    def stop(self) -> int:
        """Where its units end, among those of the layer."""
        return (self.start or 0) + (self.size or 0)

    def units(self, start: int, stop: int) -> SignalPart:
        """Some of its units, counted from its own first."""
        if (start, stop) == (0, self.size):
            return self
        among = self.size if self.among is None else self.among
        return replace(self, size=stop - start, start=(self.start or 0) + start, among=among)


def joined(parts: Sequence[SignalPart]) -> tuple[SignalPart, ...]:
    """Parts, of which those that are units of one layer side by side are one."""
    found: list[SignalPart] = []
    for part in parts:
        last = found[-1] if found else part
        if (
            found
            and last.start is not None
            and last.stop == part.start
            and last.whole == part.whole
        ):
            found[-1] = part.whole.units(last.start, part.stop)
        else:
            found.append(part)
    return tuple(found)


def total(parts: Sequence[SignalPart]) -> int | None:
    """How many units some parts have; None where one does not say."""
    known = [part.size for part in parts if part.size is not None]
    return sum(known) if len(known) == len(parts) else None


def are_alike(parts: NDArray[Any]) -> bool:
    """Whether parts of the same units stand along FEATURE in every entry of the stacks."""
    rows = [[part.size for part in row] for row in parts.reshape(-1, parts.shape[-1])]
    return all(row == rows[0] and None not in row for row in rows)


def cut_units(row: NDArray[Any], start: int, stop: int) -> list[SignalPart]:
    """The units of parts side by side from one up to another."""
    cut, begin = [], 0
    for part in row:
        first, last = max(start - begin, 0), min(stop - begin, part.size)
        if first < last:
            cut.append(part.units(first, last))
        begin += part.size
    return cut


def stacked(rows: Sequence[Sequence[SignalPart]], shape: Sequence[int]) -> NDArray[Any]:
    """Parts side by side in every entry of some stacks."""
    parts = np.empty((len(rows), len(rows[0])), dtype=object)
    for place, row in enumerate(rows):
        parts[place] = row
    return bounded(parts.reshape(*shape, -1))


def bounded(parts: NDArray[Any]) -> NDArray[Any]:
    if parts.size > MOST_PARTS:
        raise ValueError(f"a tensor of {parts.size:,} values")
    return parts
