"""One LSTM cell over a packed batch: its forward pass, and its relevance by LRP.

Arras et al. 2017, "Explaining Recurrent Neural Network Predictions in Sentiment Analysis": of a
gate times a signal the signal gets all relevance; the cell sum and the cell candidate are linear
maps under the epsilon rule, and so is a projection of the hidden state. By other rules for gates,
`cell_gates.py` takes their part.

Both loops write into the same few arrays at every step, which so stay in the processor's cache.
Products of two matrices are `np.dot`'s, which takes less time to be called than `np.matmul`.
What only some models or rules need (projections, a bias factor) is made anew.
"""

from dataclasses import dataclass

import numpy as np

from lstm_lrp_cli.engine.activations import activate, invert_gates
from lstm_lrp_cli.engine.arrays import aligned_empty
from lstm_lrp_cli.engine.packing import Packing
from lstm_lrp_cli.engine.records import Reached, Shares
from lstm_lrp_cli.engine.rules import LrpRule
from lstm_lrp_cli.engine.states import CellStates
from lstm_lrp_cli.model.arrays import CANDIDATE, Floats
from lstm_lrp_cli.model.layers import Lstm, LstmCell
from .gates import GateRelevance
from .inputs import CellInput


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
    begun : CellStates
        The states with which sequences begin.
    gates : ndarray, shape (3, rows, hidden), or None
        The activations of the input, forget and output gate, where they were to be kept.
    """

    layer: Lstm
    cell: LstmCell
    packing: Packing
    inputs: CellInput
    z_g: Floats
    ig: Floats
    fc: Floats
    m: Floats
    h: Floats
    begun: CellStates
    gates: Floats | None = None

    @property
    def ended(self) -> CellStates:
        """The states after each sequence's last step, those of all written out."""
        last = self.packing.last
        return CellStates(
            self.at_end(self.h[last], self.begun.hidden),
            self.at_end(self.ig[last] + self.fc[last], self.begun.cell),
        )

    def at_end(self, last: Floats, begun: Floats | None) -> Floats:
        """A state after the last steps.

        Parameters
        ----------
        last : ndarray, shape (started, units)
            Of sequences with steps.
        begun : ndarray, shape (batch, units) or (units,), or None
            Of those without; None is zero.
        """
        ended = np.zeros((self.packing.batch, last.shape[1]), dtype=last.dtype)
        if begun is not None:
            ended[:] = begun
        ended[: self.packing.started] = last
        return ended

    def relevance(
        self, at_end: Floats | None, at_steps: Floats | None, rule: LrpRule, reached: Reached
    ) -> tuple[Floats, Shares]:
        """Pass the hidden states' relevance to the inputs.

        Parameters
        ----------
        at_end : ndarray, shape (batch, outputs), or None
            Relevance of the state after a sequence's last step, if it has none of every step.
        at_steps : ndarray, shape (rows, outputs), or None
        reached : Reached
            Takes what is for the inputs.

        Returns
        -------
        ndarray
            The inputs' relevance, as `reached` gives it.
        Shares
            What did not reach them.
        """
        packing, cell = self.packing, self.cell
        hidden, outputs = cell.hidden_size, cell.output_size
        u_g, b_g = cell.recurrent[CANDIDATE], cell.bias[CANDIDATE]
        batch, dtype = packing.batch, self.m.dtype
        gates = GateRelevance(self, rule) if rule.gives_to_gates else None
        r_h = aligned_empty((batch, outputs), dtype)
        r_h[:] = 0.0 if at_end is None else at_end
        r_c = aligned_empty((batch, hidden), dtype)
        r_c[:] = 0.0
        space = aligned_empty((4, batch, hidden), dtype)
        # What biases and stabilizers (by size as well) get at each row, before any of it is
        # redistributed.
        by_biases = np.zeros(packing.rows, dtype)
        by_sums, by_candidates, by_projections = np.zeros((3, 2, packing.rows), dtype)
        shares = np.zeros(packing.rows, dtype)
        slices = list(packing.steps())
        running = -1
        for step in range(len(slices) - 1, -1, -1):
            rows = slices[step]
            n = rows.stop - rows.start
            if n != running:  # a view is made once, and not at every step
                running = n
                of_h, of_c, c, messages = r_h[:n], r_c[:n], space[0, :n], space[1, :n]
                scratch = space[2:, :n]
            if at_steps is not None:
                np.add(of_h, at_steps[rows], out=of_h)
            of_m = of_h
            if cell.projection is not None:
                of_m = self._of_projection(of_h, rows, rule, by_projections[:, rows])
            # m = o tanh(c), of which tanh(c) passes it to the cell state unchanged; the next
            # step's cell state gives to it too.
            if gates is not None:
                of_m = gates.split_output(rows, of_m)
            np.add(of_m, of_c, out=of_c)
            ig, fc = self.ig[rows], self.fc[rows]
            np.add(ig, fc, out=c)
            rule.divide(of_c, c, messages, by_sums[:, rows], scratch)
            np.multiply(fc, messages, out=of_c)
            np.multiply(ig, messages, out=messages)
            if rule.bias_factor:
                share = rule.shared(by_sums[0, rows], 2 * hidden)[:, np.newaxis]
                np.add(of_c, share, out=of_c)
                np.add(messages, share, out=messages)
            from_gates = None
            if gates is not None:
                gates.split_terms(rows, of_c, messages)
                from_gates = gates.pass_down(rows)
            values = reached.values(rows)
            rule.divide(messages, self.z_g[rows], values, by_candidates[:, rows], scratch)
            np.dot(values, b_g, out=by_biases[rows])
            reached.take(rows)
            before = self._before(step, slices, n)
            if before is None:
                of_h[:] = 0.0
            else:
                np.dot(values, u_g, out=of_h)
                if from_gates is not None:
                    np.add(of_h, from_gates, out=of_h)
                np.multiply(of_h, before, out=of_h)
            if rule.bias_factor:
                absorbed = by_biases[rows] + by_candidates[0, rows]
                shares[rows] = rule.shared(absorbed, outputs + cell.input_size)
                if gates is not None:
                    shares[rows] += gates.shares[rows]
                np.add(of_h, shares[rows, np.newaxis], out=of_h)
        initial = r_h.sum(axis=1, dtype=np.float64) + r_c.sum(axis=1, dtype=np.float64)
        kept = 1.0 - rule.bias_factor
        biases = kept * packing.total(by_biases)
        stabilizers = kept * packing.totals(by_sums + by_candidates + by_projections)
        lost = Shares(initial, biases, stabilizers)
        if gates is None:
            return reached.result(shares, None), lost
        return reached.result(shares, gates.values), lost + gates.absorbed(packing)

    def _of_projection(
        self, of_h: Floats, rows: slice, rule: LrpRule, stabilizers: Floats
    ) -> Floats:
        """Pass relevance of h = P m to m, and write what the stabilizers get of each row."""
        assert self.cell.projection is not None
        values = np.empty_like(of_h)
        scratch = np.empty((2, *of_h.shape), dtype=of_h.dtype)
        rule.divide(of_h, self.h[rows], values, stabilizers, scratch)
        of_m: Floats = self.m[rows] * (values @ self.cell.projection)
        of_m += rule.shared(stabilizers[0], self.cell.hidden_size)[:, np.newaxis]
        return of_m

    def _before(self, step: int, slices: list[slice], n: int) -> Floats | None:
        """The hidden state with which a step begins, None where it is zero."""
        if step == 0:
            return None if self.begun.hidden is None else self.begun.hidden[:n]
        start = slices[step - 1].start
        return self.h[start : start + n]


def run(
    layer: Lstm,
    cell: LstmCell,
    inputs: CellInput,
    packing: Packing,
    begun: CellStates,
    keep_gates: bool = False,
) -> CellRecord:
    """z = W x_t + U h_{t-1} + b; c_t = f c_{t-1} + i g; h_t = o tanh(c_t), or P times that."""
    weights, hidden = inputs.weights, cell.hidden_size
    dtype = weights.bias_candidate.dtype
    z_g, ig, fc, m = aligned_empty((4, packing.rows, hidden), dtype)
    h = m if cell.projection is None else aligned_empty((packing.rows, cell.output_size), dtype)
    kept = aligned_empty((3, packing.rows, hidden), dtype) if keep_gates else None
    of_gates, of_inputs = (aligned_empty((3, packing.batch, hidden), dtype) for _ in range(2))
    space = aligned_empty((3, packing.batch, hidden), dtype)
    h_before, c_before = begun.hidden, begun.cell
    running = -1
    for rows in packing.steps():
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
    return CellRecord(layer, cell, packing, inputs, z_g, ig, fc, m, h, begun, kept)
