"""The relevance of one GRU cell's inputs by LRP, over a packed batch.

Of a gate times a signal the signal gets all relevance, as in an LSTM (Arras et al. 2017); by other
rules for gates, `gates.py` takes their part. The sum z h + (1 - z) n, the candidate, and what the
reset gate multiplies are linear maps under the epsilon rule.
"""

import numpy as np

from lstm_lrp_cli.engine.arrays import aligned_empty
from lstm_lrp_cli.engine.records import Reach, Shares
from lstm_lrp_cli.engine.recurrent.passing import relevance_of
from lstm_lrp_cli.engine.recurrent.states import CellStates, StateAmounts
from lstm_lrp_cli.engine.rules import LrpRule
from lstm_lrp_cli.model import CANDIDATE, Floats
from .cell import GruCellRecord
from .gates import GruGates


def relevance(
    record: GruCellRecord, above: StateAmounts, rule: LrpRule, reach: Reach
) -> tuple[Floats, CellStates, Shares]:
    """Pass the hidden states' relevance to the inputs.

    Parameters and results are as an LSTM cell's.
    """
    packing, cell = record.packing, record.cell
    collected = relevance_of(reach, record)
    hidden, lower = cell.hidden_size, cell.hidden_size + cell.input_size
    batch, dtype = packing.batch, record.h.dtype
    gates = GruGates(record, rule) if rule.gives_to_gates else None
    way = _Way(record, rule, gates)
    [r_h] = above.after_last(batch, cell)
    at_steps, _ = above.of_steps
    space = aligned_empty((5, batch, hidden), dtype)
    by_sums, by_candidates = np.zeros((2, 2, packing.rows), dtype)
    by_biases, shares = np.zeros((2, packing.rows), dtype)
    slices = list(packing.slices())
    running = -1
    for step in range(len(slices) - 1, -1, -1):
        rows = slices[step]
        n = rows.stop - rows.start
        if n != running:  # a view is made once, and not at every step
            running = n
            of_h, messages, of_kept, scratch = r_h[:n], space[0, :n], space[1, :n], space[2:4, :n]
            of_states = space[4, :n]
        if at_steps is not None:
            np.add(of_h, at_steps[rows], out=of_h)
        # h = z h_before + (1 - z) n
        h, kept = record.h[rows], record.kept[rows]
        rule.divide(of_h, h, messages, by_sums[:, rows], scratch)
        np.multiply(kept, messages, out=of_kept)
        np.subtract(h, kept, out=of_h)
        np.multiply(of_h, messages, out=messages)
        if rule.bias_factor:
            share = rule.shared(by_sums[0, rows], 2 * hidden)[:, np.newaxis]
            np.add(of_kept, share, out=of_kept)
            np.add(messages, share, out=messages)
        if gates is not None:
            gates.split_terms(rows, of_kept, messages)
        # n = tanh(z_n), which passes it unchanged
        values = collected.messages(rows)
        rule.divide(messages, record.z_n[rows], values, by_candidates[:, rows], scratch)
        np.dot(values, cell.bias[CANDIDATE], out=by_biases[rows])
        if rule.bias_factor:
            absorbed = by_biases[rows] + by_candidates[0, rows]
            shares[rows] = rule.shared(absorbed, lower)
        collected.take(rows)
        before = record.hidden_before(step, slices)
        way.pass_back(rows, before, values, shares[rows], (of_states, scratch))
        np.add(of_states, of_kept, out=of_h)
        if gates is not None:
            from_gates = gates.pass_down(rows)
            if before is not None:
                np.add(of_h, from_gates * before, out=of_h)
            shares[rows] += gates.shares[rows]
            np.add(of_h, gates.shares[rows, np.newaxis], out=of_h)
    kept_back = 1.0 - rule.bias_factor
    biases = kept_back * packing.total(by_biases + way.by_biases)
    stabilizers = kept_back * packing.totals(by_sums + by_candidates + way.by_states)
    lost, begun = Shares(np.zeros(batch), biases, stabilizers), CellStates(r_h)
    if gates is None:
        return collected.result(shares, None), begun, lost
    return collected.result(shares, gates.values), begun, lost + gates.absorbed(packing)


class _Way:
    """The way from the candidate back to the hidden state before, through the reset gate.

    Attributes
    ----------
    by_biases : ndarray, shape (rows,)
    by_states : ndarray, shape (2, rows)
        What biases and stabilizers (by size as well) on the way get, before any of it is
        redistributed.
    """

    def __init__(self, record: GruCellRecord, rule: LrpRule, gates: GruGates | None) -> None:
        rows, dtype = record.packing.rows, record.h.dtype
        self._record, self._rule, self._gates = record, rule, gates
        self._recurrent = record.cell.recurrent[CANDIDATE]
        self.by_biases, self.by_states = np.zeros(rows, dtype), np.zeros((2, rows), dtype)

    def pass_back(
        self,
        rows: slice,
        before: Floats | None,
        values: Floats,
        share: Floats,
        out: tuple[Floats, Floats],
    ) -> None:
        """Write what the hidden state before gets of the candidate's messages.

        Parameters
        ----------
        before : ndarray, shape (n, hidden), or None
            The hidden state; None is zero.
        values : ndarray, shape (n, hidden)
            The messages.
        share : ndarray, shape (n,)
            What each of the candidate's lower units gets of biases and stabilizers on top.
        out : ndarray, shape (n, hidden), and ndarray, shape (2, n, hidden)
            Where it is written, and what is written over.
        """
        record, rule = self._record, self._rule
        products, (of_products, scratch) = record.reset[rows], out
        if record.u is None:  # U (r h)
            np.dot(values, self._recurrent, out=of_products)
            np.multiply(of_products, products, out=of_products)
        else:
            np.multiply(products, values, out=of_products)
        if rule.bias_factor:
            np.add(of_products, share[:, np.newaxis], out=of_products)
        if self._gates is not None:
            of_products[...] = self._gates.split_reset(rows, of_products)
        if record.u is not None:  # u = U h + b'
            self._through_states(rows, before, record.u[rows], of_products, scratch)

    def _through_states(
        self, rows: slice, before: Floats | None, u: Floats, of_u: Floats, scratch: Floats
    ) -> None:
        """Write what h gets of the relevance of u = U h + b' in its place."""
        rule, bias = self._rule, self._record.cell.recurrent_bias
        rule.divide(of_u, u, of_u, self.by_states[:, rows], scratch)
        if bias is not None:
            np.dot(of_u, bias, out=self.by_biases[rows])
        if before is None:
            of_u[...] = 0.0
        else:
            of_before = scratch[0]
            np.dot(of_u, self._recurrent, out=of_before)
            np.multiply(of_before, before, out=of_u)
        if rule.bias_factor:
            absorbed = self.by_biases[rows] + self.by_states[0, rows]
            share = rule.shared(absorbed, self._record.cell.hidden_size)
            np.add(of_u, share[:, np.newaxis], out=of_u)
