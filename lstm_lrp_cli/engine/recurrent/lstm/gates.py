"""What the gates of an LSTM get, where the rule for gates gives them any."""

from lstm_lrp_cli.engine.activations import ACTIVATIONS
from lstm_lrp_cli.engine.recurrent.cells import before
from lstm_lrp_cli.engine.recurrent.gates import GateRelevance
from lstm_lrp_cli.engine.rules import LrpRule
from lstm_lrp_cli.model import Floats
from .cell import LstmCellRecord

# Where the input, forget and output gate stand among the three.
_I, _F, _O = range(3)


class LstmGates(GateRelevance):
    """Takes their part of the products i * g, f * c and o * tanh(c)."""

    def __init__(self, record: LstmCellRecord, rule: LrpRule) -> None:
        super().__init__(record, rule)
        activation = ACTIVATIONS[record.layer.activation]
        c = record.ig + record.fc
        self._g = activation(record.z_g)
        self._c_before = before(c, record.begun.cell, record.packing)
        self._of_c = activation(c)

    def split_output(self, rows: slice, relevance: Floats) -> Floats:
        """What of the relevance of o * tanh(c), shape (n, hidden), is for tanh(c)."""
        return self.split(_O, rows, self._of_c[rows], relevance)

    def split_terms(self, rows: slice, of_fc: Floats, of_ig: Floats) -> None:
        """Leave of the relevance of f * c and i * g, shape (n, hidden), what is for c and g."""
        of_fc[...] = self.split(_F, rows, self._c_before[rows], of_fc)
        of_ig[...] = self.split(_I, rows, self._g[rows], of_ig)
