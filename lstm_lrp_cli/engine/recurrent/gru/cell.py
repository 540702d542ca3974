"""One GRU cell's forward pass over a packed batch.

As in an LSTM's, the loop writes into the same few arrays at every step.
"""

import numpy as np

from lstm_lrp_cli.engine.activations import activate, invert_gates
from lstm_lrp_cli.engine.arrays import aligned_empty
from lstm_lrp_cli.engine.recurrent.cells import CellRecord, Reading
from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.recurrent import Gru, GruCell


class GruCellRecord(CellRecord, frozen=True, eq=False):
    """One GRU cell's forward pass.

    Parameters
    ----------
    cell : GruCell
    z_n : ndarray, shape (rows, hidden)
        The candidate's pre-activation.
    kept : ndarray, shape (rows, hidden)
        z * h of the step before: the hidden state is its sum with (1 - z) * n.
    reset : ndarray, shape (rows, hidden)
        The reset gate's products: r * (U h + b'), or r * h where it comes before.
    u : ndarray, shape (rows, hidden), or None
        U h + b'; None where the reset gate comes before.
    gates : ndarray, shape (2, rows, hidden), or None
        The activations of the reset and the update gate, where they were to be kept.
    """

    layer: Gru
    cell: GruCell
    z_n: Floats
    kept: Floats
    reset: Floats
    u: Floats | None
    gates: Floats | None = None


def run(layer: Gru, reading: Reading) -> GruCellRecord:
    """Run the steps of all sequences, as `GruCell` has them."""
    cell, packing, inputs = reading.cell, reading.packing, reading.inputs
    assert isinstance(cell, GruCell)
    weights, hidden, batch = inputs.weights, cell.hidden_size, packing.batch
    dtype = weights.bias_candidate.dtype
    z_n, kept, reset, h = aligned_empty((4, packing.rows, hidden), dtype)
    u = aligned_empty((packing.rows, hidden), dtype) if cell.reset_after else None
    opened = aligned_empty((2, packing.rows, hidden), dtype) if reading.keeps_gates else None
    of_gates, of_inputs = (aligned_empty((2, batch, hidden), dtype) for _ in range(2))
    space = aligned_empty((2, batch, hidden), dtype)
    h_before = reading.begun.hidden
    running = -1
    for rows in packing.slices():
        n = rows.stop - rows.start
        if n != running:  # a view is made once, and not at every step
            running = n
            gates, gates_of_inputs = of_gates[:, :n], of_inputs[:, :n]
            candidate_of_inputs, signal = space[:, :n]
        inputs.read_candidate(rows, candidate_of_inputs)
        if h_before is None:
            inputs.read_gates(rows, gates)
        else:
            h_before = h_before[:n]
            inputs.read_gates(rows, gates_of_inputs)
            np.matmul(h_before, weights.recurrent_gates, out=gates)
            np.add(gates, gates_of_inputs, out=gates)
        invert_gates(layer.gate_activation, gates)
        if opened is not None:
            np.reciprocal(gates, out=opened[:, rows])
        candidate, products = z_n[rows], reset[rows]
        if u is not None:
            of_states = u[rows]
            _write_states(cell, weights.recurrent_candidate, h_before, of_states)
            np.divide(of_states, gates[0], out=products)
            np.add(candidate_of_inputs, products, out=candidate)
        elif h_before is None:
            products[...] = 0.0
            candidate[...] = candidate_of_inputs
        else:
            np.divide(h_before, gates[0], out=products)
            np.dot(products, weights.recurrent_candidate, out=candidate)
            np.add(candidate, candidate_of_inputs, out=candidate)
        activate(layer.activation, candidate, out=signal)
        # (1 - z) n as n - z n
        np.divide(signal, gates[1], out=candidate_of_inputs)
        np.subtract(signal, candidate_of_inputs, out=signal)
        if h_before is None:
            kept[rows] = 0.0
        else:
            np.divide(h_before, gates[1], out=kept[rows])
        np.add(kept[rows], signal, out=h[rows])
        h_before = h[rows]
    return GruCellRecord(layer, reading, h, cell, z_n, kept, reset, u, opened)


def _write_states(cell: GruCell, recurrent: Floats, h_before: Floats | None, out: Floats) -> None:
    """Write U h + b'."""
    if h_before is None:
        out[...] = 0.0
    else:
        np.dot(h_before, recurrent, out=out)
    if cell.recurrent_bias is not None:
        np.add(out, cell.recurrent_bias, out=out)
