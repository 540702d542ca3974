"""One LSTM cell's forward pass over a packed batch.

The loop writes into the same few arrays at every step, which so stay in the processor's cache.
Products of two matrices are `np.dot`'s, which takes less time to be called than `np.matmul`.
"""

import numpy as np

from lstm_lrp_cli.engine.activations import activate, invert_gates
from lstm_lrp_cli.engine.arrays import aligned_empty
from lstm_lrp_cli.engine.recurrent.cells import CellRecord, Reading
from lstm_lrp_cli.engine.recurrent.states import HIDDEN
from lstm_lrp_cli.model import Floats, Integers
from lstm_lrp_cli.model.recurrent import Lstm, LstmCell


class LstmCellRecord(CellRecord, frozen=True, eq=False):
    """One LSTM cell's forward pass.

    Parameters
    ----------
    cell : LstmCell
    z_g : ndarray, shape (rows, hidden)
        The cell candidate's pre-activation.
    ig, fc : ndarray, shape (rows, hidden)
        The two terms of the cell state: i * g, and f * c of the step before.
    m : ndarray, shape (rows, hidden)
        o * tanh(c): the hidden state, or what is projected to it.
    gates : ndarray, shape (3, rows, hidden), or None
        The activations of the input, forget and output gate, where they were to be kept.
    """

    layer: Lstm
    cell: LstmCell
    z_g: Floats
    ig: Floats
    fc: Floats
    m: Floats
    gates: Floats | None = None

    def states(self, kind: int, rows: Integers | slice = slice(None)) -> Floats:
        if kind == HIDDEN:
            return self.h[rows]
        c: Floats = self.ig[rows] + self.fc[rows]
        return c


def run(layer: Lstm, reading: Reading) -> LstmCellRecord:
    """z = W x_t + U h_{t-1} + b; c_t = f c_{t-1} + i g; h_t = o tanh(c_t), or P times that."""
    cell, packing, inputs = reading.cell, reading.packing, reading.inputs
    assert isinstance(cell, LstmCell)
    weights, hidden = inputs.weights, cell.hidden_size
    dtype = weights.bias_candidate.dtype
    z_g, ig, fc, m = aligned_empty((4, packing.rows, hidden), dtype)
    h = m if cell.projection is None else aligned_empty((packing.rows, cell.output_size), dtype)
    kept = aligned_empty((3, packing.rows, hidden), dtype) if reading.keeps_gates else None
    of_gates, of_inputs = (aligned_empty((3, packing.batch, hidden), dtype) for _ in range(2))
    space = aligned_empty((3, packing.batch, hidden), dtype)
    h_before, c_before = reading.begun.kinds
    running = -1
    for rows in packing.slices():
        n = rows.stop - rows.start
        if n != running:  # a view is made once, and not at every step
            running = n
            gates, gates_of_inputs = of_gates[:, :n], of_inputs[:, :n]
            candidate_of_inputs, signal, c = space[:, :n]
        candidate = z_g[rows]
        if h_before is None:
            inputs.read_gates(rows, gates)
            inputs.read_candidate(rows, candidate)
        else:
            inputs.read_gates(rows, gates_of_inputs)
            inputs.read_candidate(rows, candidate_of_inputs)
            np.matmul(h_before[:n], weights.recurrent_gates, out=gates)
            np.dot(h_before[:n], weights.recurrent_candidate, out=candidate)
            np.add(gates, gates_of_inputs, out=gates)
            np.add(candidate, candidate_of_inputs, out=candidate)
        invert_gates(layer.gate_activation, gates)
        if kept is not None:
            np.reciprocal(gates, out=kept[:, rows])
        activate(layer.activation, candidate, out=signal)
        np.divide(signal, gates[0], out=ig[rows])
        if c_before is None:
            fc[rows] = 0.0
        else:
            np.divide(c_before[:n], gates[1], out=fc[rows])
        np.add(ig[rows], fc[rows], out=c)
        activate(layer.activation, c, out=signal)
        np.divide(signal, gates[2], out=m[rows])
        if cell.projection is not None:
            h[rows] = m[rows] @ cell.projection.T
        h_before, c_before = h[rows], c
    return LstmCellRecord(layer, reading, h, cell, z_g, ig, fc, m, kept)
