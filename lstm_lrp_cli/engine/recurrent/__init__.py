"""Recurrent layers in one direction or both: their cells, and the cells' outputs merged."""

from collections.abc import Sequence
from dataclasses import dataclass

from lstm_lrp_cli.engine.arrays import Copies, Packing
from lstm_lrp_cli.engine.layers import merging
from lstm_lrp_cli.engine.layers.merging import MergeRecord
from lstm_lrp_cli.engine.parts import Parted, PartedInput, PartedValue, Parts
from lstm_lrp_cli.engine.records import Reach, Record, Shares
from lstm_lrp_cli.engine.rules import LrpRule
from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.recurrent import Lstm, LstmCell
from .inputs import CellInput, CellStates, in_reading_order
from .lstm import cell
from .lstm import decomposition as cell_decomposition
from .lstm import gradient as cell_gradient
from .lstm import relevance as cell_relevance
from .lstm.cell import CellRecord
from .lstm.decomposition import CellParts, ComputedParts, InputParts


@dataclass(frozen=True, slots=True, eq=False)
class LstmRecord(Record):
    """An LSTM's forward pass: its cells' own, and their outputs merged in the input's order."""

    layer: Lstm
    packing: Packing
    cells: Sequence[CellRecord]
    merged: MergeRecord

    @property
    def outputs(self) -> Floats:  # type: ignore[override]
        return self.merged.outputs

    @property
    def steps(self) -> Packing | None:  # type: ignore[override]
        return self.merged.steps

    def relevance(self, relevance: Floats, rule: LrpRule) -> tuple[Sequence[Floats | None], Shares]:
        return self.pass_down(relevance, rule, "features")

    def pass_down(
        self, relevance: Floats, rule: LrpRule, reach: Reach
    ) -> tuple[Sequence[Floats | None], Shares]:
        """Pass relevance to the sources: to the inputs, shape (rows, inputs), or to their steps."""
        parts, shares = self.merged.relevance(relevance, rule)
        of_cells = []
        for record, part in zip(self.cells, parts, strict=True):
            assert part is not None  # directions have no gate between them
            of_inputs, kept = cell_relevance.relevance(record, *self._at(record, part), rule, reach)
            shares += kept
            of_cells.append(in_reading_order(record.cell, of_inputs, self.packing))
        return [sum(of_cells[1:], of_cells[0])], shares

    def gradient(self, gradient: Floats) -> Sequence[Floats]:
        return self.pull_back(gradient, "features")

    def pull_back(self, gradient: Floats, reach: Reach) -> Sequence[Floats]:
        """Pass the gradient with respect to the outputs to the sources.

        To the inputs, shape (rows, inputs), or, of steps, its product with them, shape (rows,).
        """
        of_cells = []
        for record, part in zip(self.cells, self.merged.gradient(gradient), strict=True):
            of_inputs = cell_gradient.gradient(record, *self._at(record, part), reach)
            of_cells.append(in_reading_order(record.cell, of_inputs, self.packing))
        return [sum(of_cells[1:], of_cells[0])]

    def parted(self, sources: Sequence[Parted], copies: Copies) -> PartedValue:
        returns_last = self.layer.returns == "last"
        source, copied = sources[0], copies.of(self.packing)
        marked = source.relevant_steps
        directions = []
        for each in self.cells:
            read = _read_parts(each.cell, source, copied.packing)
            at = in_reading_order(each.cell, marked, copied.packing)
            run = cell_decomposition.run(each, copied, read, at)
            if returns_last:
                directions.append(run.at_end())
            else:
                directions.append(_in_order(each.cell, run.at_steps(), copied.packing))
        merged = merging.merged_parts(self.layer.merge, directions)
        if returns_last:
            return PartedValue(merged)
        return PartedValue(merged, copied.packing, marked)

    def _at(self, record: CellRecord, part: Floats) -> tuple[Floats | None, Floats | None]:
        """What a cell's last states are given, or all of them in the order of its reading."""
        if self.layer.returns == "last":
            return part, None
        return None, in_reading_order(record.cell, part, self.packing)


def _read_parts(cell: LstmCell, source: Parted, packing: Packing) -> CellParts:
    """What a cell reads of copies, in parts, in its reading order."""
    if isinstance(source, PartedInput):
        return InputParts(
            cell,
            source.features,
            in_reading_order(cell, source.places, packing),
            in_reading_order(cell, source.entries, packing),
        )
    return ComputedParts(cell, _in_order(cell, source.parts, packing))


def _in_order(cell: LstmCell, parts: Parts, packing: Packing) -> Parts:
    """Bring parts from the sequences' order to that in which a cell reads them, or back."""
    return parts.each(lambda part: in_reading_order(cell, part, packing))


def run(
    layer: Lstm,
    inputs: Sequence[CellInput],
    packing: Packing,
    carried: Sequence[CellStates] | None = None,
    keep_gates: bool = False,
) -> LstmRecord:
    """Run an LSTM over a packed batch, of which each cell has its own inputs.

    The outputs are of shape (batch, units) where the layer returns the last state, else
    (rows, units). What a sequence without steps gives is the initial state, whatever is carried to
    it, as Keras has it.

    Parameters
    ----------
    carried : sequence of CellStates or None
        The states with which each cell begins; None is its initial ones.
    """
    begun = carried or [CellStates.initial(each, packing.batch) for each in layer.cells]
    returns_last = layer.returns == "last"
    records, parts = [], []
    for each, read, states in zip(layer.cells, inputs, begun, strict=True):
        record = cell.run(layer, each, read, packing, states, keep_gates)
        records.append(record)
        if returns_last:
            parts.append(record.at_end(record.h[packing.last], each.initial_hidden))
        else:
            parts.append(in_reading_order(each, record.h, packing))
    merged = merging.run(layer.merge, parts, None if returns_last else packing)
    return LstmRecord(layer, packing, records, merged)
