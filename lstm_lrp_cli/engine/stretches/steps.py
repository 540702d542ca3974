"""Layers that make each step of the same step of what feeds them, stretch by stretch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from lstm_lrp_cli.engine.arrays import Copies
from lstm_lrp_cli.engine.records import Record, Shares, Value, packing_of
from lstm_lrp_cli.engine.rules import LrpRule
from lstm_lrp_cli.model import Floats
from .rows import Amounts, Collected, Grid, Rows, stretch_of, whole_array

if TYPE_CHECKING:
    from lstm_lrp_cli.engine.parts import Parted, PartedValue

Run = Callable[[Sequence[Value]], Record]


class StretchedSteps(Record):
    """The forward pass of such a layer; what it records of a stretch is made when it is needed.

    Parameters
    ----------
    run : callable
        Runs the layer on some steps.
    sources : sequence of Value
        All of the same steps.
    """

    in_stretches = True

    def __init__(self, run: Run, sources: Sequence[Value]) -> None:
        self._run, self._sources = run, sources
        self.steps = packing_of(sources[0])
        self._grid = Grid.of(self.steps)
        self._last: tuple[int, Record] | None = None
        begin = self._record(0).outputs
        self.outputs = Rows(  # type: ignore[assignment]
            self._grid, begin.shape[1], begin.dtype, lambda stretch: self._record(stretch).outputs
        )

    def relevance(self, relevance: Floats, rule: LrpRule) -> tuple[Sequence[Floats | None], Shares]:
        lost = [Shares.none(1)]

        def pass_stretch(record: Record, given: Floats) -> Sequence[Floats | None]:
            down, kept = record.relevance(given, rule)
            lost.append(kept)
            return down

        down = self._pass_down(relevance, pass_stretch)
        return down, sum(lost[1:], lost[0])  # type: ignore[return-value]

    def gradient(self, gradient: Floats) -> Sequence[Floats]:
        down = self._pass_down(gradient, lambda record, given: record.gradient(given))
        return down  # type: ignore[return-value]

    def parted(self, sources: Sequence[Parted], copies: Copies) -> PartedValue:
        whole = [Value(whole_array(each.array), each.packing) for each in self._sources]
        return self._run(whole).parted(sources, copies)

    # As the whole forward pass is run: what overflows shows in the scores.
    @np.errstate(over="ignore", invalid="ignore", divide="ignore")
    def _record(self, stretch: int) -> Record:
        if self._last is None or self._last[0] != stretch:
            packing = self._grid.packing_of(stretch)
            sources = [
                Value(stretch_of(each.array, self._grid, stretch), packing)
                for each in self._sources
            ]
            self._last = stretch, self._run(sources)
        return self._last[1]

    def _pass_down(
        self,
        given: Floats | Amounts,
        pass_stretch: Callable[[Record, Floats], Sequence[Floats | None]],
    ) -> list[Amounts | None]:
        amounts = Amounts.over(given, self._grid)
        shapes = [(each.array.shape[1], each.array.dtype) for each in self._sources]
        into = [Collected(self._grid, (units,), dtype) for units, dtype in shapes]
        reached = np.ones(len(into), dtype=bool)
        for stretch in range(self._grid.count - 1, -1, -1):
            own = amounts.of(stretch)
            if own is None:
                continue
            for number, down in enumerate(pass_stretch(self._record(stretch), own)):
                if down is None:  # of a gate
                    reached[number] = False
                else:
                    into[number].take(stretch, down)
        pairs = zip(into, reached, strict=True)
        return [each.amounts if is_reached else None for each, is_reached in pairs]
