"""One GRU cell over copies of sequences, in parts; its gates are not parted."""

from __future__ import annotations

import numpy as np

from lstm_lrp_cli.engine.activations import ACTIVATIONS
from lstm_lrp_cli.engine.arrays import CopiedSteps
from lstm_lrp_cli.engine.parts import Parts, activated_with_bias
from lstm_lrp_cli.engine.recurrent.inputs import NEW, RESET, UPDATE, from_left
from lstm_lrp_cli.engine.recurrent.parted import CellParts, PartedStates, PartedSteps
from lstm_lrp_cli.model import Booleans
from .cell import GruRecord


def run(
    record: GruRecord,
    copies: CopiedSteps,
    inputs: CellParts,
    relevant_steps: Booleans,
    begun: PartedStates,
) -> PartedSteps:
    """Run a cell over copies of sequences.

    Parameters
    ----------
    relevant_steps : ndarray of bool, shape (rows,)
        The rows, in the reading order, at which what the biases alone give is relevant.
    begun : PartedStates
        The states with which they begin.
    """
    layer, cell, packing = record.layer, record.cell, copies.packing
    recurrent = from_left(cell.recurrent)
    gated, function = ACTIVATIONS[layer.gate_activation], ACTIVATIONS[layer.activation]
    hidden = np.empty((2, packing.rows, cell.hidden_size), dtype=record.h.dtype)
    before = np.stack([begun.hidden.relevant, begun.hidden.irrelevant])
    inner_bias = 0.0 if cell.recurrent_bias is None else cell.recurrent_bias
    for at in packing.slices():
        n = at.stop - at.start
        h = before[:, :n]
        z = np.zeros((2, 3, n, cell.hidden_size), dtype=hidden.dtype)
        z[:, :NEW] = h[:, np.newaxis] @ recurrent[:NEW]
        inputs.add_products(np.arange(at.start, at.stop), z)
        reset, update = (gated(z[:, k].sum(axis=0) + cell.bias[k]) for k in (RESET, UPDATE))
        if cell.reset_after:
            of_hidden, bias = reset * (h @ recurrent[NEW]), cell.bias[NEW] + reset * inner_bias
        else:
            of_hidden, bias = (reset * h) @ recurrent[NEW], cell.bias[NEW] + 0.0 * reset
        argument = Parts(*(z[:, NEW] + of_hidden))
        new = activated_with_bias(layer.activation, argument, bias, function(bias))
        marked = relevant_steps[at, np.newaxis]
        hidden[0, at] = update * h[0] + (1.0 - update) * (
            new.relevant + np.where(marked, new.of_bias, 0.0)
        )
        hidden[1, at] = update * h[1] + (1.0 - update) * (
            new.irrelevant + np.where(marked, 0.0, new.of_bias)
        )
        before = hidden[:, at]
    return PartedSteps.of(packing, hidden, begun)
