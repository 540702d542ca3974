"""Recurrent layers in one direction or both: their cells, and the cells' outputs merged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lstm_lrp_cli.engine.arrays import CopiedSteps, Copies, Packing
from lstm_lrp_cli.engine.layers import merging
from lstm_lrp_cli.engine.layers.merging import MergeRecord
from lstm_lrp_cli.engine.parts import Parted, PartedValue, Parts
from lstm_lrp_cli.engine.records import Reach, Record, Shares
from lstm_lrp_cli.engine.rules import LrpRule
from lstm_lrp_cli.model import Booleans, Floats
from lstm_lrp_cli.model.recurrent import (
    Gru,
    GruCell,
    Lstm,
    LstmCell,
    Recurrent,
    RecurrentCell,
    RnnCell,
    SimpleRnn,
)
from . import simple
from .gru import cell as gru_cell
from .gru import decomposition as gru_decomposition
from .gru import gradient as gru_gradient
from .gru import relevance as gru_relevance
from .gru.cell import GruRecord
from .inputs import CellInput, in_reading_order
from .lstm import cell as lstm_cell
from .lstm import decomposition as lstm_decomposition
from .lstm import gradient as lstm_gradient
from .lstm import relevance as lstm_relevance
from .lstm.cell import CellRecord
from .parted import CellParts, PartedStates, PartedSteps, in_order, read_parts
from .simple import SimpleRecord
from .states import CellStates, Upper, at_end, joined_states, split_states

# One cell's forward pass.
AnyCellRecord = CellRecord | GruRecord | SimpleRecord


@dataclass(frozen=True, slots=True, eq=False)
class RecurrentRecord(Record):
    """A recurrent layer's forward pass: its cells' own, and their outputs in the input's order.

    Parameters
    ----------
    packing : Packing
        Of the steps that are read.
    merged : MergeRecord
        The hidden states of the cells made one.
    outputs : ndarray
        Those, and the cell states of the cells beside them where the layer gives them.
    steps : Packing or None
    has_states : bool
        Whether a node gives the states that it begins in.
    """

    layer: Recurrent
    packing: Packing
    cells: Sequence[AnyCellRecord]
    merged: MergeRecord
    outputs: Floats
    steps: Packing | None
    has_states: bool

    @property
    def ended(self) -> list[CellStates]:
        """The states of each cell after each sequence's last step, those of all written out."""
        return [_ended(record) for record in self.cells]

    def relevance(self, relevance: Floats, rule: LrpRule) -> tuple[Sequence[Floats | None], Shares]:
        return self.pass_down(relevance, rule, "features")

    def pass_down(
        self, relevance: Floats, rule: LrpRule, reach: Reach
    ) -> tuple[Sequence[Floats | None], Shares]:
        """Pass relevance to the sources: to the inputs, shape (rows, inputs), or to their steps."""
        of_hidden, of_cells = self._apart(relevance)
        parts, shares = self.merged.relevance(of_hidden, rule)
        of_inputs, begun = [], []
        for record, part, of_cell in zip(self.cells, parts, of_cells, strict=True):
            assert part is not None  # directions have no gate between them
            upper = self._upper(record, part, of_cell)
            down, kept, states = _relevance(record, upper, rule, reach)
            shares += kept
            of_inputs.append(in_reading_order(record.cell, down, self.packing))
            begun.append(states)
        total = sum(of_inputs[1:], of_inputs[0])
        if self.has_states:
            return [total, joined_states(begun)], shares
        initial = np.zeros(self.packing.batch)
        for states in begun:
            for part in (states.hidden, states.cell):
                initial += 0.0 if part is None else part.sum(axis=1, dtype=np.float64)
        none = Shares.none(self.packing.batch)
        return [total], shares + Shares(initial, none.biases, none.stabilizers)

    def gradient(self, gradient: Floats) -> Sequence[Floats]:
        return self.pull_back(gradient, "features")

    def pull_back(self, gradient: Floats, reach: Reach) -> Sequence[Floats]:
        """Pass the gradient with respect to the outputs to the sources.

        To the inputs, shape (rows, inputs), or, of an LSTM's steps, its product with them, (rows,).
        """
        of_hidden, of_cells = self._apart(gradient)
        of_inputs, begun = [], []
        parts = self.merged.gradient(of_hidden)
        for record, part, of_cell in zip(self.cells, parts, of_cells, strict=True):
            down, states = _gradient(record, self._upper(record, part, of_cell), reach)
            of_inputs.append(in_reading_order(record.cell, down, self.packing))
            begun.append(states)
        total = sum(of_inputs[1:], of_inputs[0])
        return [total, joined_states(begun)] if self.has_states else [total]

    def parted(self, sources: Sequence[Parted], copies: Copies) -> PartedValue:
        source, copied = sources[0], copies.of(self.packing)
        marked = source.relevant_steps
        begun: Sequence[PartedStates | None] = [None] * len(self.cells)
        if self.has_states:
            begun = PartedStates.split(self.layer, sources[1].parts)
        hidden, states = [], []
        for record, first in zip(self.cells, begun, strict=True):
            read = read_parts(record.cell, source, copied.packing)
            at = in_reading_order(record.cell, marked, copied.packing)
            found, state = _parted(record, copied, read, at, first)
            hidden.append(self._told(record, found, copied.packing))
            if state is not None:
                states.append(self._told(record, state, copied.packing))
        merged = merging.merged_parts(self.layer.merge, hidden)
        whole = merging.merged_parts("concat", [merged, *states])
        if self.layer.returns == "last":
            return PartedValue(whole)
        return PartedValue(whole, copied.packing, marked)

    def _told(self, record: AnyCellRecord, found: PartedSteps, packing: Packing) -> Parts:
        """What the layer gives of a state: the last one, or all in the input's order."""
        if self.layer.returns == "last":
            return found.at_end
        return in_order(record.cell, found.at_steps, packing)

    def _apart(self, amounts: Floats) -> tuple[Floats, list[Floats | None]]:
        """What the merged hidden states have, and what the cell states of the cells."""
        if not (isinstance(self.layer, Lstm) and self.layer.gives_cell):
            return amounts, [None] * len(self.cells)
        size = self.merged.outputs.shape[1]
        of_cells = np.split(amounts[:, size:], len(self.cells), axis=1)
        return amounts[:, :size], list(of_cells)

    def _upper(self, record: AnyCellRecord, part: Floats, of_cell: Floats | None) -> Upper:
        """What a cell's last states are given, or all of them in the order of its reading."""
        if self.layer.returns == "last":
            return Upper(part, None, of_cell, None)
        read = in_reading_order(record.cell, part, self.packing)
        if of_cell is not None:
            of_cell = in_reading_order(record.cell, of_cell, self.packing)
        return Upper(None, read, None, of_cell)


