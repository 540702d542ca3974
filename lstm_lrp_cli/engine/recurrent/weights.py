"""The weights of cells of every kind in one form: their gates, and their candidate."""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from lstm_lrp_cli.model import CANDIDATE, FORGET, INPUT, OUTPUT, Floats
from lstm_lrp_cli.model.recurrent import GruCell, LstmCell, RecurrentCell

# The gates of a GRU; its candidate stands where an LSTM's does.
RESET, UPDATE = range(2)


class Maps(Struct, frozen=True, eq=False):
    """The linear maps of what a cell reads and of its hidden state, one a gate and the candidate's.

    Parameters
    ----------
    input : ndarray, shape (maps, hidden, inputs)
    recurrent : ndarray, shape (maps, hidden, outputs)
    bias : ndarray, shape (maps, hidden)
    gates : list of int
        Which of them are gates' own, in the order in which the cell's loop keeps them.
    candidate : int
        Which is that of what is written to the state. A cell without gates has no other.
    """

    input: Floats
    recurrent: Floats
    bias: Floats
    gates: list[int]
    candidate: int

    @classmethod
    def of(cls, cell: RecurrentCell) -> Maps:
        match cell:
            case LstmCell():
                gates, candidate = [INPUT, FORGET, OUTPUT], CANDIDATE
            case GruCell():
                gates, candidate = [RESET, UPDATE], CANDIDATE
            case _:
                alone = cell.input[np.newaxis], cell.recurrent[np.newaxis], cell.bias[np.newaxis]
                return cls(*alone, [], 0)
        return cls(cell.input, cell.recurrent, cell.bias, gates, candidate)

    @property
    def order(self) -> list[int]:
        """All of them, the candidate's behind those of the gates, which have much in common."""
        return [*self.gates, self.candidate]


class CellWeights(Struct, frozen=True, eq=False):
    """Weights from (n, inputs) to (n, hidden), one matrix for every gate and one for the candidate.

    Those of the gates are negated: the loop has -z of them, of which the sigmoid is
    1 / (1 + exp(-z)), and saves a pass over all gates.

    Parameters
    ----------
    input_gates : ndarray, shape (gates, inputs, hidden)
        In the order of the cell's maps: of an LSTM its input, forget and output gate, of a GRU its
        reset and update gate.
    input_candidate : ndarray, shape (inputs, hidden)
    recurrent_gates : ndarray, shape (gates, outputs, hidden)
    recurrent_candidate : ndarray, shape (outputs, hidden)
    bias_gates : ndarray, shape (gates, 1, hidden)
    bias_candidate : ndarray, shape (hidden,)
    """

    input_gates: Floats
    input_candidate: Floats
    recurrent_gates: Floats
    recurrent_candidate: Floats
    bias_gates: Floats
    bias_candidate: Floats

    @classmethod
    def of(cls, cell: RecurrentCell) -> CellWeights:
        maps = Maps.of(cell)
        return cls(
            from_left(-maps.input[maps.gates]),
            from_left(maps.input[maps.candidate]),
            from_left(-maps.recurrent[maps.gates]),
            from_left(maps.recurrent[maps.candidate]),
            -maps.bias[maps.gates][:, np.newaxis],
            maps.bias[maps.candidate],
        )


def from_left(weights: Floats) -> Floats:
    """The same weights for a product with rows from the left, contiguous."""
    return np.ascontiguousarray(weights.swapaxes(-1, -2))
