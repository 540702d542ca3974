"""Pools over the steps of a long sequence, stretch by stretch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from lstm_lrp_cli.engine.arrays import Copies
from lstm_lrp_cli.engine.layers.steps import MaxRecord, PickRecord, SumRecord
from lstm_lrp_cli.engine.records import Record, Shares, Value, packing_of
from lstm_lrp_cli.engine.rules import LrpRule
from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.layers import Pool
from .rows import Amounts, Grid, stretch_of, whole_array

if TYPE_CHECKING:
    from lstm_lrp_cli.engine.parts import Parted, PartedValue


def pool(layer: Pool, source: Value) -> Record:
    """Pool the steps of one sequence to a vector, as the layer does."""
    grid = Grid.of(packing_of(source))
    match layer.kind:
        case "sum":
            return StretchedSum(grid, source, 1.0)
        case "mean":
            return StretchedSum(grid, source, 1.0 / grid.rows)
        case "max":
            return _largest(grid, source)
        case "first":
            return PickRecord(grid.packing, np.array([0]), stretch_of(source.array, grid, 0)[:1])
        case "last":
            last = stretch_of(source.array, grid, grid.count - 1)[-1:]
            return PickRecord(grid.packing, np.array([grid.rows - 1]), last.copy())


def _largest(grid: Grid, source: Value) -> MaxRecord:
    """Only the winning step of a unit gets anything, so that amounts are few."""
    largest = stretch_of(source.array, grid, 0)[0].copy()
    winners = np.zeros(len(largest), dtype=np.intp)
    for number in range(grid.count):
        rows = stretch_of(source.array, grid, number)
        own = rows.max(axis=0)
        wins = own > largest
        np.copyto(largest, own, where=wins)
        np.copyto(winners, grid.at(number).start + rows.argmax(axis=0), where=wins)
    return MaxRecord(grid.packing, winners[np.newaxis], largest[np.newaxis])


class StretchedSum(Record):
    """A weighted sum over steps, as `SumRecord`; what its steps get is made when it is needed.

    Parameters
    ----------
    weight : float
        What every step is weighed with.
    """

    steps = None

    def __init__(self, grid: Grid, source: Value, weight: float) -> None:
        self._grid, self._source = grid, source
        total = stretch_of(source.array, grid, 0)[:1].copy()
        for number in range(grid.count):
            rows = stretch_of(source.array, grid, number)
            # One step after another, as the whole sequence is summed up.
            rows = rows[1:] if not number else rows
            total = np.add.reduceat(np.concatenate([total, rows]), [0], axis=0)
        self._weights = np.array([[weight]]).astype(total.dtype)
        self.outputs = total * self._weights

    def relevance(self, relevance: Floats, rule: LrpRule) -> tuple[Sequence[Floats | None], Shares]:
        feeding = self._grid.packing.lengths * self.outputs.shape[1]
        messages = rule.messages(relevance, self.outputs, None, feeding)
        spread = self._weights * messages.values

        def down(number: int) -> Floats:
            of_steps: Floats = self._stretch(number) * spread + messages.share
            return of_steps

        return [self._amounts(down)], Shares.absorbed(messages, None)  # type: ignore[list-item]

    def gradient(self, gradient: Floats) -> Sequence[Floats]:
        of_step = self._weights * gradient

        def down(number: int) -> Floats:
            rows = self._grid.at(number)
            return np.broadcast_to(of_step, (rows.stop - rows.start, of_step.shape[1]))

        return [self._amounts(down)]  # type: ignore[list-item]

    def parted(self, sources: Sequence[Parted], copies: Copies) -> PartedValue:
        inputs = whole_array(self._source.array)
        whole = SumRecord(self._grid.packing, inputs, self._weights, self.outputs)
        return whole.parted(sources, copies)

    def _stretch(self, number: int) -> Floats:
        found: Floats = stretch_of(self._source.array, self._grid, number)
        return found

    def _amounts(self, down: Callable[[int], Floats]) -> Amounts:
        grid = self._grid

        def whole() -> Floats:
            return np.concatenate([down(number) for number in range(grid.count)])

        return Amounts(grid, down, whole)
