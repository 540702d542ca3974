"""Recurrent layers over a long sequence, stretch by stretch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from lstm_lrp_cli.engine.arrays import Copies
from lstm_lrp_cli.engine.layers import merging
from lstm_lrp_cli.engine.layers.merging import MergeRecord, concatenated
from lstm_lrp_cli.engine.records import Reach, Shares
from lstm_lrp_cli.engine.recurrent import (
    Begun,
    EndingRecord,
    beginnings,
    gradient_of,
    initial,
    relevance_of,
    run,
    step_values,
)
from lstm_lrp_cli.engine.recurrent.cells import CellRecord
from lstm_lrp_cli.engine.recurrent.inputs import CellInput, in_reading_order
from lstm_lrp_cli.engine.recurrent.states import (
    CELL,
    HIDDEN,
    CellStates,
    StateAmounts,
    side_by_side,
)
from lstm_lrp_cli.engine.rules import LrpRule
from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.recurrent import Lstm, Recurrent, RecurrentCell
from .cells import PassStretch, StretchedCell
from .room import check_room
from .rows import Amounts, Collected, Grid, Rows

if TYPE_CHECKING:
    from lstm_lrp_cli.engine.parts import Parted, PartedValue

# What the cells of a layer read in a stretch, by its number, or (None) in all of the sequence.
Read = Callable[[int | None], Sequence[CellInput]]
# Splits what the merged hidden states have among those of the cells.
Split = Callable[[MergeRecord, Floats], tuple[Sequence[Floats | None], Shares]]


class StretchedRecurrent(EndingRecord):
    """A recurrent layer's forward pass over one long sequence.

    Parameters
    ----------
    grid : Grid
        The stretches of what it reads.
    read : callable
    """

    in_stretches = True

    def __init__(
        self, layer: Recurrent, grid: Grid, read: Read, begun: Begun, keep_gates: bool
    ) -> None:
        self.layer, self._grid = layer, grid
        self._read, self._begun, self._keeps_gates = read, begun, keep_gates
        self._is_begun = begun.given is not None
        carried, idle = beginnings(layer, 1, begun)
        cells: tuple[RecurrentCell, ...] = layer.cells
        self._gives_cell = isinstance(layer, Lstm) and layer.gives_cell
        gives = () if layer.returns == "last" else (HIDDEN, CELL)[: 1 + self._gives_cell]
        self._cells = [
            StretchedCell(
                layer, cell, grid, _own(read, number), states, otherwise, keep_gates, gives
            )
            for number, (cell, states, otherwise) in enumerate(
                zip(cells, carried, idle, strict=True)
            )
        ]
        self._at_end: MergeRecord | None = None
        if layer.returns == "last":
            ended = [cell.ended for cell in self._cells]
            self._at_end = merging.run(
                layer.merge, [one.written_out[HIDDEN] for one in ended], None
            )
            of_cells = [one.written_out[CELL] for one in ended] if self._gives_cell else []
            self.outputs = concatenated([self._at_end.outputs, *of_cells])
            self.steps = None
            return
        sizes = [cell.output_size for cell in layer.cells]
        self._width = sum(sizes) if layer.merge == "concat" else sizes[0]
        units = self._width
        if self._gives_cell:
            units += sum(cell.hidden_size for cell in layer.cells)
        dtype = layer.cells[0].input.dtype
        self.outputs = Rows(grid, units, dtype, self._outputs_of)  # type: ignore[assignment]
        self.steps = grid.packing

    @property
    def ended(self) -> list[CellStates]:
        """The states in which each cell ended."""
        return [cell.ended for cell in self._cells]

    def relevance(self, relevance: Floats, rule: LrpRule) -> tuple[Sequence[Floats | None], Shares]:
        return self.pass_down(relevance, rule, "features")

    def pass_down(
        self, relevance: Floats, rule: LrpRule, reach: Reach
    ) -> tuple[Sequence[Floats | None], Shares]:
        pass_cell = relevance_of(self.layer)

        def pass_stretch(
            record: CellRecord, above: StateAmounts, has_before: bool
        ) -> tuple[Floats, CellStates, Shares]:
            found: tuple[Floats, CellStates, Shares] = pass_cell(record, above, rule, reach)
            return found

        total, begun, shares = self._pass_back(
            relevance, lambda merged, amounts: merged.relevance(amounts, rule), pass_stretch, reach
        )
        if self._is_begun:
            return [total, side_by_side(begun)], shares  # type: ignore[list-item]
        return [total], shares + initial(begun, 1)  # type: ignore[list-item]

    def gradient(self, gradient: Floats) -> Sequence[Floats]:
        return self.pull_back(gradient, "features")

    def pull_back(self, gradient: Floats, reach: Reach) -> Sequence[Floats]:
        pass_cell, nothing = gradient_of(self.layer), Shares.none(1)

        def pass_stretch(
            record: CellRecord, above: StateAmounts, has_before: bool
        ) -> tuple[Floats, CellStates, Shares]:
            read, begun = pass_cell(record, above, reach, has_before or self._is_begun)
            return read, begun, nothing

        total, begun, _ = self._pass_back(
            gradient,
            lambda merged, amounts: (merged.gradient(amounts), nothing),
            pass_stretch,
            reach,
        )
        return [total, side_by_side(begun)] if self._is_begun else [total]  # type: ignore[list-item]

    # Run as the whole forward pass is: what overflows shows in the scores.
    @np.errstate(over="ignore", invalid="ignore", divide="ignore")
    def parted(self, sources: Sequence[Parted], copies: Copies) -> PartedValue:
        """Run the layer on parts as if the sequence was short, which keeps all of its steps."""
        packing, cell = self._grid.packing, self.layer.cells[0]
        of_step = 2 * step_values(self.layer, self._keeps_gates)
        check_room("a recurrent layer in parts", packing.rows, of_step, cell.input.itemsize)
        read = self._read(None)
        whole = run(self.layer, read, packing, self._begun, self._keeps_gates)
        return whole.parted(sources, copies)

    def _pass_back(
        self, given: Floats | Amounts, split: Split, pass_stretch: PassStretch, reach: Reach
    ) -> tuple[Amounts, list[CellStates], Shares]:
        """What the inputs get, and the states that each cell begins in, and what is lost."""
        first = self.layer.cells[0].input
        shape = () if reach == "steps" else (first.shape[-1],)
        into, shares = Collected(self._grid, shape, first.dtype), Shares.none(1)
        found = []
        for number, cell in enumerate(self._cells):
            if self._at_end is not None:
                assert isinstance(given, np.ndarray)
                last, lost = self._of_end(given, split, number)
                begun, kept = cell.pass_back(lambda stretch: None, last, pass_stretch, into)
                kept.append(lost)
            else:
                above = _Above(self, Amounts.over(given, self._grid), split, number)
                begun, kept = cell.pass_back(above, None, pass_stretch, into)
                kept += above.lost
            found.append(begun)
            if kept:
                shares += sum(kept[1:], kept[0])
        return into.amounts, found, shares

    def _of_end(self, given: Floats, split: Split, number: int) -> tuple[StateAmounts, Shares]:
        """What a cell's last states get; what is lost on the way counts with the first cell."""
        assert self._at_end is not None
        width = self._at_end.outputs.shape[1]
        parts, shares = split(self._at_end, np.ascontiguousarray(given[:, :width]))
        part = parts[number]
        assert part is not None  # directions have no gate between them
        of_cell = self.of_cell_states(given, width, number)
        return StateAmounts(part, of_cell, by_step=False), shares if not number else Shares.none(1)

    def of_cell_states(self, given: Floats, width: int, number: int) -> Floats | None:
        """What the cell states of a cell have of the outputs."""
        if not self._gives_cell:
            return None
        return np.split(given[:, width:], len(self._cells), axis=1)[number]

    def merged(self, stretch: int) -> MergeRecord:
        """The merged hidden states of a stretch."""
        return merging.run(
            self.layer.merge, self._states(HIDDEN, stretch), self._grid.packing_of(stretch)
        )

    def _states(self, kind: int, stretch: int) -> list[Floats]:
        return [each.states(kind, stretch) for each in self._cells]

    def _outputs_of(self, stretch: int) -> Floats:
        of_cells = self._states(CELL, stretch) if self._gives_cell else []
        return concatenated([self.merged(stretch).outputs, *of_cells])

    def above(
        self, given: Floats, split: Split, number: int, stretch: int
    ) -> tuple[StateAmounts, Shares]:
        """What a cell's states of a stretch get of the outputs, in its reading order."""
        cell, packing = self.layer.cells[number], self._grid.packing_of(stretch)
        parts, shares = split(self.merged(stretch), np.ascontiguousarray(given[:, : self._width]))
        part, of_cell = parts[number], self.of_cell_states(given, self._width, number)
        assert part is not None
        part = in_reading_order(cell, part, packing)
        if of_cell is not None:
            of_cell = in_reading_order(cell, of_cell, packing)
        return StateAmounts(part, of_cell, by_step=True), shares


def _own(read: Read, number: int) -> Callable[[int], CellInput]:
    """What one of the cells reads in a stretch."""
    return lambda stretch: read(stretch)[number]


class _Above:
    """What a cell's states get of the outputs, stretch by stretch, and what is lost on the way."""

    def __init__(
        self, record: StretchedRecurrent, given: Amounts, split: Split, number: int
    ) -> None:
        self._record, self._given, self._split, self._number = record, given, split, number
        self.lost: list[Shares] = []

    def __call__(self, stretch: int) -> StateAmounts | None:
        given = self._given.of(stretch)
        if given is None:
            return None
        found, shares = self._record.above(given, self._split, self._number, stretch)
        if not self._number:  # what is lost is counted once
            self.lost.append(shares)
        return found
