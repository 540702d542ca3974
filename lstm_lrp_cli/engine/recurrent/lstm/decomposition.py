"""One LSTM cell over copies of sequences, in parts (Murdoch, Liu and Yu 2018)."""

from __future__ import annotations

import numpy as np

from lstm_lrp_cli.engine.activations import ACTIVATIONS
from lstm_lrp_cli.engine.arrays import CopiedSteps
from lstm_lrp_cli.engine.parts import BiasedParts, Parts, activated, activated_with_bias
from lstm_lrp_cli.engine.recurrent.parting import BegunParts, CellParts, Late, StateRun
from lstm_lrp_cli.engine.recurrent.states import CELL, HIDDEN
from lstm_lrp_cli.engine.recurrent.weights import from_left
from lstm_lrp_cli.model import CANDIDATE, FORGET, INPUT, OUTPUT, Booleans
from lstm_lrp_cli.model.recurrent import ActivationName
from .cell import LstmCellRecord


def run(
    record: LstmCellRecord,
    copies: CopiedSteps,
    inputs: CellParts,
    relevant_steps: Booleans,
    begun: BegunParts,
) -> list[StateRun]:
    """Run a cell over copies of sequences.

    Parameters
    ----------
    record : LstmCellRecord
        The originals' forward pass.
    copies : CopiedSteps
    inputs : CellParts
        What the copies' cells read.
    relevant_steps : ndarray of bool, shape (rows,)
        The rows, in the reading order, at which what biases alone give to the cell state is
        relevant.
    begun : BegunParts
        The states with which they begin.

    Returns
    -------
    list of StateRun
        The hidden states, and the cell states where the layer gives them too.
    """
    layer, cell = record.layer, record.cell
    late = Late.of(copies.packing, inputs.has_relevant | relevant_steps, begun.has_relevant)
    recurrent = from_left(cell.recurrent)
    kinds: dict[int, ActivationName] = {
        INPUT: layer.gate_activation,
        FORGET: layer.gate_activation,
        CANDIDATE: layer.activation,
    }
    of_biases = {gate: ACTIVATIONS[kind](cell.bias[gate]) for gate, kind in kinds.items()}
    rows_of_late, dtype = late.packing.rows, record.h.dtype
    hidden = np.empty((2, rows_of_late, cell.output_size), dtype=dtype)
    cells = np.empty((2, rows_of_late if layer.gives_cell else 0, cell.hidden_size), dtype=dtype)
    before = late.before(record, copies, begun, HIDDEN)
    c = Parts(*late.before(record, copies, begun, CELL))
    for at in late.packing.slices():
        rows, n = late.rows[at], at.stop - at.start
        z = before[:, np.newaxis, :n] @ recurrent
        inputs.add_products(rows, z)
        i, f, g = (
            activated_with_bias(kind, Parts(*z[:, gate]), cell.bias[gate], of_biases[gate])
            for gate, kind in kinds.items()
        )
        o = ACTIVATIONS[layer.gate_activation](z[0, OUTPUT] + z[1, OUTPUT] + cell.bias[OUTPUT])
        kept = _kept(f, Parts(c.relevant[:n], c.irrelevant[:n]))
        written = _written(i, g, relevant_steps[rows, np.newaxis])
        c = Parts(kept.relevant + written.relevant, kept.irrelevant + written.irrelevant)
        if layer.gives_cell:
            cells[0, at], cells[1, at] = c.relevant, c.irrelevant
        signal = activated(ACTIVATIONS[layer.activation], c)
        before = hidden[:, at]
        for part, of_signal in zip(before, (signal.relevant, signal.irrelevant), strict=True):
            m = o * of_signal
            part[...] = m if cell.projection is None else m @ cell.projection.T
    runs = [StateRun(record, copies, late, begun.idle[HIDDEN], HIDDEN, hidden)]
    if layer.gives_cell:
        runs.append(StateRun(record, copies, late, begun.idle[CELL], CELL, cells))
    return runs


def _kept(f: BiasedParts, c: Parts) -> Parts:
    """f * c: relevant is what the relevant part of f and its bias keep of that of c."""
    return Parts(
        (f.relevant + f.of_bias) * c.relevant, f.irrelevant * c.relevant + f.whole * c.irrelevant
    )


def _written(i: BiasedParts, g: BiasedParts, is_relevant: Booleans) -> Parts:
    """i * g, of which what the biases alone give is relevant at some rows, (n, 1)."""
    by_biases = i.of_bias * g.of_bias
    relevant = i.relevant * (g.relevant + g.of_bias) + i.of_bias * g.relevant
    irrelevant = i.irrelevant * g.whole + (i.relevant + i.of_bias) * g.irrelevant
    return Parts(
        relevant + np.where(is_relevant, by_biases, 0.0),
        irrelevant + np.where(is_relevant, 0.0, by_biases),
    )
