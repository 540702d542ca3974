"""Cells without gates, h = a(W x + U h + b), over a packed batch (Elman 1990)."""

import numpy as np

from lstm_lrp_cli.engine.activations import ACTIVATIONS, activate, pull_back
from lstm_lrp_cli.engine.arrays import CopiedSteps, aligned_empty
from lstm_lrp_cli.engine.parts import Parts, activated_with_bias
from lstm_lrp_cli.engine.records import Reach, Shares
from lstm_lrp_cli.engine.rules import LrpRule
from lstm_lrp_cli.model import Booleans, Floats
from lstm_lrp_cli.model.recurrent import RnnCell, SimpleRnn
from .cells import CellRecord, Reading
from .parting import BegunParts, CellParts, Late, StateRun, with_bias
from .passing import gradient_of, relevance_of
from .states import HIDDEN, CellStates, StateAmounts


class RnnCellRecord(CellRecord, frozen=True, eq=False):
    """One cell's forward pass.

    Parameters
    ----------
    cell : RnnCell
    z : ndarray, shape (rows, hidden)
        The pre-activation of the hidden state.
    """

    layer: SimpleRnn
    cell: RnnCell
    z: Floats


def run(layer: SimpleRnn, reading: Reading) -> RnnCellRecord:
    """Run the steps of all sequences."""
    cell, packing, inputs = reading.cell, reading.packing, reading.inputs
    assert isinstance(cell, RnnCell)
    weights, hidden = inputs.weights, cell.hidden_size
    dtype = weights.bias_candidate.dtype
    z, h = aligned_empty((2, packing.rows, hidden), dtype)
    of_inputs = aligned_empty((packing.batch, hidden), dtype)
    h_before = reading.begun.hidden
    for rows in packing.slices():
        n, sums = rows.stop - rows.start, z[rows]
        if h_before is None:
            inputs.read_candidate(rows, sums)
        else:
            inputs.read_candidate(rows, of_inputs[:n])
            np.dot(h_before[:n], weights.recurrent_candidate, out=sums)
            np.add(sums, of_inputs[:n], out=sums)
        h_before = h[rows]
        activate(layer.activation, sums, out=h_before)
    return RnnCellRecord(layer, reading, h, cell, z)


def relevance(
    record: RnnCellRecord, above: StateAmounts, rule: LrpRule, reach: Reach
) -> tuple[Floats, CellStates, Shares]:
    """Pass the hidden states' relevance to the inputs.

    Parameters and results are as an LSTM cell's. The activation passes relevance unchanged, and its
    argument is a linear map under the epsilon rule.
    """
    packing, cell = record.packing, record.cell
    collected = relevance_of(reach, record)
    [r_h] = above.after_last(packing.batch, cell)
    at_steps, _ = above.of_steps
    dtype, lower = record.h.dtype, cell.hidden_size + cell.input_size
    space = aligned_empty((2, packing.batch, cell.hidden_size), dtype)
    by_maps = np.zeros((2, packing.rows), dtype)
    by_biases, shares = np.zeros((2, packing.rows), dtype)
    slices = list(packing.slices())
    for step in range(len(slices) - 1, -1, -1):
        rows = slices[step]
        n = rows.stop - rows.start
        of_h, scratch, values = r_h[:n], space[:, :n], collected.messages(rows)
        if at_steps is not None:
            np.add(of_h, at_steps[rows], out=of_h)
        rule.divide(of_h, record.z[rows], values, by_maps[:, rows], scratch)
        np.dot(values, cell.bias, out=by_biases[rows])
        collected.take(rows)
        before = record.hidden_before(step, slices)
        if before is None:
            of_h[:] = 0.0
        else:
            np.dot(values, cell.recurrent, out=of_h)
            np.multiply(of_h, before, out=of_h)
        if rule.bias_factor:
            shares[rows] = rule.shared(by_biases[rows] + by_maps[0, rows], lower)
            np.add(of_h, shares[rows, np.newaxis], out=of_h)
    kept = 1.0 - rule.bias_factor
    biases, stabilizers = kept * packing.total(by_biases), kept * packing.totals(by_maps)
    lost = Shares(np.zeros(packing.batch), biases, stabilizers)
    return collected.result(shares, None), CellStates(r_h), lost


def gradient(
    record: RnnCellRecord, above: StateAmounts, reach: Reach, to_states: bool
) -> tuple[Floats, CellStates]:
    """Pass the gradient with respect to the hidden states to the inputs, as an LSTM cell's."""
    packing, layer, cell = record.packing, record.layer, record.cell
    [d_h] = above.after_last(packing.batch, cell)
    at_steps, _ = above.of_steps
    collected = gradient_of(reach, record)
    for rows in reversed(list(packing.slices())):
        of_h = d_h[: rows.stop - rows.start]
        if at_steps is not None:
            np.add(of_h, at_steps[rows], out=of_h)
        [of_z] = collected.gradients(rows)
        pull_back(layer.activation, record.z[rows], record.h[rows], of_h, of_z)
        collected.take(rows)
        if rows.start or to_states:
            np.dot(of_z, cell.recurrent, out=of_h)
    return collected.result(), CellStates(d_h)


def parted(
    record: RnnCellRecord,
    copies: CopiedSteps,
    inputs: CellParts,
    relevant_steps: Booleans,
    begun: BegunParts,
) -> list[StateRun]:
    """Run a cell over copies of sequences, in parts; parameters are as an LSTM cell's."""
    layer, cell, dtype = record.layer, record.cell, record.h.dtype
    late = Late.of(copies.packing, inputs.has_relevant | relevant_steps, begun.has_relevant)
    of_bias = ACTIVATIONS[layer.activation](cell.bias)
    hidden = np.empty((2, late.packing.rows, cell.hidden_size), dtype=dtype)
    before = late.before(record, copies, begun, HIDDEN)
    for at in late.packing.slices():
        rows, h = late.rows[at], before[:, : at.stop - at.start]
        argument = (h @ cell.recurrent.T)[:, np.newaxis]
        inputs.add_products(rows, argument)
        parts = Parts(*argument[:, 0])
        biased = activated_with_bias(layer.activation, parts, cell.bias, of_bias)
        of_step = with_bias(biased, relevant_steps[rows, np.newaxis])
        before = hidden[:, at]
        before[0], before[1] = of_step.relevant, of_step.irrelevant
    return [StateRun(record, copies, late, begun.idle[HIDDEN], HIDDEN, hidden)]
