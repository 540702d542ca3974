"""What the gates of a GRU get, where the rule for gates gives them any."""

import numpy as np

from lstm_lrp_cli.engine.activations import ACTIVATIONS
from lstm_lrp_cli.engine.recurrent.cells import before
from lstm_lrp_cli.engine.recurrent.gates import GateRelevance
from lstm_lrp_cli.engine.recurrent.weights import RESET, UPDATE
from lstm_lrp_cli.engine.rules import LrpRule
from lstm_lrp_cli.model import Floats
from .cell import GruCellRecord


class GruGates(GateRelevance):
    """Takes their part of the products z * h and (1 - z) * n, and of the reset gate's."""

    def __init__(self, record: GruCellRecord, rule: LrpRule) -> None:
        super().__init__(record, rule)
        self._n = ACTIVATIONS[record.layer.activation](record.z_n)
        self._h_before = before(record.h, record.begun.hidden, record.packing)
        self._reset_by = self._h_before if record.u is None else record.u

    def split_terms(self, rows: slice, of_kept: Floats, of_new: Floats) -> None:
        """Leave of the relevance of z * h and (1 - z) * n, (n, hidden), what is for h and n."""
        update = self._gates[rows, UPDATE]
        of_kept[...], of_gate = self.halves(update, rows, self._h_before[rows], of_kept)
        of_new[...], of_rest = self.halves(1.0 - update, rows, self._n[rows], of_new)
        np.add(of_gate, of_rest, out=self._of_gates[: len(of_kept), UPDATE])

    def split_reset(self, rows: slice, relevance: Floats) -> Floats:
        """What of the relevance of the reset gate's products is for what it multiplies."""
        return self.split(RESET, rows, self._reset_by[rows], relevance)
