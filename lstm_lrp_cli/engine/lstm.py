"""The LSTM: its forward pass and its relevance by LRP-all, in one direction or both.

Arras et al. 2017, "Explaining Recurrent Neural Network Predictions in Sentiment Analysis": of a
gate times a signal the signal gets all relevance; the cell sum and the cell candidate are linear
maps under the epsilon rule, and so is a projection of the hidden state.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lstm_lrp_cli.engine import merging
from lstm_lrp_cli.engine.activations import ACTIVATIONS
from lstm_lrp_cli.engine.packing import Packing
from lstm_lrp_cli.engine.rules import EpsilonRule
from lstm_lrp_cli.engine.shares import Shares
from lstm_lrp_cli.model.arrays import Floats
from lstm_lrp_cli.model.gates import CANDIDATE, FORGET, INPUT, OUTPUT
from lstm_lrp_cli.model.layers import Lstm, LstmCell


@dataclass(frozen=True, slots=True, eq=False)
class CellRecord:
    """One cell's forward pass; its rows are in the order in which the cell reads them.

    Parameters
    ----------
    inputs : ndarray, shape (rows, inputs)
    z_g : ndarray, shape (rows, hidden)
        The cell candidate's pre-activation.
    ig, fc : ndarray, shape (rows, hidden)
        The two terms of the cell state: i * g, and f * c of the step before.
    c : ndarray, shape (rows, hidden)
        The cell state.
    m : ndarray, shape (rows, hidden)
        o * tanh(c): the hidden state, or what is projected to it.
    h : ndarray, shape (rows, outputs)
        The hidden state.
    """

    cell: LstmCell
    packing: Packing
    inputs: Floats
    z_g: Floats
    ig: Floats
    fc: Floats
    c: Floats
    m: Floats
    h: Floats

    def relevance(self, relevance: Floats, rule: EpsilonRule) -> tuple[Floats, Shares]:
        """Pass the hidden states' relevance, shape (rows, outputs), to the inputs."""
        packing, cell = self.packing, self.cell
        hidden, outputs = cell.hidden_size, cell.output_size
        w_g, u_g = cell.input[CANDIDATE], cell.recurrent[CANDIDATE]
        b_g = cell.bias[CANDIDATE]
        feeding = outputs + cell.input_size
        # One message a row, so that the product with W is one product for all steps at the end.
        values = np.empty_like(self.z_g)
        share = np.empty((packing.rows, 1), dtype=values.dtype)
        biases, stabilizers = np.zeros(packing.batch), np.zeros(packing.batch)
        r_h = np.zeros((packing.batch, outputs), dtype=values.dtype)
        r_c = np.zeros((packing.batch, hidden), dtype=values.dtype)
        slices = list(packing.steps())
        for step in range(len(slices) - 1, -1, -1):
            rows = slices[step]
            n = rows.stop - rows.start
            r_m = r_h[:n] + relevance[rows]
            if cell.projection is not None:
                projected = rule.messages(r_m, self.h[rows], None, hidden)
                r_m = self.m[rows] * (projected.values @ cell.projection) + projected.share
                stabilizers[:n] += projected.stabilizers
            # m = o tanh(c): all to the cell state, which the next step's cell state feeds too.
            cell_sum = rule.messages(r_m + r_c[:n], self.c[rows], None, 2 * hidden)
            r_c[:n] = self.fc[rows] * cell_sum.values + cell_sum.share
            r_g = self.ig[rows] * cell_sum.values + cell_sum.share
            candidate = rule.messages(r_g, self.z_g[rows], b_g, feeding)
            values[rows], share[rows] = candidate.values, candidate.share
            r_h[:n] = candidate.share
            before = self._before(step, slices, n)
            if before is not None:
                r_h[:n] += before * (candidate.values @ u_g)
            biases[:n] += candidate.biases
            stabilizers[:n] += cell_sum.stabilizers + candidate.stabilizers
        initial = r_h.sum(axis=1, dtype=np.float64) + r_c.sum(axis=1, dtype=np.float64)
        return self.inputs * (values @ w_g) + share, Shares(initial, biases, stabilizers)

    def _before(self, step: int, slices: Sequence[slice], n: int) -> Floats | None:
        """The hidden state with which a step begins, None where it is zero."""
        if step == 0:
            return self.cell.initial_hidden
        start = slices[step - 1].start
        return self.h[start : start + n]


