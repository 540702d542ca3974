"""The relevance of one LSTM cell's inputs by LRP, over a packed batch.

Arras et al. 2017, "Explaining Recurrent Neural Network Predictions in Sentiment Analysis": of a
gate times a signal the signal gets all relevance; the cell sum and the cell candidate are linear
maps under the epsilon rule, and so is a projection of the hidden state. By other rules for gates,
`gates.py` takes their part. As in `cell`, the loop writes into the same few arrays at every step;
what only some models or rules need (projections, a bias factor) is made anew.
"""

import numpy as np

from lstm_lrp_cli.engine.arrays import aligned_empty, row_dots
from lstm_lrp_cli.engine.records import Reach, Shares
from lstm_lrp_cli.engine.recurrent.inputs import PROPER_GATES
from lstm_lrp_cli.engine.recurrent.states import CellStates, Upper
from lstm_lrp_cli.engine.rules import LrpRule
from lstm_lrp_cli.model import CANDIDATE, Floats
from .cell import CellRecord
from .gates import GateRelevance


def relevance(
    record: CellRecord, upper: Upper, rule: LrpRule, reach: Reach
) -> tuple[Floats, Shares, CellStates]:
    """Pass the states' relevance to the inputs.

    Parameters
    ----------
    record : CellRecord
    upper : Upper
        The relevance of the states.
    rule : LrpRule
    reach : {"features", "steps"}

    Returns
    -------
    ndarray, shape (rows, inputs), or (rows,)
        The relevance of every feature, or of steps.
    Shares
        What biases and stabilizers absorbed.
    CellStates
        What the states with which sequences begin get.
    """
    packing, cell = record.packing, record.cell
    collected = _collected(reach, record)
    hidden, outputs = cell.hidden_size, cell.output_size
    u_g, b_g = cell.recurrent[CANDIDATE], cell.bias[CANDIDATE]
    batch, dtype = packing.batch, record.m.dtype
    gates = GateRelevance(record, rule) if rule.gives_to_gates else None
    r_h = aligned_empty((batch, outputs), dtype)
    r_h[:] = 0.0 if upper.at_end is None else upper.at_end
    r_c = aligned_empty((batch, hidden), dtype)
    r_c[:] = 0.0 if upper.cell_at_end is None else upper.cell_at_end
    space = aligned_empty((4, batch, hidden), dtype)
    # What biases and stabilizers (by size as well) get at each row, before any of it is
    # redistributed.
    by_biases = np.zeros(packing.rows, dtype)
    by_sums, by_candidates, by_projections = np.zeros((3, 2, packing.rows), dtype)
    shares = np.zeros(packing.rows, dtype)
    slices = list(packing.slices())
    running = -1
    for step in range(len(slices) - 1, -1, -1):
        rows = slices[step]
        n = rows.stop - rows.start
        if n != running:  # a view is made once, and not at every step
            running = n
            of_h, of_c, c, messages = r_h[:n], r_c[:n], space[0, :n], space[1, :n]
            scratch = space[2:, :n]
        if upper.at_steps is not None:
            np.add(of_h, upper.at_steps[rows], out=of_h)
        if upper.cell_at_steps is not None:
            np.add(of_c, upper.cell_at_steps[rows], out=of_c)
        # m = o tanh(c), of which tanh(c) passes it to the cell state unchanged; the next
        # step's cell state gives to it too.
        np.add(_of_signal(record, of_h, rows, rule, by_projections, gates), of_c, out=of_c)
        ig, fc = record.ig[rows], record.fc[rows]
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
        values = collected.messages(rows)
        rule.divide(messages, record.z_g[rows], values, by_candidates[:, rows], scratch)
        np.dot(values, b_g, out=by_biases[rows])
        collected.take(rows)
        _pass_back(_before(record, step, slices, n), values, u_g, from_gates, of_h)
        if rule.bias_factor:
            absorbed = by_biases[rows] + by_candidates[0, rows]
            shares[rows] = rule.shared(absorbed, outputs + cell.input_size)
            if gates is not None:
                shares[rows] += gates.shares[rows]
            np.add(of_h, shares[rows, np.newaxis], out=of_h)
    kept = 1.0 - rule.bias_factor
    biases = kept * packing.total(by_biases)
    stabilizers = kept * packing.totals(by_sums + by_candidates + by_projections)
    lost, begun = Shares(np.zeros(batch), biases, stabilizers), CellStates(r_h, r_c)
    if gates is None:
        return collected.result(shares, None), lost, begun
    return collected.result(shares, gates.values), lost + gates.absorbed(packing), begun


