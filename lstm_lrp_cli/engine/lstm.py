"""The LSTM: its forward pass and its relevance by LRP-all, in one direction or both.

Arras et al. 2017, "Explaining Recurrent Neural Network Predictions in Sentiment Analysis": of a
gate times a signal the signal gets all relevance; the cell sum and the cell candidate are linear
maps under the epsilon rule.
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
from lstm_lrp_cli.model.layers import GateActivationName, Lstm, LstmCell


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
    c, h : ndarray, shape (rows, hidden)
        Cell state and hidden state.
    """

    cell: LstmCell
    packing: Packing
    inputs: Floats
    z_g: Floats
    ig: Floats
    fc: Floats
    c: Floats
    h: Floats

    def relevance(self, relevance: Floats, rule: EpsilonRule) -> tuple[Floats, Shares]:
        """Pass the hidden states' relevance, shape (rows, hidden), to the inputs."""
        packing, hidden = self.packing, self.cell.hidden_size
        w_g, u_g = self.cell.input[CANDIDATE], self.cell.recurrent[CANDIDATE]
        b_g = self.cell.bias[CANDIDATE]
        feeding = hidden + self.cell.input_size
        # One message a row, so that the product with W is one product for all steps at the end.
        values = np.empty_like(self.z_g)
        share = np.empty((packing.rows, 1), dtype=values.dtype)
        biases, stabilizers = np.zeros(packing.batch), np.zeros(packing.batch)
        r_h = np.zeros((packing.batch, hidden), dtype=values.dtype)
        r_c = np.zeros_like(r_h)
        slices = list(packing.steps())
        for step in range(len(slices) - 1, -1, -1):
            rows = slices[step]
            n = rows.stop - rows.start
            # h = o tanh(c): all to the cell state, which the next step's cell state feeds too.
            cell_sum = rule.messages(
                r_h[:n] + relevance[rows] + r_c[:n], self.c[rows], None, 2 * hidden
            )
            r_c[:n] = self.fc[rows] * cell_sum.values + cell_sum.share
            r_g = self.ig[rows] * cell_sum.values + cell_sum.share
            candidate = rule.messages(r_g, self.z_g[rows], b_g, feeding)
            values[rows], share[rows] = candidate.values, candidate.share
            r_h[:n] = candidate.share
            if step:
                before = slices[step - 1].start
                r_h[:n] += self.h[before : before + n] * (candidate.values @ u_g)
            biases[:n] += candidate.biases
            stabilizers[:n] += cell_sum.stabilizers + candidate.stabilizers
        initial = r_h.sum(axis=1, dtype=np.float64) + r_c.sum(axis=1, dtype=np.float64)
        return self.inputs * (values @ w_g) + share, Shares(initial, biases, stabilizers)


@dataclass(frozen=True, slots=True, eq=False)
class LstmRecord:
    """An LSTM's forward pass: its cells' own, and their outputs merged in the input's order."""

    layer: Lstm
    packing: Packing
    cells: Sequence[CellRecord]
    parts: Sequence[Floats]
    outputs: Floats

    def relevance(self, relevance: Floats, rule: EpsilonRule) -> tuple[Floats, Shares]:
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
            if returns_last:
                shares += Shares.unstarted(part, packing)
                hidden = np.zeros_like(record.h)
                hidden[packing.last] = part[: packing.started]
            else:
                hidden = _in_order(record.cell, part, packing)
            inputs, kept = record.relevance(hidden, rule)
            down += _in_order(record.cell, inputs, packing)
            shares += kept
        return down, shares


def run(layer: Lstm, inputs: Floats, packing: Packing) -> LstmRecord:
    """Run an LSTM over a packed batch of inputs, shape (rows, inputs).

    The outputs are of shape (batch, units) where the layer returns the last state, else
    (rows, units). The last state of a sequence without steps is the initial one, zero.
    """
    cells, parts = [], []
    for cell in layer.cells:
        record = _run_cell(cell, _in_order(cell, inputs, packing), packing, layer.gate_activation)
        cells.append(record)
        if layer.returns == "last":
            last = np.zeros((packing.batch, cell.hidden_size), dtype=inputs.dtype)
            last[: packing.started] = record.h[packing.last]
            parts.append(last)
        else:
            parts.append(_in_order(cell, record.h, packing))
    return LstmRecord(layer, packing, cells, parts, merging.merge(layer.merge, parts))


def _in_order(cell: LstmCell, rows: Floats, packing: Packing) -> Floats:
    """Bring rows from the input's order to the cell's reading order, or back."""
    return rows[packing.reverse] if cell.backward else rows


def _run_cell(
    cell: LstmCell, inputs: Floats, packing: Packing, gate_activation: GateActivationName
) -> CellRecord:
    """z = W x_t + U h_{t-1} + b; c_t = f c_{t-1} + i g; h_t = o tanh(c_t)."""
    gates, hidden, _ = cell.input.shape
    squash = ACTIVATIONS[gate_activation]
    w = cell.input.reshape(gates * hidden, -1)
    u = cell.recurrent.reshape(gates * hidden, hidden)
    z = inputs @ w.T + cell.bias.reshape(-1)
    ig, fc, c, h = (np.zeros((packing.rows, hidden), dtype=z.dtype) for _ in range(4))
    z_g = np.empty_like(c)
    before = 0
    for rows in packing.steps():
        n = rows.stop - rows.start
        z_t = z[rows]
        if rows.start:
            z_t = z_t + h[before : before + n] @ u.T
        z_t = z_t.reshape(n, gates, hidden)
        z_g[rows] = z_t[:, CANDIDATE]
        ig[rows] = squash(z_t[:, INPUT]) * np.tanh(z_t[:, CANDIDATE])
        if rows.start:
            fc[rows] = squash(z_t[:, FORGET]) * c[before : before + n]
        c[rows] = fc[rows] + ig[rows]
        h[rows] = squash(z_t[:, OUTPUT]) * np.tanh(c[rows])
        before = rows.start
    return CellRecord(cell, packing, inputs, z_g, ig, fc, c, h)