def run(
    layer: Recurrent,
    inputs: Sequence[CellInput],
    packing: Packing,
    carried: Sequence[CellStates] | None = None,
    states: Floats | None = None,
    keep_gates: bool = False,
) -> RecurrentRecord:
    """Run a recurrent layer over a packed batch, of which each cell has its own inputs.

    The outputs are of shape (batch, units) where the layer returns the last state, else
    (rows, units). What a sequence without steps gives is the initial state, whatever is carried to
    it, as Keras has it, or the one that a node gives.

    Parameters
    ----------
    carried : sequence of CellStates or None
        The states with which each cell begins; None is its initial ones.
    states : ndarray, shape (batch, units), or None
        Those that a node gives.
    """
    first = [CellStates.initial(each, packing.batch) for each in layer.cells]
    if states is not None:
        if layer.stateful:
            raise ValueError("a stateful layer begins where it ended, and a node gives its states")
        first = split_states(layer, states)
    begun = carried or first
    returns_last = layer.returns == "last"
    records: list[AnyCellRecord] = []
    parts, cell_states = [], []
    cells: tuple[RecurrentCell, ...] = layer.cells
    for each, read, own, unstarted in zip(cells, inputs, begun, first, strict=True):
        record = _run(layer, each, read, packing, own, keep_gates)
        records.append(record)

        def told(state: Floats, without: Floats | None, record: AnyCellRecord = record) -> Floats:
            if returns_last:
                return at_end(state[packing.last], without, packing.batch)
            return in_reading_order(record.cell, state, packing)

        parts.append(told(record.h, unstarted.hidden))
        if isinstance(record, CellRecord) and record.layer.gives_cell:
            cell_states.append(told(record.ig + record.fc, unstarted.cell))
    steps = None if returns_last else packing
    merged = merging.run(layer.merge, parts, steps)
    outputs = merging.concatenated([merged.outputs, *cell_states])
    return RecurrentRecord(layer, packing, records, merged, outputs, steps, states is not None)


def _run(
    layer: Recurrent,
    cell: LstmCell | GruCell | RnnCell,
    inputs: CellInput,
    packing: Packing,
    begun: CellStates,
    keep_gates: bool,
) -> AnyCellRecord:
    match layer, cell:
        case Lstm(), LstmCell():
            return lstm_cell.run(layer, cell, inputs, packing, begun, keep_gates)
        case Gru(), GruCell():
            return gru_cell.run(layer, cell, inputs, packing, begun, keep_gates)
        case SimpleRnn(), RnnCell():
            return simple.run(layer, cell, inputs, packing, begun, keep_gates)
    raise TypeError(layer)


def _relevance(
    record: AnyCellRecord, upper: Upper, rule: LrpRule, reach: Reach
) -> tuple[Floats, Shares, CellStates]:
    match record:
        case CellRecord():
            return lstm_relevance.relevance(record, upper, rule, reach)
        case GruRecord():
            return gru_relevance.relevance(record, upper, rule, reach)
        case SimpleRecord():
            return simple.relevance(record, upper, rule, reach)


def _gradient(record: AnyCellRecord, upper: Upper, reach: Reach) -> tuple[Floats, CellStates]:
    match record:
        case CellRecord():
            return lstm_gradient.gradient(record, upper, reach)
        case GruRecord():
            down, begun = gru_gradient.gradient(record, upper)
        case SimpleRecord():
            down, begun = simple.gradient(record, upper)
    if reach == "steps":
        down = (down * record.inputs.features).sum(axis=1)
    return down, begun


def _parted(
    record: AnyCellRecord,
    copies: CopiedSteps,
    read: CellParts,
    marked: Booleans,
    begun: PartedStates | None,
) -> tuple[PartedSteps, PartedSteps | None]:
    """The hidden state in parts, and the cell state where the layer gives it."""
    if isinstance(record, CellRecord):
        return lstm_decomposition.run(record, copies, read, marked, begun)
    first = begun or PartedStates.irrelevant(
        record.cell, record.begun.of(copies.sequences), copies.packing.batch
    )
    if isinstance(record, GruRecord):
        return gru_decomposition.run(record, copies, read, marked, first), None
    return simple.run_parted(record, copies, read, marked, first), None


def _ended(record: AnyCellRecord) -> CellStates:
    last, batch = record.packing.last, record.packing.batch
    hidden = at_end(record.h[last], record.begun.hidden, batch)
    if not isinstance(record, CellRecord):
        return CellStates(hidden)
    return CellStates(hidden, at_end(record.ig[last] + record.fc[last], record.begun.cell, batch))
