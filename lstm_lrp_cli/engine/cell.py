"""One LSTM cell over a packed batch: its forward pass, and its relevance by LRP-all.

Arras et al. 2017, "Explaining Recurrent Neural Network Predictions in Sentiment Analysis": of a
gate times a signal the signal gets all relevance; the cell sum and the cell candidate are linear
maps under the epsilon rule, and so is a projection of the hidden state.

Both loops write into the same few arrays at every step, which so stay in the processor's cache.
"""

from dataclasses import dataclass

import numpy as np

from lstm_lrp_cli.engine.activations import activate, squash
from lstm_lrp_cli.engine.arrays import aligned_empty
from lstm_lrp_cli.engine.cell_input import CellInput
from lstm_lrp_cli.engine.packing import Packing
from lstm_lrp_cli.engine.reach import Reached
from lstm_lrp_cli.engine.rules import EpsilonRule
from lstm_lrp_cli.engine.shares import Shares
from lstm_lrp_cli.model.arrays import Floats
from lstm_lrp_cli.model.gates import CANDIDATE
from lstm_lrp_cli.model.layers import Lstm, LstmCell


@dataclass(frozen=True, slots=True, eq=False)
class CellRecord:
    """One cell's forward pass; its rows are in the order in which the cell reads them.

    Parameters
    ----------
    z_g : ndarray, shape (rows, hidden)
        The cell candidate's pre-activation.
    ig, fc : ndarray, shape (rows, hidden)
        The two terms of the cell state: i * g, and f * c of the step before.
    m : ndarray, shape (rows, hidden)
        o * tanh(c): the hidden state, or what is projected to it.
    h : ndarray, shape (rows, outputs)
        The hidden state.
    """

    cell: LstmCell
    packing: Packing
    inputs: CellInput
    z_g: Floats
    ig: Floats
    fc: Floats
    m: Floats
    h: Floats

    def relevance(
        self,
        at_end: Floats | None,
        at_steps: Floats | None,
        rule: EpsilonRule,
        reached: Reached,
    ) -> Shares:
        """Pass the hidden states' relevance to the inputs.

        Parameters
        ----------
        at_end : ndarray, shape (batch, outputs), or None
            Relevance of the state after a sequence's last step, if it has none of every step.
        at_steps : ndarray, shape (rows, outputs), or None
        reached : Reached
            Takes the relevance of the inputs.
        """
        packing, cell = self.packing, self.cell
        hidden, outputs = cell.hidden_size, cell.output_size
        u_g, b_g = cell.recurrent[CANDIDATE], cell.bias[CANDIDATE]
        feeding = outputs + cell.input_size
        shape, dtype = (packing.batch, hidden), self.m.dtype
        biases, stabilizers = np.zeros(packing.batch), np.zeros(packing.batch)
        r_h = aligned_empty((packing.batch, outputs), dtype)
        r_h[:] = 0.0 if at_end is None else at_end
        r_c = aligned_empty(shape, dtype)
        r_c[:] = 0.0
        space = aligned_empty((4, *shape), dtype)
        space_h = aligned_empty((3, *r_h.shape), dtype) if cell.projection is not None else space
        slices = list(packing.steps())
        for step in range(len(slices) - 1, -1, -1):
            rows = slices[step]
            n = rows.stop - rows.start
            c, messages, scratch = space[0, :n], space[1, :n], space[2:, :n]
            of_h, of_c = r_h[:n], r_c[:n]
            if at_steps is not None:
                np.add(of_h, at_steps[rows], out=of_h)
            of_m = of_h
            if cell.projection is not None:
                projected, scratch_h = space_h[0, :n], space_h[1:, :n]
                by_projection = rule.divide(of_h, self.h[rows], projected, scratch_h)
                of_m = self.m[rows] * (projected @ cell.projection)
                of_m += rule.shared(by_projection, hidden)[:, np.newaxis]
                stabilizers[:n] += by_projection
            # m = o tanh(c): all to the cell state, which the next step's cell state feeds too.
            np.add(of_m, of_c, out=of_c)
            np.add(self.ig[rows], self.fc[rows], out=c)
            by_sum = rule.divide(of_c, c, messages, scratch)
            np.multiply(self.fc[rows], messages, out=of_c)
            np.multiply(self.ig[rows], messages, out=messages)
            if rule.bias_factor:
                share = rule.shared(by_sum, 2 * hidden)[:, np.newaxis]
                np.add(of_c, share, out=of_c)
                np.add(messages, share, out=messages)
            values = reached.values(rows)
            by_candidate = rule.divide(messages, self.z_g[rows], values, scratch)
            by_biases = values @ b_g
            share = rule.shared(by_biases + by_candidate, feeding)
            reached.receive(rows, by_biases, share)
            before = self._before(step, slices, n)
            if before is None:
                of_h[:] = share[:, np.newaxis]
            else:
                np.matmul(values, u_g, out=of_h)
                np.multiply(of_h, before, out=of_h)
                if rule.bias_factor:
                    np.add(of_h, share[:, np.newaxis], out=of_h)
            biases[:n] += by_biases
            stabilizers[:n] += by_sum
            stabilizers[:n] += by_candidate
        initial = r_h.sum(axis=1, dtype=np.float64) + r_c.sum(axis=1, dtype=np.float64)
        kept = 1.0 - rule.bias_factor
        return Shares(initial, kept * biases, kept * stabilizers)

    def _before(self, step: int, slices: list[slice], n: int) -> Floats | None:
        """The hidden state with which a step begins, None where it is zero."""
        if step == 0:
            return self.cell.initial_hidden
        start = slices[step - 1].start
        return self.h[start : start + n]


