"""One cell of a recurrent layer without gates over a packed batch: h = a(W x + U h + b)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lstm_lrp_cli.engine.activations import ACTIVATIONS, activate, pull_back
from lstm_lrp_cli.engine.arrays import CopiedSteps, Packing, aligned_empty, row_dots
from lstm_lrp_cli.engine.parts import Parts, activated_with_bias
from lstm_lrp_cli.engine.records import Reach, Shares
from lstm_lrp_cli.engine.rules import LrpRule
from lstm_lrp_cli.model import Booleans, Floats
from lstm_lrp_cli.model.recurrent import RnnCell, SimpleRnn
from .inputs import CellInput
from .parted import CellParts, PartedStates, PartedSteps
from .states import CellStates, Upper, before_steps


@dataclass(frozen=True, slots=True, eq=False)
class SimpleRecord:
    """One cell's forward pass; its rows are in the order in which the cell reads them.

    Parameters
    ----------
    z, h : ndarray, shape (rows, hidden)
        The pre-activation, and the hidden state.
    """

    layer: SimpleRnn
    cell: RnnCell
    packing: Packing
    inputs: CellInput
    z: Floats
    h: Floats
    begun: CellStates


def run(
    layer: SimpleRnn,
    cell: RnnCell,
    inputs: CellInput,
    packing: Packing,
    begun: CellStates,
    keep_gates: bool = False,
) -> SimpleRecord:
    """Run a cell; it has no gates to keep."""
    weights, dtype = inputs.weights, inputs.weights.bias_candidate.dtype
    z, h = aligned_empty((2, packing.rows, cell.hidden_size), dtype)
    before = begun.hidden
    for rows in packing.slices():
        inputs.read_candidate(rows, z[rows])
        if before is not None:
            z[rows] += before[: rows.stop - rows.start] @ weights.recurrent_candidate
        activate(layer.activation, z[rows], out=h[rows])
        before = h[rows]
    return SimpleRecord(layer, cell, packing, inputs, z, h, begun)


def relevance(
    record: SimpleRecord, upper: Upper, rule: LrpRule, reach: Reach
) -> tuple[Floats, Shares, CellStates]:
    """Pass the hidden states' relevance to the inputs, as that of an LSTM's cell."""
    packing, cell = record.packing, record.cell
    rows_of_all, dtype = packing.rows, record.h.dtype
    before = before_steps(record.h, record.begun.hidden, packing)
    values = aligned_empty((rows_of_all, cell.hidden_size), dtype)
    shares = np.zeros((rows_of_all, 1), dtype)
    biases, stabilizers = np.zeros(rows_of_all), np.zeros((2, rows_of_all))
    r_h = np.zeros((packing.batch, cell.hidden_size), dtype)
    if upper.at_end is not None:
        r_h[:] = upper.at_end
    for rows in reversed(list(packing.slices())):
        n = rows.stop - rows.start
        of_h = r_h[:n] if upper.at_steps is None else r_h[:n] + upper.at_steps[rows]
        lower = cell.hidden_size + cell.input_size
        found = rule.messages(of_h, record.z[rows], cell.bias, lower)
        values[rows], shares[rows] = found.values, found.share
        biases[rows], stabilizers[:, rows] = found.biases, found.stabilizers
        r_h[:n] = before[rows] * (found.values @ cell.recurrent) + found.share
    lost = Shares.lost(biases, stabilizers, packing)
    if reach == "features":
        of_inputs = (values @ cell.input) * record.inputs.features + shares
        return of_inputs, lost, CellStates(r_h)
    products = aligned_empty(values.shape, dtype)
    record.inputs.read_products(slice(rows_of_all), products)
    of_steps = np.empty(rows_of_all, dtype)
    row_dots(products, values, of_steps)
    return of_steps + cell.input_size * shares[:, 0], lost, CellStates(r_h)


def gradient(record: SimpleRecord, upper: Upper) -> tuple[Floats, CellStates]:
    """Pass the gradient with respect to the hidden states to the inputs, shape (rows, inputs)."""
    packing, cell = record.packing, record.cell
    of_z = aligned_empty(record.z.shape, record.z.dtype)
    d_h = np.zeros((packing.batch, cell.hidden_size), record.h.dtype)
    if upper.at_end is not None:
        d_h[:] = upper.at_end
    for rows in reversed(list(packing.slices())):
        n = rows.stop - rows.start
        of_h = d_h[:n] if upper.at_steps is None else d_h[:n] + upper.at_steps[rows]
        pull_back(record.layer.activation, record.z[rows], record.h[rows], of_h, of_z[rows])
        d_h[:n] = of_z[rows] @ cell.recurrent
    return of_z @ cell.input, CellStates(d_h)


def run_parted(
    record: SimpleRecord,
    copies: CopiedSteps,
    inputs: CellParts,
    relevant_steps: Booleans,
    begun: PartedStates,
) -> PartedSteps:
    """Run a cell over copies of sequences, in parts; what the bias alone gives is as of an LSTM."""
    layer, cell, packing = record.layer, record.cell, copies.packing
    recurrent, of_bias = cell.recurrent.T, ACTIVATIONS[layer.activation](cell.bias)
    hidden = np.empty((2, packing.rows, cell.hidden_size), dtype=record.h.dtype)
    before = np.stack([begun.hidden.relevant, begun.hidden.irrelevant])
    for at in packing.slices():
        z = (before[:, : at.stop - at.start] @ recurrent)[:, np.newaxis]
        inputs.add_products(np.arange(at.start, at.stop), z)
        new = activated_with_bias(layer.activation, Parts(*z[:, 0]), cell.bias, of_bias)
        marked = relevant_steps[at, np.newaxis]
        hidden[0, at] = new.relevant + np.where(marked, new.of_bias, 0.0)
        hidden[1, at] = new.irrelevant + np.where(marked, 0.0, new.of_bias)
        before = hidden[:, at]
    return PartedSteps.of(packing, hidden, begun)
