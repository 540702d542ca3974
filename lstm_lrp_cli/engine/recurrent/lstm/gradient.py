"""The gradient of a score through one LSTM cell over a packed batch.

Backpropagation through time (Werbos 1990), with respect to the inputs alone. Of a gate times a
signal, q a, the gate's pre-activation gets q' a = (q a) (q'/q), of which the forward pass has the
product. As in `cell`, the loop writes into the same few arrays at every step.
"""

import numpy as np

from lstm_lrp_cli.engine.activations import activate, pull_back, relative_slopes
from lstm_lrp_cli.engine.arrays import aligned_empty, row_dots
from lstm_lrp_cli.engine.records import Reach
from lstm_lrp_cli.engine.recurrent.states import CellStates, Upper
from lstm_lrp_cli.model import CANDIDATE, FORGET, INPUT, OUTPUT, Floats
from .cell import CellRecord

# The candidate stands behind the gates, which have much in common.
_ORDER = [INPUT, FORGET, OUTPUT, CANDIDATE]


def gradient(record: CellRecord, upper: Upper, reach: Reach) -> tuple[Floats, CellStates]:
    """Pass the gradient with respect to the states to the inputs.

    Parameters
    ----------
    record : CellRecord
        Of a forward pass that kept the gates.
    upper : Upper
        The gradient with respect to the states.
    reach : {"features", "steps"}

    Returns
    -------
    ndarray, shape (rows, inputs), or (rows,)
        The gradient of every feature, or, of steps, its product with the input x.
    CellStates
        The gradient with respect to the states with which sequences begin.
    """
    if record.gates is None:
        raise ValueError("the forward pass did not keep the gates")
    packing, layer, cell = record.packing, record.layer, record.cell
    batch, dtype = packing.batch, record.m.dtype
    recurrent = cell.recurrent[_ORDER]
    d_h = aligned_empty((batch, cell.output_size), dtype)
    d_h[:] = 0.0 if upper.at_end is None else upper.at_end
    d_c = aligned_empty((batch, cell.hidden_size), dtype)
    d_c[:] = 0.0 if upper.cell_at_end is None else upper.cell_at_end
    passed = aligned_empty((4, batch, cell.output_size), dtype)
    space = aligned_empty((4, batch, cell.hidden_size), dtype)
    collected = _collected(reach, record)
    running = -1
    for rows in reversed(list(packing.slices())):
        n = rows.stop - rows.start
        if n != running:  # a view is made once, and not at every step
            running = n
            of_h, of_c, of_gates = d_h[:n], d_c[:n], passed[:, :n]
            c, signal, scratch, of_signal = space[:, :n]
        if upper.at_steps is not None:
            np.add(of_h, upper.at_steps[rows], out=of_h)
        if upper.cell_at_steps is not None:
            np.add(of_c, upper.cell_at_steps[rows], out=of_c)
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
        np.multiply(of_c, gates[1], out=of_c)
        np.matmul(of_z, recurrent, out=of_gates)
        _add_up(of_gates, of_h)
    return collected.result(), CellStates(d_h, d_c)


def _add_up(parts: Floats, out: Floats) -> None:
    """Write the sum of parts of shape (4, n, units), which takes `np.sum` twice the time."""
    np.add(parts[0], parts[1], out=out)
    np.add(out, parts[2], out=out)
    np.add(out, parts[3], out=out)


class _FeatureGradient:
    """Takes the gradient of a cell's pre-activations, step by step from the last.

    It makes of them the gradient of every feature, shape (rows, inputs).
    """

    def __init__(self, record: CellRecord) -> None:
        cell, packing = record.cell, record.packing
        batch, dtype = packing.batch, cell.input.dtype
        self._weights = cell.input[_ORDER]
        self._gradients = aligned_empty((4, batch, cell.hidden_size), dtype)
        self._parts = aligned_empty((4, batch, cell.input_size), dtype)
        self._of_inputs = aligned_empty((packing.rows, cell.input_size), dtype)

    def gradients(self, rows: slice) -> Floats:
        """Where those of a step are to be written, shape (4, n, hidden), gates first."""
        return self._gradients[:, : rows.stop - rows.start]

    def take(self, rows: slice) -> None:
        """Take them as they are written now."""
        gradients = self.gradients(rows)
        parts = self._parts[:, : gradients.shape[1]]
        np.matmul(gradients, self._weights, out=parts)
        _add_up(parts, self._of_inputs[rows])

    def result(self) -> Floats:
        """What has come of them, once all steps are done."""
        return self._of_inputs


class _StepGradient:
    """The same times the inputs, summed over a step's features, (rows,), without a product with W.

    x . (W^T d) = (W x) . d, and W x is what the cell reads; of the gates it reads -(W x + b).
    """

    def __init__(self, record: CellRecord) -> None:
        cell, rows, dtype = record.cell, record.packing.rows, record.cell.input.dtype
        self._inputs = record.inputs
        shape = (4, record.packing.batch, cell.hidden_size)
        self._gradients, self._products = (aligned_empty(shape, dtype) for _ in range(2))
        self._biases = cell.bias[_ORDER[:3], :, np.newaxis]
        self._of_candidates = np.empty(rows, dtype)
        self._of_gates, self._of_biases = np.empty((2, 3, rows, 1), dtype)

    def gradients(self, rows: slice) -> Floats:
        return self._gradients[:, : rows.stop - rows.start]

    def take(self, rows: slice) -> None:
        gradients = self.gradients(rows)
        products = self._products[:, : gradients.shape[1]]
        self._inputs.read_gates(rows, products[:3])
        self._inputs.read_products(rows, products[3])
        np.matmul(gradients[:3], self._biases, out=self._of_biases[:, rows])
        row_dots(products[:3], gradients[:3], self._of_gates[:, rows, 0])
        row_dots(products[3], gradients[3], self._of_candidates[rows])

    def result(self) -> Floats:
        of_gates = (self._of_gates + self._of_biases).sum(axis=0)[:, 0]
        of_steps: Floats = self._of_candidates - of_gates
        return of_steps


def _collected(reach: Reach, record: CellRecord) -> _FeatureGradient | _StepGradient:
    return _FeatureGradient(record) if reach == "features" else _StepGradient(record)