def run(layer: Lstm, cell: LstmCell, inputs: CellInput, packing: Packing) -> CellRecord:
    """z = W x_t + U h_{t-1} + b; c_t = f c_{t-1} + i g; h_t = o tanh(c_t), or P times that."""
    weights, hidden = inputs.weights, cell.hidden_size
    dtype = weights.bias_candidate.dtype
    z_g, ig, fc, m = (aligned_empty((packing.rows, hidden), dtype) for _ in range(4))
    h = m if cell.projection is None else aligned_empty((packing.rows, cell.output_size), dtype)
    of_gates, of_inputs = (aligned_empty((3, packing.batch, hidden), dtype) for _ in range(2))
    candidate_of_inputs, signal, c = aligned_empty((3, packing.batch, hidden), dtype)
    h_before = _initial(cell.initial_hidden, packing)
    c_before = _initial(cell.initial_cell, packing)
    for rows in packing.steps():
        n = rows.stop - rows.start
        gates, candidate = of_gates[:, :n], z_g[rows]
        if h_before is None:
            inputs.read(rows, gates, candidate)
        else:
            inputs.read(rows, of_inputs[:, :n], candidate_of_inputs[:n])
            np.matmul(h_before[:n], weights.recurrent_gates, out=gates)
            np.matmul(h_before[:n], weights.recurrent_candidate, out=candidate)
            np.add(gates, of_inputs[:, :n], out=gates)
            np.add(candidate, candidate_of_inputs[:n], out=candidate)
        squash(layer.gate_activation, gates)
        activate(layer.activation, candidate, out=signal[:n])
        np.multiply(gates[0], signal[:n], out=ig[rows])
        if c_before is None:
            fc[rows] = 0.0
        else:
            np.multiply(gates[1], c_before[:n], out=fc[rows])
        np.add(ig[rows], fc[rows], out=c[:n])
        activate(layer.activation, c[:n], out=signal[:n])
        np.multiply(gates[2], signal[:n], out=m[rows])
        if cell.projection is not None:
            h[rows] = m[rows] @ cell.projection.T
        h_before, c_before = h[rows], c
    return CellRecord(cell, packing, inputs, z_g, ig, fc, m, h)


def _initial(state: Floats | None, packing: Packing) -> Floats | None:
    """The state with which every sequence begins, None where it is zero."""
    return None if state is None else np.broadcast_to(state, (packing.started, len(state)))
