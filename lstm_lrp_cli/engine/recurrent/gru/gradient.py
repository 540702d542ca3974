"""The gradient of a score through one GRU cell over a packed batch (Werbos 1990)."""

from __future__ import annotations

import numpy as np

from lstm_lrp_cli.engine.activations import ACTIVATIONS, SLOPES, pull_back
from lstm_lrp_cli.engine.arrays import aligned_empty
from lstm_lrp_cli.engine.recurrent.inputs import NEW, RESET, UPDATE
from lstm_lrp_cli.engine.recurrent.states import CellStates, Upper, before_steps
from lstm_lrp_cli.model import Floats
from .cell import GruRecord


def gradient(record: GruRecord, upper: Upper) -> tuple[Floats, CellStates]:
    """Pass the gradient with respect to the hidden states to the inputs.

    Parameters
    ----------
    record : GruRecord
        Of a forward pass that kept the gates.

    Returns
    -------
    ndarray, shape (rows, inputs)
    CellStates
        The gradient with respect to the states with which sequences begin.
    """
    if record.gates is None:
        raise ValueError("the forward pass did not keep the gates")
    packing, layer, cell = record.packing, record.layer, record.cell
    before = before_steps(record.h, record.begun.hidden, packing)
    n_all = ACTIVATIONS[layer.activation](record.z_n)
    slopes = SLOPES[layer.gate_activation](record.gates, record.gates)  # the outputs tell them
    of_z = aligned_empty((3, packing.rows, cell.hidden_size), record.h.dtype)
    d_h = np.zeros((packing.batch, cell.hidden_size), record.h.dtype)
    if upper.at_end is not None:
        d_h[:] = upper.at_end
    for rows in reversed(list(packing.slices())):
        n = rows.stop - rows.start
        of_h = d_h[:n] if upper.at_steps is None else d_h[:n] + upper.at_steps[rows]
        reset, update = record.gates[:, rows]
        candidate = of_z[NEW, rows]
        pull_back(layer.activation, record.z_n[rows], n_all[rows], of_h * (1.0 - update), candidate)
        of_update = of_h * (before[rows] - n_all[rows])
        if cell.reset_after:
            of_reset = candidate * record.u[rows]
            of_before = (candidate * reset) @ cell.recurrent[NEW]
        else:
            of_product = candidate @ cell.recurrent[NEW]
            of_reset, of_before = of_product * record.u[rows], of_product * reset
        np.multiply(of_reset, slopes[RESET, rows], out=of_z[RESET, rows])
        np.multiply(of_update, slopes[UPDATE, rows], out=of_z[UPDATE, rows])
        of_before += of_h * update
        of_before += of_z[RESET, rows] @ cell.recurrent[RESET]
        of_before += of_z[UPDATE, rows] @ cell.recurrent[UPDATE]
        d_h[:n] = of_before
    of_inputs: Floats = sum(
        (of_z[gate] @ cell.input[gate] for gate in (UPDATE, NEW)), of_z[RESET] @ cell.input[RESET]
    )
    return of_inputs, CellStates(d_h)
