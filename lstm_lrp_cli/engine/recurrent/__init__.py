"""Recurrent layers in one direction or both: their cells, and the cells' outputs merged."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from msgspec import Struct

from lstm_lrp_cli.engine import imported
from lstm_lrp_cli.engine.arrays import Copies, Packing
from lstm_lrp_cli.engine.layers import merging
from lstm_lrp_cli.engine.layers.merging import MergeRecord, concatenated
from lstm_lrp_cli.engine.records import Reach, Record, Shares
from lstm_lrp_cli.engine.rules import LrpRule
from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.recurrent import Gru, Lstm, Recurrent, RecurrentCell, SimpleRnn
from .cells import CellRecord, Reading
from .inputs import CellInput, in_reading_order
from .states import CELL, HIDDEN, CellStates, StateAmounts, apart, side_by_side

if TYPE_CHECKING:
    from lstm_lrp_cli.engine.parts import Parted, PartedValue


class CellKind(NamedTuple):
    """What the engine knows of the cells of a kind of recurrent layer.

    Parameters
    ----------
    run : (str, str)
        The module here, and what in it is the forward pass.
    relevance, gradient : (str, str)
        The ways back from the states to what the cell reads, and to the states before.
    parted : (str, str)
        The forward pass of copies in parts.
    values : (int, int)
        About how many numbers its arrays have of each unit for each step, and how many where the
        gates are kept.
    """

    run: tuple[str, str]
    relevance: tuple[str, str]
    gradient: tuple[str, str]
    parted: tuple[str, str]
    values: tuple[int, int]


KINDS: dict[type[Recurrent], CellKind] = {
    Lstm: CellKind(
        ("lstm.cell", "run"),
        ("lstm.relevance", "relevance"),
        ("lstm.gradient", "gradient"),
        ("lstm.decomposition", "run"),
        values=(5, 8),
    ),
    Gru: CellKind(
        ("gru.cell", "run"),
        ("gru.relevance", "relevance"),
        ("gru.gradient", "gradient"),
        ("gru.decomposition", "run"),
        values=(6, 8),
    ),
    SimpleRnn: CellKind(
        ("simple", "run"),
        ("simple", "relevance"),
        ("simple", "gradient"),
        ("simple", "parted"),
        values=(3, 3),
    ),
}


def run_cell(layer: Recurrent, reading: Reading) -> CellRecord:
    """The forward pass of one cell."""
    record: CellRecord = imported(__name__, *KINDS[type(layer)].run)(layer, reading)
    return record


def relevance_of(layer: Recurrent) -> Callable[..., tuple[Floats, CellStates, Shares]]:
    """The way of relevance back through a cell of a layer, as `lstm.relevance` has it."""
    found: Callable[..., Any] = imported(__name__, *KINDS[type(layer)].relevance)
    return found


def gradient_of(layer: Recurrent) -> Callable[..., tuple[Floats, CellStates]]:
    """The way of a gradient back through a cell of a layer, as `lstm.gradient` has it."""
    found: Callable[..., Any] = imported(__name__, *KINDS[type(layer)].gradient)
    return found


class EndingRecord(Record):
    """The forward pass of a recurrent layer, whose states after the last step are known.

    Attributes
    ----------
    ended : list of CellStates
        Those of each cell.
    """

    __slots__ = ()
    layer: Recurrent

    @property
    @abstractmethod
    def ended(self) -> list[CellStates]: ...


@dataclass(frozen=True, slots=True, eq=False)
class RecurrentRecord(EndingRecord):
    """A recurrent layer's forward pass: its cells' own, and their outputs in the input's order.

    Parameters
    ----------
    merged : MergeRecord
        Of the hidden states.
    outputs : ndarray, shape (rows, units) or (batch, units)
        The merged hidden states, and behind them the cell states where the layer gives these too.
    is_begun : bool
        Whether a second node gives the states that it begins in.
    """

    layer: Recurrent
    packing: Packing
    cells: Sequence[CellRecord]
    merged: MergeRecord
    outputs: Floats
    is_begun: bool

    @property
    def steps(self) -> Packing | None:  # type: ignore[override]
        return self.merged.steps

    @property
    def ended(self) -> list[CellStates]:
        """The states in which each cell ended."""
        return [record.ended for record in self.cells]

    def relevance(self, relevance: Floats, rule: LrpRule) -> tuple[Sequence[Floats | None], Shares]:
        return self.pass_down(relevance, rule, "features")

    def pass_down(
        self, relevance: Floats, rule: LrpRule, reach: Reach
    ) -> tuple[Sequence[Floats | None], Shares]:
        of_merged, of_cell_states = self._apart(relevance)
        parts, shares = self.merged.relevance(of_merged, rule)
        pass_cell = relevance_of(self.layer)
        of_inputs, of_begun = [], []
        for record, part, of_cell in zip(self.cells, parts, of_cell_states, strict=True):
            assert part is not None  # directions have no gate between them
            above = self._above(record, part, of_cell)
            read, begun, kept = pass_cell(record, above, rule, reach)
            shares += kept
            of_inputs.append(in_reading_order(record.reading.cell, read, self.packing))
            of_begun.append(begun)
        total = sum(of_inputs[1:], of_inputs[0])
        if self.is_begun:
            return [total, side_by_side(of_begun)], shares
        return [total], shares + initial(of_begun, self.packing.batch)

    def gradient(self, gradient: Floats) -> Sequence[Floats]:
        return self.pull_back(gradient, "features")

    def pull_back(self, gradient: Floats, reach: Reach) -> Sequence[Floats]:
        of_merged, of_cell_states = self._apart(gradient)
        parts = self.merged.gradient(of_merged)
        pass_cell = gradient_of(self.layer)
        of_inputs, of_begun = [], []
        for record, part, of_cell in zip(self.cells, parts, of_cell_states, strict=True):
            above = self._above(record, part, of_cell)
            read, begun = pass_cell(record, above, reach, self.is_begun)
            of_inputs.append(in_reading_order(record.reading.cell, read, self.packing))
            of_begun.append(begun)
        total = sum(of_inputs[1:], of_inputs[0])
        return [total, side_by_side(of_begun)] if self.is_begun else [total]

    def parted(self, sources: Sequence[Parted], copies: Copies) -> PartedValue:
        from .parting import parted

        run = imported(__name__, *KINDS[type(self.layer)].parted)
        return parted(self.layer, self.cells, run, sources, copies.of(self.packing))

    def _apart(self, amounts: Floats) -> tuple[Floats, Sequence[Floats | None]]:
        """What the merged hidden states have, and the cell states of each cell."""
        width = self.merged.outputs.shape[1]
        if amounts.shape[1] == width:
            return amounts, [None] * len(self.cells)
        of_cells = np.split(amounts[:, width:], len(self.cells), axis=1)
        return np.ascontiguousarray(amounts[:, :width]), of_cells

    def _above(self, record: CellRecord, hidden: Floats, cell: Floats | None) -> StateAmounts:
        """What a cell's last states are given, or all of them in the order of its reading."""
        if self.layer.returns == "last":
            return StateAmounts(hidden, cell, by_step=False)
        reads = record.reading.cell
        hidden = in_reading_order(reads, hidden, self.packing)
        if cell is not None:
            cell = in_reading_order(reads, cell, self.packing)
        return StateAmounts(hidden, cell, by_step=True)


