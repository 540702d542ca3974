"""A cell's weights as the forward loop multiplies with them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lstm_lrp_cli.model.arrays import Floats
from lstm_lrp_cli.model.gates import CANDIDATE, FORGET, INPUT, OUTPUT
from lstm_lrp_cli.model.layers import LstmCell

# The gates apart from the candidate, in the order in which the cell's loop keeps them.
PROPER_GATES = [INPUT, FORGET, OUTPUT]


@dataclass(frozen=True, slots=True, eq=False)
class CellWeights:
    """Weights from (n, inputs) to (n, hidden), one matrix for every gate and one for the candidate.

    Those of the gates are negated: the loop has -z of them, of which the sigmoid is
    1 / (1 + exp(-z)), and saves a pass over all gates.

    Parameters
    ----------
    input_gates : ndarray, shape (3, inputs, hidden)
        Of the input, forget and output gate.
    input_candidate : ndarray, shape (inputs, hidden)
    recurrent_gates : ndarray, shape (3, outputs, hidden)
    recurrent_candidate : ndarray, shape (outputs, hidden)
    bias_gates : ndarray, shape (3, 1, hidden)
    bias_candidate : ndarray, shape (hidden,)
    """

    input_gates: Floats
    input_candidate: Floats
    recurrent_gates: Floats
    recurrent_candidate: Floats
    bias_gates: Floats
    bias_candidate: Floats

    @classmethod
    def of(cls, cell: LstmCell) -> CellWeights:
        return cls(
            from_left(-cell.input[PROPER_GATES]),
            from_left(cell.input[CANDIDATE]),
            from_left(-cell.recurrent[PROPER_GATES]),
            from_left(cell.recurrent[CANDIDATE]),
            -cell.bias[PROPER_GATES][:, np.newaxis],
            cell.bias[CANDIDATE],
        )


def from_left(weights: Floats) -> Floats:
    """The same weights for a product with rows from the left, contiguous."""
    return np.ascontiguousarray(weights.swapaxes(-1, -2))
