"""The gradient of a score through one GRU cell over a packed batch (Werbos 1990)."""

import numpy as np

from lstm_lrp_cli.engine.activations import activate, pull_back, relative_slopes
from lstm_lrp_cli.engine.arrays import aligned_empty
from lstm_lrp_cli.engine.records import Reach
from lstm_lrp_cli.engine.recurrent.passing import add_up, gradient_of
from lstm_lrp_cli.engine.recurrent.states import CellStates, StateAmounts
from lstm_lrp_cli.engine.recurrent.weights import Maps
from lstm_lrp_cli.model import Floats
from .cell import GruCellRecord


def gradient(
    record: GruCellRecord, above: StateAmounts, reach: Reach, to_states: bool
) -> tuple[Floats, CellStates]:
    """Pass the gradient with respect to the hidden states to the inputs.

    Parameters and results are as an LSTM cell's. As there, a gate's pre-activation gets of a
    product what that is at hand, times the gate's slope over the gate.
    """
    if record.gates is None:
        raise ValueError("the forward pass did not keep the gates")
    packing, layer, cell = record.packing, record.layer, record.cell
    batch, dtype = packing.batch, record.h.dtype
    maps = Maps.of(cell)
    of_gates, of_candidate = maps.recurrent[maps.gates], maps.recurrent[maps.candidate]
    [d_h] = above.after_last(batch, cell)
    at_steps, _ = above.of_steps
    passed = aligned_empty((4, batch, cell.hidden_size), dtype)
    space = aligned_empty((3, batch, cell.hidden_size), dtype)
    collected = gradient_of(reach, record)
    running = -1
    for rows in reversed(list(packing.slices())):
        n = rows.stop - rows.start
        if n != running:  # a view is made once, and not at every step
            running = n
            of_h, of_before = d_h[:n], passed[:, :n]
            signal, of_signal, of_states = space[:, :n]
        if at_steps is not None:
            np.add(of_h, at_steps[rows], out=of_h)
        r, z = record.gates[:, rows]
        of_z = collected.gradients(rows)
        of_reset, of_update, of_n = of_z
        relative_slopes(layer.gate_activation, record.gates[:, rows], of_z[:2])
        # h = z h_before + (1 - z) n
        candidate = record.z_n[rows]
        activate(layer.activation, candidate, out=signal)
        np.multiply(z, signal, out=of_signal)
        np.subtract(record.kept[rows], of_signal, out=of_signal)
        np.multiply(of_update, of_signal, out=of_update)
        np.multiply(of_update, of_h, out=of_update)
        np.multiply(z, of_h, out=of_before[3])
        np.subtract(of_h, of_before[3], out=of_signal)
        pull_back(layer.activation, candidate, signal, of_signal, of_n)
        # Of the reset gate's products, each its own unit's, or all by U.
        if record.u is None:
            np.dot(of_n, of_candidate, out=of_states)
        np.multiply(of_reset, record.reset[rows], out=of_reset)
        np.multiply(of_reset, of_n if record.u is not None else of_states, out=of_reset)
        collected.take(rows)
        if rows.start or to_states:
            np.matmul(of_z[:2], of_gates, out=of_before[:2])
            if record.u is None:
                np.multiply(of_states, r, out=of_before[2])
            else:
                np.multiply(of_n, r, out=of_states)
                np.dot(of_states, of_candidate, out=of_before[2])
            add_up(of_before, of_h)
    return collected.result(), CellStates(d_h)
