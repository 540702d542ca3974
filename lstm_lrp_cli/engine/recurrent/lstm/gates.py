"""The gates of a cell in its relevance, where the rule for gates gives them any.

What a gate gets goes through its linear map z = W x_t + U h_(t-1) + b by the epsilon rule. The
three gates' maps feed on the same units, and so are treated as one map of three times as many.
"""

import numpy as np

from lstm_lrp_cli.engine.activations import ACTIVATIONS
from lstm_lrp_cli.engine.arrays import Packing, aligned_empty
from lstm_lrp_cli.engine.records import Shares
from lstm_lrp_cli.engine.recurrent.inputs import PROPER_GATES
from lstm_lrp_cli.engine.recurrent.states import before_steps
from lstm_lrp_cli.engine.rules import LrpRule, split_product
from lstm_lrp_cli.model import Floats
from .cell import CellRecord

# Where the input, forget and output gate stand among the three.
_I, _F, _O = range(3)


class GateRelevance:
    """Takes the gates' part of a cell's relevance, step by step from the last.

    The forward pass keeps neither gates nor signals. They are computed once more, for all steps at
    once: only the few who ask for such a rule pay for them.

    Attributes
    ----------
    values : ndarray, shape (rows, 3 * hidden)
        The messages of the gates' linear maps, of the steps that are done.
    shares : ndarray, shape (rows,)
        What every unit below them gets of biases and stabilizers on top.
    """

    def __init__(self, record: CellRecord, rule: LrpRule) -> None:
        layer, cell, packing = record.layer, record.cell, record.packing
        rows, units, dtype = packing.rows, 3 * cell.hidden_size, record.h.dtype
        self._rule = rule
        self._lower = cell.output_size + cell.input_size
        self._recurrent = cell.recurrent[PROPER_GATES].reshape(units, cell.output_size)
        self._bias = cell.bias[PROPER_GATES].reshape(units)
        c = record.ig + record.fc
        z = _pre_activations(record)
        self._z = z.reshape(rows, units)
        self._gates = ACTIVATIONS[layer.gate_activation](z)
        self._g = ACTIVATIONS[layer.activation](record.z_g)
        self._c_before = before_steps(c, record.begun.cell, packing)
        self._of_c = ACTIVATIONS[layer.activation](c)
        self._of_gates = aligned_empty((packing.batch, 3, cell.hidden_size), dtype)
        self.values = aligned_empty((rows, units), dtype)
        self.shares = np.zeros(rows, dtype)
        self._biases, self._stabilizers = np.zeros(rows), np.zeros((2, rows))

    def split_output(self, rows: slice, relevance: Floats) -> Floats:
        """What of the relevance of o * tanh(c), shape (n, hidden), is for tanh(c)."""
        return self._split(_O, rows, self._of_c, relevance)

    def split_terms(self, rows: slice, of_fc: Floats, of_ig: Floats) -> None:
        """Leave of the relevance of f * c and i * g, shape (n, hidden), what is for c and g."""
        of_fc[...] = self._split(_F, rows, self._c_before, of_fc)
        of_ig[...] = self._split(_I, rows, self._g, of_ig)

    def pass_down(self, rows: slice) -> Floats:
        """Send down what the step's gates got.

        Returns
        -------
        ndarray, shape (n, outputs)
            The messages' product with U, which the hidden state of the step before is to be
            multiplied with.
        """
        n = rows.stop - rows.start
        of_gates = self._of_gates[:n].reshape(n, -1)
        messages = self._rule.messages(of_gates, self._z[rows], self._bias, self._lower)
        self.values[rows] = messages.values
        self.shares[rows] = messages.share[:, 0]
        self._biases[rows] += messages.biases
        self._stabilizers[:, rows] += messages.stabilizers
        of_hidden: Floats = messages.values @ self._recurrent
        return of_hidden

    def absorbed(self, packing: Packing) -> Shares:
        """What biases and stabilizers absorbed of it, once all steps are done."""
        return Shares.lost(self._biases, self._stabilizers, packing)

    def _split(self, gate: int, rows: slice, signal: Floats, relevance: Floats) -> Floats:
        """Put aside what a gate gets, and return what the signal does."""
        n = rows.stop - rows.start
        split = split_product(self._gates[rows, gate], signal[rows], relevance, self._rule)
        self._of_gates[:n, gate] = split.gate
        if split.stabilizers is not None:
            self._stabilizers[:, rows] += split.stabilizers
        return split.signal


def _pre_activations(record: CellRecord) -> Floats:
    """z of the input, forget and output gate, shape (rows, 3, hidden)."""
    cell, packing, weights = record.cell, record.packing, record.inputs.weights
    negated = aligned_empty((3, packing.rows, cell.hidden_size), record.h.dtype)
    record.inputs.read_gates(slice(packing.rows), negated)
    negated += before_steps(record.h, record.begun.hidden, packing) @ weights.recurrent_gates
    return np.ascontiguousarray(-negated.swapaxes(0, 1))
