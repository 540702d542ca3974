"""The gradient of a score through one LSTM cell over a packed batch.

Backpropagation through time (Werbos 1990), with respect to the inputs alone. Of a gate times a
signal, q a, the gate's pre-activation gets q' a = (q a) (q'/q), of which the forward pass has the
product. As in `cell`, the loop writes into the same few arrays at every step.
"""

import numpy as np

from lstm_lrp_cli.engine.activations import activate, pull_back, relative_slopes
from lstm_lrp_cli.engine.arrays import aligned_empty
from lstm_lrp_cli.engine.records import Reach
from lstm_lrp_cli.engine.recurrent.passing import add_up, gradient_of
from lstm_lrp_cli.engine.recurrent.states import CellStates, StateAmounts
from lstm_lrp_cli.engine.recurrent.weights import Maps
from lstm_lrp_cli.model import Floats
from .cell import LstmCellRecord


def gradient(
    record: LstmCellRecord, above: StateAmounts, reach: Reach, to_states: bool
) -> tuple[Floats, CellStates]:
    """Pass the gradient with respect to the states to the inputs.

    Parameters
    ----------
    record : LstmCellRecord
        Of a forward pass that kept the gates.
    above : StateAmounts
        The gradient.
    reach : {"features", "steps"}
    to_states : bool
        Whether that of the states with which sequences begin is asked for.

    Returns
    -------
    ndarray, shape (rows, inputs), or (rows,)
        The gradient of every feature, or, of steps, its product with the input x.
    CellStates
        That of the states with which sequences begin, where it is asked for.
    """
    if record.gates is None:
        raise ValueError("the forward pass did not keep the gates")
    packing, layer, cell = record.packing, record.layer, record.cell
    batch, dtype = packing.batch, record.m.dtype
    maps = Maps.of(cell)
    recurrent = maps.recurrent[maps.order]
    d_h, d_c = above.after_last(batch, cell)
    at_steps, cell_at_steps = above.of_steps
    passed = aligned_empty((4, batch, cell.output_size), dtype)
    space = aligned_empty((4, batch, cell.hidden_size), dtype)
    collected = gradient_of(reach, record)
    running = -1
    for rows in reversed(list(packing.slices())):
        n = rows.stop - rows.start
        if n != running:  # a view is made once, and not at every step
            running = n
            of_h, of_c, of_gates = d_h[:n], d_c[:n], passed[:, :n]
            c, signal, scratch, of_signal = space[:, :n]
        if at_steps is not None:
            np.add(of_h, at_steps[rows], out=of_h)
        if cell_at_steps is not None:
            np.add(of_c, cell_at_steps[rows], out=of_c)
        of_m = of_h if cell.projection is None else of_h @ cell.projection
        gates, ig, fc = record.gates[:, rows], record.ig[rows], record.fc[rows]
        of_z = collected.gradients(rows)
        of_i, of_f, of_o, of_g = of_z
        relative_slopes(layer.gate_activation, gates, of_z[:3])
        # m = o a(c)
        np.multiply(of_o, record.m[rows], out=of_o)
        np.multiply(of_o, of_m, out=of_o)
        np.add(ig, fc, out=c)
        activate(layer.activation, c, out=signal)
        np.multiply(of_m, gates[2], out=of_signal)
        pull_back(layer.activation, c, signal, of_signal, scratch)
        np.add(of_c, scratch, out=of_c)
        # c = i a(z_g) + f c_before
        np.multiply(of_i, ig, out=of_i)
        np.multiply(of_i, of_c, out=of_i)
        np.multiply(of_f, fc, out=of_f)
        np.multiply(of_f, of_c, out=of_f)
        candidate = record.z_g[rows]
        activate(layer.activation, candidate, out=signal)
        np.multiply(of_c, gates[0], out=of_signal)
        pull_back(layer.activation, candidate, signal, of_signal, of_g)
        collected.take(rows)
        if rows.start or to_states:
            np.multiply(of_c, gates[1], out=of_c)
            np.matmul(of_z, recurrent, out=of_gates)
            add_up(of_gates, of_h)
    return collected.result(), CellStates(d_h, d_c)
