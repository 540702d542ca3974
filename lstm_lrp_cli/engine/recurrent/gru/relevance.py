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
from lstm_lrp_cli.engine.rules import LrpRule, split_product
from lstm_lrp_cli.model import Floats
from .cell import GruRecord

# The linear maps of a step.
_SUM, _NEW, _PRODUCT, _GATES = range(4)


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
        batch = record.packing.batch
        self._values = aligned_empty((rows, hidden), dtype)
        self._shares = np.zeros(rows, dtype)
        # What biases and stabilizers (by size as well) get of each map, before any of it is
        # redistributed: of the sum, the candidate, the product in it, and the gates.
        self._biases, self._stabilizers = np.zeros((4, rows), dtype), np.zeros((4, 2, rows), dtype)
        self._of_splits = np.zeros((2, rows))
        self._sums, self._products = aligned_empty((2, batch, hidden), dtype)
        self._scratch = aligned_empty((2, batch * 2 * hidden), dtype)
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
            self._step(rows, of_h, r_h[:n])
        kept = 1.0 - self._rule.bias_factor
        biases = kept * packing.total(self._biases.sum(axis=0))
        stabilizers = kept * packing.totals(self._stabilizers.sum(axis=0))
        lost = Shares(np.zeros(packing.batch), biases, stabilizers)
        if self._rule.gives_to_gates:
            lost += Shares.lost(np.zeros(packing.rows), self._of_splits, packing)
        return self._of_inputs(reach), lost, CellStates(r_h)

    def _step(self, rows: slice, of_h: Floats, of_before: Floats) -> None:
        """Write what the hidden state before a step gets of that behind it."""
        record, rule, n = self._record, self._rule, rows.stop - rows.start
        cell, hidden = record.cell, record.cell.hidden_size
        before, sums = self._before[rows], self._sums[:n]
        share = self._messages(_SUM, rows, of_h, record.h[rows], None, sums)
        np.multiply(record.zh[rows], sums, out=of_before)
        of_n = np.multiply(record.cn[rows], sums, out=sums)
        if rule.bias_factor:
            both = rule.shared(share, 2 * hidden)[:, np.newaxis]
            of_before += both
            of_n += both
        of_gates = None
        if rule.gives_to_gates:
            update = self._update[rows]
            of_before[...], of_update = self._split(rows, update, before, of_before)
            of_n[...], more = self._split(rows, 1.0 - update, self._n[rows], of_n)
            of_gates = of_update + more
        values = self._values[rows]
        share = self._messages(_NEW, rows, of_n, record.z_n[rows], cell.bias[NEW], values)
        of_product = self._products[:n]
        if cell.reset_after:
            np.multiply(record.ru[rows], values, out=of_product)
        else:
            np.multiply(record.ru[rows], values @ cell.recurrent[NEW], out=of_product)
        if rule.bias_factor:
            handed_on = rule.shared(share, self._lower)
            self._shares[rows] += handed_on
            of_product += handed_on[:, np.newaxis]
        if of_gates is not None:
            reset = self._reset[rows]
            of_product[...], of_reset = self._split(rows, reset, record.u[rows], of_product)
            of_gates = np.concatenate([of_reset, of_gates], axis=1)
        if cell.reset_after:
            bias, u = cell.recurrent_bias, record.u[rows]
            share = self._messages(_PRODUCT, rows, of_product, u, bias, of_product)
            np.dot(of_product, cell.recurrent[NEW], out=sums)
            np.multiply(sums, before, out=sums)
            of_before += sums
            if rule.bias_factor:
                of_before += rule.shared(share, hidden)[:, np.newaxis]
        else:
            of_before += of_product
        if of_gates is not None:
            of_before += self._of_gates(rows, of_gates, before)

    def _of_gates(self, rows: slice, of_gates: Floats, before: Floats) -> Floats:
        """What the hidden state before a step gets of its gates."""
        cell, values = self._record.cell, self._gate_values[rows]
        bias = cell.bias[[RESET, UPDATE]].reshape(-1)
        share = self._messages(_GATES, rows, of_gates, self._z[rows], bias, values)
        handed_on = self._rule.shared(share, self._lower)
        self._shares[rows] += handed_on
        recurrent = cell.recurrent[[RESET, UPDATE]].reshape(-1, cell.hidden_size)
        of_before: Floats = before * (values @ recurrent) + handed_on[:, np.newaxis]
        return of_before

    def _messages(
        self,
        place: int,
        rows: slice,
        relevance: Floats,
        z: Floats,
        bias: Floats | None,
        values: Floats,
    ) -> Floats:
        """Write the messages of a linear map to `values`; what biases and stabilizers get, (n,)."""
        scratch = self._scratch[:, : z.size].reshape(2, *z.shape)
        stabilizers = self._stabilizers[place, :, rows]
        self._rule.divide(relevance, z, values, stabilizers, scratch)
        if bias is not None:
            np.dot(values, bias, out=self._biases[place, rows])
        absorbed: Floats = self._biases[place, rows] + stabilizers[0]
        return absorbed

    def _split(
        self, rows: slice, gate: Floats, signal: Floats, relevance: Floats
    ) -> tuple[Floats, Floats]:
        """What a signal gets of its product with a gate, and what the gate."""
        split = split_product(gate, signal, relevance, self._rule)
        if split.stabilizers is not None:
            self._of_splits[:, rows] += split.stabilizers
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
            return of_steps + cell.input_size * self._shares
        down: Floats = self._values @ cell.input[NEW]
        if self._rule.gives_to_gates:
            weights = cell.input[[RESET, UPDATE]].reshape(-1, cell.input_size)
            down += self._gate_values @ weights
        of_inputs: Floats = down * inputs.features + self._shares[:, np.newaxis]
        return of_inputs if reach == "features" else of_inputs.sum(axis=1)
