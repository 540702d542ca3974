"""The relevance of one LSTM cell's inputs by LRP, over a packed batch.

Arras et al. 2017, "Explaining Recurrent Neural Network Predictions in Sentiment Analysis": of a
gate times a signal the signal gets all relevance; the cell sum and the cell candidate are linear
maps under the epsilon rule, and so is a projection of the hidden state. By other rules for gates,
`gates.py` takes their part. As in `cell`, the loop writes into the same few arrays at every step;
what only some models or rules need (projections, a bias factor) is made anew.
"""

import numpy as np

from lstm_lrp_cli.engine.arrays import aligned_empty
from lstm_lrp_cli.engine.records import Reach, Shares
from lstm_lrp_cli.engine.recurrent.passing import relevance_of
from lstm_lrp_cli.engine.recurrent.states import CellStates, StateAmounts
from lstm_lrp_cli.engine.rules import LrpRule
from lstm_lrp_cli.model import CANDIDATE, Floats
from .cell import LstmCellRecord
from .gates import LstmGates


def relevance(
    record: LstmCellRecord, above: StateAmounts, rule: LrpRule, reach: Reach
) -> tuple[Floats, CellStates, Shares]:
    """Pass the states' relevance to the inputs.

    Parameters
    ----------
    record : LstmCellRecord
    above : StateAmounts
        The relevance.
    rule : LrpRule
    reach : {"features", "steps"}

    Returns
    -------
    ndarray, shape (rows, inputs), or (rows,)
        The relevance of every feature, or of steps.
    CellStates
        That of the states with which sequences begin.
    Shares
        What did not reach either.
    """
    packing, cell = record.packing, record.cell
    collected = relevance_of(reach, record)
    hidden, outputs = cell.hidden_size, cell.output_size
    u_g, b_g = cell.recurrent[CANDIDATE], cell.bias[CANDIDATE]
    batch, dtype = packing.batch, record.m.dtype
    gates = LstmGates(record, rule) if rule.gives_to_gates else None
    r_h, r_c = above.after_last(batch, cell)
    at_steps, cell_at_steps = above.of_steps
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
        if at_steps is not None:
            np.add(of_h, at_steps[rows], out=of_h)
        if cell_at_steps is not None:
            np.add(of_c, cell_at_steps[rows], out=of_c)
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
        _pass_back(record.hidden_before(step, slices), values, u_g, from_gates, of_h)
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
        return collected.result(shares, None), begun, lost
    return collected.result(shares, gates.values), begun, lost + gates.absorbed(packing)


def _of_signal(
    record: LstmCellRecord,
    of_h: Floats,
    rows: slice,
    rule: LrpRule,
    stabilizers: Floats,
    gates: LstmGates | None,
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
