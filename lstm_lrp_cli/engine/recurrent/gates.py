"""The gates of a cell in its relevance, where the rule for gates gives them any.

What a gate gets goes through its linear map z = W x_t + U h_(t-1) + b by the epsilon rule. The
gates' maps feed on the same units, and so are treated as one map of as many times the units.
"""

import numpy as np

from lstm_lrp_cli.engine.activations import ACTIVATIONS
from lstm_lrp_cli.engine.arrays import Packing, aligned_empty
from lstm_lrp_cli.engine.records import Shares
from lstm_lrp_cli.engine.rules import LrpRule, split_product
from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.recurrent import Gru, Lstm
from .cells import CellRecord, before
from .weights import Maps


class GateRelevance:
    """Takes the gates' part of a cell's relevance, step by step from the last.

    The forward pass keeps neither gates nor signals. They are computed once more, for all steps at
    once: only the few who ask for such a rule pay for them.

    Attributes
    ----------
    values : ndarray, shape (rows, gates * hidden)
        The messages of the gates' linear maps, of the steps that are done.
    shares : ndarray, shape (rows,)
        What every unit below them gets of biases and stabilizers on top.
    """

    def __init__(self, record: CellRecord, rule: LrpRule) -> None:
        layer, cell, packing = record.layer, record.reading.cell, record.packing
        assert isinstance(layer, Lstm | Gru)
        maps, dtype = Maps.of(cell), record.h.dtype
        count = len(maps.gates)
        rows, units = packing.rows, count * cell.hidden_size
        self._rule = rule
        self._lower = cell.output_size + cell.input_size
        self._recurrent = maps.recurrent[maps.gates].reshape(units, cell.output_size)
        self._bias = maps.bias[maps.gates].reshape(units)
        z = _pre_activations(record)
        self._z = z.reshape(rows, units)
        self._gates = ACTIVATIONS[layer.gate_activation](z)
        self._of_gates = aligned_empty((packing.batch, count, cell.hidden_size), dtype)
        self.values = aligned_empty((rows, units), dtype)
        self.shares = np.zeros(rows, dtype)
        self._biases, self._stabilizers = np.zeros(rows), np.zeros((2, rows))

    def split(self, gate: int, rows: slice, signal: Floats, relevance: Floats) -> Floats:
        """Put aside what a gate gets of its product with a signal; return what the signal does."""
        of_signal, self._of_gates[: len(signal), gate] = self.halves(
            self._gates[rows, gate], rows, signal, relevance
        )
        return of_signal

    def halves(
        self, gate: Floats, rows: slice, signal: Floats, relevance: Floats
    ) -> tuple[Floats, Floats]:
        """What of the relevance of a product is for the signal, and what for the gate."""
        split = split_product(gate, signal, relevance, self._rule)
        if split.stabilizers is not None:
            self._stabilizers[:, rows] += split.stabilizers
        assert split.gate is not None  # else nobody would ask
        return split.signal, split.gate

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


def _pre_activations(record: CellRecord) -> Floats:
    """z of all gates, shape (rows, gates, hidden)."""
    packing, weights = record.packing, record.inputs.weights
    shape = (len(weights.bias_gates), packing.rows, record.reading.cell.hidden_size)
    negated = aligned_empty(shape, record.h.dtype)
    record.inputs.read_gates(slice(packing.rows), negated)
    negated += before(record.h, record.begun.hidden, packing) @ weights.recurrent_gates
    return np.ascontiguousarray(-negated.swapaxes(0, 1))