@dataclass(frozen=True, slots=True, eq=False)
class LstmRecord:
    """An LSTM's forward pass: its cells' own, and their outputs merged in the input's order."""

    layer: Lstm
    packing: Packing
    cells: Sequence[CellRecord]
    parts: Sequence[Floats]
    outputs: Floats

    def relevance(
        self, relevance: Floats, rule: EpsilonRule
    ) -> tuple[Sequence[Floats | None], Shares]:
        packing, returns_last = self.packing, self.layer.returns == "last"
        parts, shares = merging.split(
            self.layer.merge,
            self.parts,
            self.outputs,
            relevance,
            None if returns_last else packing,
            packing.batch,
            rule,
        )
        down = np.zeros_like(self.cells[0].inputs)
        for record, part in zip(self.cells, parts, strict=True):
            assert part is not None  # directions have no gate between them
            if returns_last:
                shares += Shares.unstarted(part, packing)
                hidden = np.zeros_like(record.h)
                hidden[packing.last] = part[: packing.started]
            else:
                hidden = _in_order(record.cell, part, packing)
            inputs, kept = record.relevance(hidden, rule)
            down += _in_order(record.cell, inputs, packing)
            shares += kept
        return [down], shares


def run(layer: Lstm, inputs: Floats, packing: Packing) -> LstmRecord:
    """Run an LSTM over a packed batch of inputs, shape (rows, inputs).

    The outputs are of shape (batch, units) where the layer returns the last state, else
    (rows, units). The last state of a sequence without steps is the initial one.
    """
    cells, parts = [], []
    for cell in layer.cells:
        record = _run_cell(layer, cell, _in_order(cell, inputs, packing), packing)
        cells.append(record)
        if layer.returns == "last":
            last = np.zeros((packing.batch, cell.output_size), dtype=inputs.dtype)
            if cell.initial_hidden is not None:
                last += cell.initial_hidden
            last[: packing.started] = record.h[packing.last]
            parts.append(last)
        else:
            parts.append(_in_order(cell, record.h, packing))
    return LstmRecord(layer, packing, cells, parts, merging.merge(layer.merge, parts))


def _in_order(cell: LstmCell, rows: Floats, packing: Packing) -> Floats:
    """Bring rows from the input's order to the cell's reading order, or back."""
    return rows[packing.reverse] if cell.backward else rows


def _run_cell(layer: Lstm, cell: LstmCell, inputs: Floats, packing: Packing) -> CellRecord:
    """z = W x_t + U h_{t-1} + b; c_t = f c_{t-1} + i g; h_t = o tanh(c_t), or P times that."""
    gates, hidden, _ = cell.input.shape
    squash, activate = ACTIVATIONS[layer.gate_activation], ACTIVATIONS[layer.activation]
    w = cell.input.reshape(gates * hidden, -1)
    u = cell.recurrent.reshape(gates * hidden, -1)
    z = inputs @ w.T + cell.bias.reshape(-1)
    ig, fc, c, m = (np.zeros((packing.rows, hidden), dtype=z.dtype) for _ in range(4))
    h = m if cell.projection is None else np.zeros((packing.rows, len(cell.projection)), z.dtype)
    z_g = np.empty_like(c)
    h_before, c_before = cell.initial_hidden, cell.initial_cell
    for rows in packing.steps():
        n = rows.stop - rows.start
        z_t = z[rows]
        if h_before is not None:
            z_t = z_t + np.atleast_2d(h_before)[:n] @ u.T
        z_t = z_t.reshape(n, gates, hidden)
        z_g[rows] = z_t[:, CANDIDATE]
        ig[rows] = squash(z_t[:, INPUT]) * activate(z_t[:, CANDIDATE])
        if c_before is not None:
            fc[rows] = squash(z_t[:, FORGET]) * np.atleast_2d(c_before)[:n]
        c[rows] = fc[rows] + ig[rows]
        m[rows] = squash(z_t[:, OUTPUT]) * activate(c[rows])
        if cell.projection is not None:
            h[rows] = m[rows] @ cell.projection.T
        h_before, c_before = h[rows], c[rows]
    return CellRecord(cell, packing, inputs, z_g, ig, fc, c, m, h)
