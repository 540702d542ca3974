"""One GRU cell's forward pass over a packed batch; its loop writes into few arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lstm_lrp_cli.engine.activations import activate, invert_gates
from lstm_lrp_cli.engine.arrays import Packing, aligned_empty
from lstm_lrp_cli.engine.recurrent.inputs import CellInput
from lstm_lrp_cli.engine.recurrent.states import CellStates
from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.recurrent import Gru, GruCell


@dataclass(frozen=True, slots=True, eq=False)
class GruRecord:
    """One cell's forward pass; its rows are in the order in which the cell reads them.

    Parameters
    ----------
    z_n : ndarray, shape (rows, hidden)
        The candidate's pre-activation.
    zh, cn : ndarray, shape (rows, hidden)
        The two terms of the hidden state: z h of the step before, and (1 - z) n.
    u : ndarray, shape (rows, hidden)
        U h + b', or, where the reset gate comes before the product, h of the step before.
    ru : ndarray, shape (rows, hidden)
        The reset gate times that.
    h : ndarray, shape (rows, hidden)
    begun : CellStates
        The states with which sequences begin.
    gates : ndarray, shape (2, rows, hidden), or None
        The activations of the reset and the update gate, where they were to be kept.
    """

    layer: Gru
    cell: GruCell
    packing: Packing
    inputs: CellInput
    z_n: Floats
    zh: Floats
    cn: Floats
    u: Floats
    ru: Floats
    h: Floats
    begun: CellStates
    gates: Floats | None = None


def run(
    layer: Gru,
    cell: GruCell,
    inputs: CellInput,
    packing: Packing,
    begun: CellStates,
    keep_gates: bool = False,
) -> GruRecord:
    """r, z = q(W x + U h + b); n = a(W x + b + r (U h + b')); h = z h + (1 - z) n.

    Where the reset gate comes before the product, n is of U (r h).
    """
    weights, hidden = inputs.weights, cell.hidden_size
    dtype, batch = weights.bias_candidate.dtype, packing.batch
    z_n, zh, cn, u, ru, h = aligned_empty((6, packing.rows, hidden), dtype)
    kept = aligned_empty((2, packing.rows, hidden), dtype) if keep_gates else None
    of_gates, of_inputs = (aligned_empty((2, batch, hidden), dtype) for _ in range(2))
    space = aligned_empty((2, batch, hidden), dtype)
    before = np.zeros((batch, hidden), dtype)
    if begun.hidden is not None:
        before[:] = begun.hidden
    is_zero, running = begun.hidden is None, -1
    for rows in packing.slices():
        n = rows.stop - rows.start
        if n != running:  # a view is made once, and not at every step
            running = n
            gates, gates_of_inputs = of_gates[:, :n], of_inputs[:, :n]
            signal, scratch = space[:, :n]
        h_before, candidate, product, reset = before[:n], z_n[rows], u[rows], ru[rows]
        inputs.read_gates(rows, gates)
        inputs.read_candidate(rows, candidate)
        if not is_zero:
            np.matmul(h_before, weights.recurrent_gates, out=gates_of_inputs)
            np.add(gates, gates_of_inputs, out=gates)
        invert_gates(layer.gate_activation, gates)
        if kept is not None:
            np.reciprocal(gates, out=kept[:, rows])
        if cell.reset_after:
            np.dot(h_before, weights.recurrent_candidate, out=product)
            if cell.recurrent_bias is not None:
                np.add(product, cell.recurrent_bias, out=product)
            np.divide(product, gates[0], out=reset)
            np.add(candidate, reset, out=candidate)
        else:
            product[...] = h_before
            np.divide(h_before, gates[0], out=reset)
            np.dot(reset, weights.recurrent_candidate, out=scratch)
            np.add(candidate, scratch, out=candidate)
        activate(layer.activation, candidate, out=signal)
        np.divide(h_before, gates[1], out=zh[rows])
        np.divide(signal, gates[1], out=scratch)
        np.subtract(signal, scratch, out=cn[rows])
        np.add(zh[rows], cn[rows], out=h[rows])
        before, is_zero = h[rows], False
    return GruRecord(layer, cell, packing, inputs, z_n, zh, cn, u, ru, h, begun, kept)
