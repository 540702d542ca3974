"""One GRU cell over copies of sequences, in parts. Its gates are of the whole, and not parted."""

from __future__ import annotations

import numpy as np

from lstm_lrp_cli.engine.activations import ACTIVATIONS
from lstm_lrp_cli.engine.arrays import CopiedSteps
from lstm_lrp_cli.engine.parts import Parts, activated_with_bias
from lstm_lrp_cli.engine.recurrent.parting import BegunParts, CellParts, Late, StateRun, with_bias
from lstm_lrp_cli.engine.recurrent.states import HIDDEN
from lstm_lrp_cli.engine.recurrent.weights import from_left
from lstm_lrp_cli.model import CANDIDATE, Booleans
from .cell import GruCellRecord


def run(
    record: GruCellRecord,
    copies: CopiedSteps,
    inputs: CellParts,
    relevant_steps: Booleans,
    begun: BegunParts,
) -> list[StateRun]:
    """Run a cell over copies of sequences; parameters are as an LSTM cell's."""
    layer, cell, dtype = record.layer, record.cell, record.h.dtype
    late = Late.of(copies.packing, inputs.has_relevant | relevant_steps, begun.has_relevant)
    recurrent = from_left(cell.recurrent)
    of_gates, of_candidate = recurrent[:CANDIDATE], recurrent[CANDIDATE]
    hidden = np.empty((2, late.packing.rows, cell.hidden_size), dtype=dtype)
    before = late.before(record, copies, begun, HIDDEN)
    for at in late.packing.slices():
        rows, h = late.rows[at], before[:, : at.stop - at.start]
        read = np.zeros((2, 3, *h.shape[1:]), dtype=dtype)
        inputs.add_products(rows, read)
        gates = read[:, :CANDIDATE].sum(axis=0) + h.sum(axis=0) @ of_gates
        gates += cell.bias[:CANDIDATE, np.newaxis]
        r, z = ACTIVATIONS[layer.gate_activation](gates)
        argument, bias = read[:, CANDIDATE], cell.bias[CANDIDATE]
        if not cell.reset_after:
            argument = argument + (r * h) @ of_candidate
        else:
            argument = argument + r * (h @ of_candidate)
            if cell.recurrent_bias is not None:
                bias = bias + r * cell.recurrent_bias
        of_bias = ACTIVATIONS[layer.activation](bias)
        biased = activated_with_bias(layer.activation, Parts(*argument), bias, of_bias)
        n = with_bias(biased, relevant_steps[rows, np.newaxis])
        before = hidden[:, at]
        before[0] = z * h[0] + (1.0 - z) * n.relevant
        before[1] = z * h[1] + (1.0 - z) * n.irrelevant
    return [StateRun(record, copies, late, begun.idle[HIDDEN], HIDDEN, hidden)]