def _of_signal(
    record: CellRecord,
    of_h: Floats,
    rows: slice,
    rule: LrpRule,
    stabilizers: Floats,
    gates: GateRelevance | None,
) -> Floats:
    """What tanh(c) gets of h = m = o tanh(c), or of h = P m, whose stabilizers' part is written."""
    of_m, cell = of_h, record.cell
    if cell.projection is not None:
        values = np.empty_like(of_h)
        scratch = np.empty((2, *of_h.shape), dtype=of_h.dtype)
        rule.divide(of_h, record.h[rows], values, stabilizers[:, rows], scratch)
        of_m = record.m[rows] * (values @ cell.projection)
        of_m += rule.shared(stabilizers[0, rows], cell.hidden_size)[:, np.newaxis]
    return of_m if gates is None else gates.split_output(rows, of_m)


def _pass_back(
    before: Floats | None, values: Floats, u_g: Floats, from_gates: Floats | None, of_h: Floats
) -> None:
    """Write what the hidden state before a step gets of the messages of candidate and gates."""
    if before is None:
        of_h[:] = 0.0
        return
    np.dot(values, u_g, out=of_h)
    if from_gates is not None:
        np.add(of_h, from_gates, out=of_h)
    np.multiply(of_h, before, out=of_h)


def _before(record: CellRecord, step: int, slices: list[slice], n: int) -> Floats | None:
    """The hidden state with which a step begins, None where it is zero."""
    if step == 0:
        return None if record.begun.hidden is None else record.begun.hidden[:n]
    start = slices[step - 1].start
    return record.h[start : start + n]


class _FeatureRelevance:
    """Takes what a cell's candidate sends to its inputs, step by step from the last.

    Relevance of every feature, shape (rows, inputs), is x times the messages' product with W.
    """

    def __init__(self, record: CellRecord) -> None:
        cell = record.cell
        self._cell = cell
        self._inputs = record.inputs
        self._messages = aligned_empty((record.packing.rows, cell.hidden_size), cell.input.dtype)

    def messages(self, rows: slice) -> Floats:
        """Where the messages of a step are to be written, shape (n, hidden)."""
        return self._messages[rows]

    def take(self, rows: slice) -> None:
        """Take them as they are written now: they stay, for one product of all steps at the end."""

    def result(self, shares: Floats, of_gates: Floats | None) -> Floats:
        """The inputs' relevance, once all steps are done.

        Parameters
        ----------
        shares : ndarray, shape (rows,)
            What every lower unit gets of biases and stabilizers on top.
        of_gates : ndarray, shape (rows, 3 * hidden), or None
            What the gates send to their inputs, None where they get no relevance.
        """
        of_inputs: Floats = self._messages @ self._cell.input[CANDIDATE]
        if of_gates is not None:
            weights = self._cell.input[PROPER_GATES].reshape(-1, self._cell.input_size)
            of_inputs += of_gates @ weights
        np.multiply(of_inputs, self._inputs.features, out=of_inputs)
        of_inputs += shares[:, np.newaxis]
        return of_inputs


class _StepRelevance:
    """The same of steps, shape (rows,), without a product with W.

    x . (W^T s) = (W x) . s, and W x is the input's part of the candidate's pre-activation. The bias
    is no part of it: what biases get is counted for itself, so that an error there shows.
    """

    def __init__(self, record: CellRecord) -> None:
        cell, packing = record.cell, record.packing
        self._cell = cell
        self._inputs = record.inputs
        shape, dtype = (packing.batch, cell.hidden_size), cell.input.dtype
        self._messages, self._products = (aligned_empty(shape, dtype) for _ in range(2))
        self._of_steps = np.empty(packing.rows, dtype)

    def messages(self, rows: slice) -> Floats:
        return self._messages[: rows.stop - rows.start]

    def take(self, rows: slice) -> None:
        messages = self.messages(rows)
        products = self._products[: len(messages)]
        self._inputs.read_products(rows, products)
        row_dots(products, messages, self._of_steps[rows])

    def result(self, shares: Floats, of_gates: Floats | None) -> Floats:
        of_steps: Floats = self._of_steps + self._cell.input_size * shares
        if of_gates is not None:
            of_steps += self._of_gates(of_gates)
        return of_steps

    def _of_gates(self, messages: Floats) -> Floats:
        """(W x) . s of the gates, shape (rows,), from what they read: -(W x + b)."""
        rows, hidden = len(messages), self._cell.hidden_size
        products = np.empty((3, rows, hidden), dtype=messages.dtype)
        self._inputs.read_gates(slice(rows), products)
        products -= self._inputs.weights.bias_gates
        of_steps: Floats = -np.einsum("krj,rkj->r", products, messages.reshape(rows, 3, hidden))
        return of_steps


def _collected(reach: Reach, record: CellRecord) -> _FeatureRelevance | _StepRelevance:
    return _FeatureRelevance(record) if reach == "features" else _StepRelevance(record)