def initial(begun: Sequence[CellStates], batch: int) -> Shares:
    """The relevance of the initial states, of each cell."""
    total = np.zeros(batch)
    for state in [state for each in begun for state in each.written_out]:
        total += state.sum(axis=1, dtype=np.float64)
    return Shares(total, np.zeros(batch), np.zeros((2, batch)))


class Begun(Struct, frozen=True, eq=False):
    """The states with which a layer begins a batch.

    Parameters
    ----------
    carried : sequence of CellStates or None
        Those in which other sequences ended, of each cell; None of the initial ones.
    given : ndarray, shape (batch, states), or None
        Those that a node gives, of all cells side by side.
    """

    carried: Sequence[CellStates] | None = None
    given: Floats | None = None


def beginnings(
    layer: Recurrent, batch: int, begun: Begun
) -> tuple[Sequence[CellStates], Sequence[CellStates]]:
    """The states with which each cell begins, and what sequences without steps give.

    Raises
    ------
    ValueError
        A node gives the states of a layer that carries its own.
    """
    if begun.given is None:
        idle = [CellStates.initial(each, batch) for each in layer.cells]
        return begun.carried or idle, idle
    if layer.stateful:
        raise ValueError("a stateful layer begins where it ended, and in no states of a node")
    idle = apart(layer, begun.given)
    return begun.carried or idle, idle


def run(
    layer: Recurrent,
    inputs: Sequence[CellInput],
    packing: Packing,
    begun: Begun | None = None,
    keep_gates: bool = False,
) -> RecurrentRecord:
    """Run a recurrent layer over a packed batch, of which each cell has its own inputs.

    The outputs are of shape (batch, units) where the layer returns the last state, else
    (rows, units). What a sequence without steps gives is the initial state, whatever is carried to
    it, as Keras has it, or what the node gives that gives it.

    Raises
    ------
    ValueError
        A node gives the states of a layer that carries its own.
    """
    begun = begun or Begun()
    cells: tuple[RecurrentCell, ...] = layer.cells
    carried, idle = beginnings(layer, packing.batch, begun)
    returns_last = layer.returns == "last"
    gives_cell = isinstance(layer, Lstm) and layer.gives_cell
    records: list[CellRecord] = []
    kinds: list[list[Floats]] = [[], []] if gives_cell else [[]]
    for cell, read, states, otherwise in zip(cells, inputs, carried, idle, strict=True):
        reading = Reading(cell, packing, read, states, otherwise, keep_gates)
        record = run_cell(layer, reading)
        records.append(record)
        for kind, parts in zip((HIDDEN, CELL), kinds, strict=False):
            if returns_last:
                parts.append(record.at_end(kind, otherwise))
            else:
                parts.append(in_reading_order(cell, record.states(kind), packing))
    merged = merging.run(layer.merge, kinds[HIDDEN], None if returns_last else packing)
    outputs = concatenated([merged.outputs, *(kinds[CELL] if gives_cell else [])])
    is_begun = begun.given is not None
    return RecurrentRecord(layer, packing, records, merged, outputs, is_begun)


def step_values(layer: Recurrent, keep_gates: bool) -> int:
    """About how many numbers a layer takes for each step."""
    of_unit = KINDS[type(layer)].values[keep_gates]
    if isinstance(layer, Lstm) and layer.gives_cell and layer.returns == "sequence":
        of_unit += 2  # the cell states, and what is given
    return sum(of_unit * cell.hidden_size + cell.input_size for cell in layer.cells)
