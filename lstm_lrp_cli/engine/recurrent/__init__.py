"""The LSTM in one direction or both: its cells, and their outputs merged."""

from collections.abc import Sequence
from dataclasses import dataclass

from lstm_lrp_cli.engine.arrays import Packing
from lstm_lrp_cli.engine.layers import merging
from lstm_lrp_cli.engine.layers.merging import MergeRecord
from lstm_lrp_cli.engine.records import Reach, Shares
from lstm_lrp_cli.engine.rules import LrpRule
from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.recurrent import Lstm
from . import cell
from . import gradient as cell_gradient
from . import relevance as cell_relevance
from .cell import CellRecord
from .inputs import CellInput, CellStates, in_reading_order


@dataclass(frozen=True, slots=True, eq=False)
class LstmRecord:
    """An LSTM's forward pass: its cells' own, and their outputs merged in the input's order."""

    layer: Lstm
    packing: Packing
    cells: Sequence[CellRecord]
    merged: MergeRecord

    @property
    def outputs(self) -> Floats:
        return self.merged.outputs

    def relevance(self, relevance: Floats, rule: LrpRule) -> tuple[Sequence[Floats | None], Shares]:
        inputs, shares = self.pass_down(relevance, rule, "features")
        return [inputs], shares

    def pass_down(self, relevance: Floats, rule: LrpRule, reach: Reach) -> tuple[Floats, Shares]:
        """Pass relevance to the inputs, or to their steps.

        Returns
        -------
        ndarray, shape (rows, inputs), or (rows,) of steps
        Shares
        """
        parts, shares = self.merged.relevance(relevance, rule)
        of_cells = []
        for record, part in zip(self.cells, parts, strict=True):
            assert part is not None  # directions have no gate between them
            of_inputs, kept = cell_relevance.relevance(record, *self._at(record, part), rule, reach)
            shares += kept
            of_cells.append(in_reading_order(record.cell, of_inputs, self.packing))
        return sum(of_cells[1:], of_cells[0]), shares

    def gradient(self, gradient: Floats) -> Sequence[Floats]:
        return [self.pull_back(gradient, "features")]

    def pull_back(self, gradient: Floats, reach: Reach) -> Floats:
        """Pass the gradient with respect to the outputs to the inputs.

        Returns
        -------
        ndarray, shape (rows, inputs), or (rows,)
            The gradient, or, of steps, its product with the inputs.
        """
        of_cells = []
        for record, part in zip(self.cells, self.merged.gradient(gradient), strict=True):
            of_inputs = cell_gradient.gradient(record, *self._at(record, part), reach)
            of_cells.append(in_reading_order(record.cell, of_inputs, self.packing))
        return sum(of_cells[1:], of_cells[0])

    def _at(self, record: CellRecord, part: Floats) -> tuple[Floats | None, Floats | None]:
        """What a cell's last states are given, or all of them in the order of its reading."""
        if self.layer.returns == "last":
            return part, None
        return None, in_reading_order(record.cell, part, self.packing)


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
