"""The gradient of a score through one LSTM cell over a packed batch.

Backpropagation through time (Werbos 1990), with respect to the inputs alone. Of a gate times a
signal, q a, the gate's pre-activation gets q' a = (q a) (q'/q), of which the forward pass has the
product. As in `cell`, the loop writes into the same few arrays at every step.
"""

from typing import Protocol

import numpy as np

from lstm_lrp_cli.engine.activations import activate, pull_back, relative_slopes
from lstm_lrp_cli.engine.arrays import aligned_empty, row_dots
from lstm_lrp_cli.engine.cell import CellRecord
from lstm_lrp_cli.engine.cell_input import CellInput
from lstm_lrp_cli.engine.reach import Reach
from lstm_lrp_cli.model.arrays import Floats
from lstm_lrp_cli.model.gates import CANDIDATE, FORGET, INPUT, OUTPUT
from lstm_lrp_cli.model.layers import Lstm, LstmCell


def gradient(
    layer: Lstm,
    record: CellRecord,
    at_end: Floats | None,
    at_steps: Floats | None,
    reach: Reach,
) -> Floats:
    """Pass the gradient with respect to the hidden states to the inputs.

    Parameters
    ----------
    record : CellRecord
        Of a forward pass that kept the gates.
    at_end : ndarray, shape (batch, outputs), or None
        The gradient with respect to the state after a sequence's last step, if there is none with
        respect to that of every step.
    at_steps : ndarray, shape (rows, outputs), or None
    reach : {"features", "steps"}

    Returns
    -------
    ndarray, shape (rows, inputs), or (rows,)
        The gradient of every feature, or, of whole steps, its product with the input x.
    """
    if record.gates is None:
        raise ValueError("the forward pass did not keep the gates")
    packing, cell = record.packing, record.cell
    hidden, outputs, batch = cell.hidden_size, cell.output_size, packing.batch
    dtype = record.m.dtype
    # The gates' weights one above the other, for one product with the gradients side by side.
    recurrent = cell.recurrent.reshape(4 * hidden, outputs)
    d_h = aligned_empty((batch, outputs), dtype)
    d_h[:] = 0.0 if at_end is None else at_end
    d_c = aligned_empty((batch, hidden), dtype)
    d_c[:] = 0.0
    space = aligned_empty((6, batch, hidden), dtype)
    collected = _collected(reach, record)
    running = -1
    for rows in reversed(list(packing.steps())):
        n = rows.stop - rows.start
        if n != running:  # a view is made once, and not at every step
            running = n
            of_h, of_c = d_h[:n], d_c[:n]
            slopes, (c, signal, scratch) = space[:3, :n], space[3:, :n]
        if at_steps is not None:
            np.add(of_h, at_steps[rows], out=of_h)
        of_m = of_h if cell.projection is None else of_h @ cell.projection
        gates, ig, fc, z_g = (
            record.gates[:, rows],
            record.ig[rows],
            record.fc[rows],
            record.z_g[rows],
        )
        of_z = collected.gradients(rows)
        relative_slopes(layer.gate_activation, gates, slopes)
        # m = o a(c)
        np.multiply(of_m, record.m[rows], out=scratch)
        np.multiply(scratch, slopes[2], out=of_z[OUTPUT])
        np.add(ig, fc, out=c)
        activate(layer.activation, c, out=signal)
        np.multiply(of_m, gates[2], out=scratch)
        pull_back(layer.activation, c, signal, scratch, slopes[2])
        np.add(of_c, slopes[2], out=of_c)
        # c = i a(z_g) + f c_before
        np.multiply(of_c, ig, out=scratch)
        np.multiply(scratch, slopes[0], out=of_z[INPUT])
        np.multiply(of_c, fc, out=scratch)
        np.multiply(scratch, slopes[1], out=of_z[FORGET])
        activate(layer.activation, z_g, out=signal)
        np.multiply(of_c, gates[0], out=scratch)
        pull_back(layer.activation, z_g, signal, scratch, of_z[CANDIDATE])
        np.multiply(of_c, gates[1], out=of_c)
        np.matmul(collected.take(rows), recurrent, out=of_h)
    return collected.result()


class _Collected(Protocol):
    """Takes the gradient of a cell's pre-activations, step by step from the last."""

    def gradients(self, rows: slice) -> Floats:
        """Where those of a step are to be written, shape (4, n, hidden)."""
        ...

    def take(self, rows: slice) -> Floats:
        """Take them as they are written now; they are returned side by side, (n, 4 hidden)."""
        ...

    def result(self) -> Floats:
        """What has come of them, once all steps are done."""
        ...


class _Features:
    """The gradient of every feature, shape (rows, inputs): one product with W for all steps."""

    def __init__(self, cell: LstmCell, rows: int) -> None:
        self._weights = cell.input.reshape(4 * cell.hidden_size, cell.input_size)
        self._gradients = aligned_empty((rows, 4 * cell.hidden_size), cell.input.dtype)

    def gradients(self, rows: slice) -> Floats:
        return _by_gate(self._gradients[rows])

    def take(self, rows: slice) -> Floats:
        return self._gradients[rows]

    def result(self) -> Floats:
        of_inputs: Floats = self._gradients @ self._weights
        return of_inputs


class _Steps:
    """The gradient of whole steps times their inputs, shape (rows,), without a product with W.

    x . (W^T d) = (W x) . d, and W x + b is what the cell reads.
    """

    def __init__(self, cell: LstmCell, inputs: CellInput, rows: int, batch: int) -> None:
        self._inputs = inputs
        hidden, dtype = cell.hidden_size, cell.input.dtype
        self._gradients = aligned_empty((batch, 4 * hidden), dtype)
        self._products = aligned_empty((4, batch, hidden), dtype)
        self._bias = cell.bias.copy()
        self._bias[CANDIDATE] = 0.0  # which is not in what is read of the candidate
        self._of_steps = np.empty((rows, 5), dtype)

    def gradients(self, rows: slice) -> Floats:
        return _by_gate(self._gradients[: rows.stop - rows.start])

    def take(self, rows: slice) -> Floats:
        n = rows.stop - rows.start
        gradients = self._gradients[:n]
        products = self._products[:, :n]
        self._inputs.read_gates(rows, products[:3])
        self._inputs.read_products(rows, products[3])
        totals = self._of_steps[rows]
        by_gate = _by_gate(gradients)
        for k, gate in enumerate((INPUT, FORGET, OUTPUT, CANDIDATE)):
            row_dots(products[k], by_gate[gate], totals[:, k])
        np.matmul(gradients, self._bias.reshape(-1), out=totals[:, 4])
        return gradients

    def result(self) -> Floats:
        of_steps: Floats = self._of_steps @ np.array([-1, -1, -1, 1, -1], self._of_steps.dtype)
        return of_steps


def _collected(reach: Reach, record: CellRecord) -> _Collected:
    if reach == "features":
        return _Features(record.cell, record.packing.rows)
    return _Steps(record.cell, record.inputs, record.packing.rows, record.packing.batch)


def _by_gate(gradients: Floats) -> Floats:
    """Gradients side by side, shape (n, 4 hidden), as (4, n, hidden)."""
    return gradients.reshape(len(gradients), 4, -1).swapaxes(0, 1)
