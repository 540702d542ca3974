"""The relevance of one GRU cell's inputs by LRP, over a packed batch.

The hidden state is a sum of two gated signals, those of the step before and of the candidate; the
candidate and what the reset gate multiplies are linear maps under the epsilon rule. What gates get
goes through their own linear maps.
"""

from __future__ import annotations

import numpy as np

from lstm_lrp_cli.engine.activations import ACTIVATIONS
from lstm_lrp_cli.engine.arrays import aligned_empty, row_dots
from lstm_lrp_cli.engine.records import Reach, Shares
from lstm_lrp_cli.engine.recurrent.inputs import NEW, RESET, UPDATE
from lstm_lrp_cli.engine.recurrent.states import CellStates, Upper, before_steps
from lstm_lrp_cli.engine.rules import LrpRule, Messages, split_product
from lstm_lrp_cli.model import Floats
from .cell import GruRecord


def relevance(
    record: GruRecord, upper: Upper, rule: LrpRule, reach: Reach
) -> tuple[Floats, Shares, CellStates]:
    """Pass the hidden states' relevance to the inputs.

    Returns
    -------
    ndarray, shape (rows, inputs), or (rows,)
        The relevance of every feature, or of steps.
    Shares
        What biases and stabilizers absorbed.
    CellStates
        What the states with which sequences begin get.
    """
    return _Pass(record, upper, rule).relevance(reach)


class _Pass:
    """One pass back over the steps."""

    def __init__(self, record: GruRecord, upper: Upper, rule: LrpRule) -> None:
        cell, rows, dtype = record.cell, record.packing.rows, record.h.dtype
        hidden = cell.hidden_size
        self._record, self._upper, self._rule = record, upper, rule
        self._lower = hidden + cell.input_size
        self._values = aligned_empty((rows, hidden), dtype)
        self._shares = np.zeros((rows, 1), dtype)
        self._biases, self._stabilizers = np.zeros(rows), np.zeros((2, rows))
        self._before = before_steps(record.h, record.begun.hidden, record.packing)
        if rule.gives_to_gates:
            negated = aligned_empty((2, rows, hidden), dtype)
            record.inputs.read_gates(slice(rows), negated)
            negated += self._before @ record.inputs.weights.recurrent_gates
            self._z = np.ascontiguousarray(-negated.swapaxes(0, 1)).reshape(rows, 2 * hidden)
            gates = ACTIVATIONS[record.layer.gate_activation](-negated)
            self._reset, self._update = gates[RESET], gates[UPDATE]
            self._n = ACTIVATIONS[record.layer.activation](record.z_n)
            self._gate_values = aligned_empty((rows, 2 * hidden), dtype)

    def relevance(self, reach: Reach) -> tuple[Floats, Shares, CellStates]:
        record, upper = self._record, self._upper
        packing, cell = record.packing, record.cell
        r_h = np.zeros((packing.batch, cell.hidden_size), record.h.dtype)
        if upper.at_end is not None:
            r_h[:] = upper.at_end
        for rows in reversed(list(packing.slices())):
            n = rows.stop - rows.start
            of_h = r_h[:n] if upper.at_steps is None else r_h[:n] + upper.at_steps[rows]
            r_h[:n] = self._step(rows, of_h)
        shares = Shares.lost(self._biases, self._stabilizers, packing)
        return self._of_inputs(reach), shares, CellStates(r_h)

    def _step(self, rows: slice, of_h: Floats) -> Floats:
        """What the hidden state before a step gets of that behind it."""
        record, rule = self._record, self._rule
        cell, hidden = record.cell, record.cell.hidden_size
        before = self._before[rows]
        summed = self._messages(rows, of_h, record.h[rows], None, 2 * hidden)
        of_before: Floats = record.zh[rows] * summed.values + summed.share
        of_n: Floats = record.cn[rows] * summed.values + summed.share
        of_update = None
        if rule.gives_to_gates:
            update = self._update[rows]
            of_before, of_update = self._split(rows, update, before, of_before)
            of_n, more = self._split(rows, 1.0 - update, self._n[rows], of_n)
            of_update = of_update + more
        found = self._messages(rows, of_n, record.z_n[rows], cell.bias[NEW], self._lower)
        self._values[rows] = found.values
        self._shares[rows] += found.share
        of_product: Floats
        if cell.reset_after:
            of_product = record.ru[rows] * found.values + found.share
        else:
            of_product = record.ru[rows] * (found.values @ cell.recurrent[NEW]) + found.share
        of_reset = None
        if rule.gives_to_gates:
            reset = self._reset[rows]
            of_product, of_reset = self._split(rows, reset, record.u[rows], of_product)
        if cell.reset_after:
            u = self._messages(rows, of_product, record.u[rows], cell.recurrent_bias, hidden)
            of_before = of_before + before * (u.values @ cell.recurrent[NEW]) + u.share
        else:
            of_before = of_before + of_product
        if of_reset is not None and of_update is not None:
            of_gates = np.concatenate([of_reset, of_update], axis=1)
            of_before = of_before + self._of_gates(rows, of_gates, before)
        return of_before

    def _of_gates(self, rows: slice, of_gates: Floats, before: Floats) -> Floats:
        """What the hidden state before a step gets of its gates."""
        cell = self._record.cell
        bias = cell.bias[[RESET, UPDATE]].reshape(-1)
        found = self._messages(rows, of_gates, self._z[rows], bias, self._lower)
        self._gate_values[rows] = found.values
        self._shares[rows] += found.share
        recurrent = cell.recurrent[[RESET, UPDATE]].reshape(-1, cell.hidden_size)
        of_before: Floats = before * (found.values @ recurrent) + found.share
        return of_before

    def _messages(
        self, rows: slice, relevance: Floats, z: Floats, bias: Floats | None, lower: int
    ) -> Messages:
        """The messages of a linear map; what it absorbs is put down."""
        found = self._rule.messages(relevance, z, bias, lower)
        self._biases[rows] += found.biases
        self._stabilizers[:, rows] += found.stabilizers
        return found

    def _split(
        self, rows: slice, gate: Floats, signal: Floats, relevance: Floats
    ) -> tuple[Floats, Floats]:
        """What a signal gets of its product with a gate, and what the gate."""
        split = split_product(gate, signal, relevance, self._rule)
        if split.stabilizers is not None:
            self._stabilizers[:, rows] += split.stabilizers
        assert split.gate is not None  # by a rule that gives to gates
        return split.signal, split.gate

    def _of_inputs(self, reach: Reach) -> Floats:
        """The relevance of the inputs, once all steps are done."""
        cell, inputs, rows = self._record.cell, self._record.inputs, len(self._values)
        if reach == "steps" and not self._rule.gives_to_gates:
            # x . (W^T s) = (W x) . s, which needs no product with W.
            products = aligned_empty(self._values.shape, self._values.dtype)
            inputs.read_products(slice(rows), products)
            of_steps = np.empty(rows, self._values.dtype)
            row_dots(products, self._values, of_steps)
            return of_steps + cell.input_size * self._shares[:, 0]
        down: Floats = self._values @ cell.input[NEW]
        if self._rule.gives_to_gates:
            weights = cell.input[[RESET, UPDATE]].reshape(-1, cell.input_size)
            down += self._gate_values @ weights
        of_inputs: Floats = down * inputs.features + self._shares
        return of_inputs if reach == "features" else of_inputs.sum(axis=1)
