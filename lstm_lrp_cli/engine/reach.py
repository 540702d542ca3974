"""How far down relevance is told: to every feature of a step, or to steps as a whole."""

from typing import Literal, Protocol

import numpy as np

from lstm_lrp_cli.engine.arrays import aligned_empty, row_sums
from lstm_lrp_cli.engine.cell_input import CellInput
from lstm_lrp_cli.engine.packing import Packing
from lstm_lrp_cli.model.arrays import Floats
from lstm_lrp_cli.model.gates import CANDIDATE
from lstm_lrp_cli.model.layers import LstmCell

Reach = Literal["features", "steps"]


class Reached(Protocol):
    """Takes what a cell's candidate sends to its inputs, step by step from the last."""

    def values(self, rows: slice) -> Floats:
        """Where the messages of a step are to be written, shape (n, hidden)."""
        ...

    def receive(self, rows: slice, biases: Floats, share: Floats) -> None:
        """Take the messages as they are written now.

        Parameters
        ----------
        biases : ndarray, shape (n,)
            What the messages give to the biases, before any of it is redistributed.
        share : ndarray, shape (n,)
            What every lower unit gets of biases and stabilizers on top.
        """
        ...

    def result(self) -> Floats:
        """The inputs' relevance once all steps are done."""
        ...


class FeatureRelevance:
    """Relevance of every feature, shape (rows, inputs): x times the messages' product with W."""

    def __init__(self, cell: LstmCell, inputs: CellInput, rows: int) -> None:
        self._weights = cell.input[CANDIDATE]
        self._inputs = inputs
        self._values = aligned_empty((rows, cell.hidden_size), cell.input.dtype)
        self._share = np.empty((rows, 1), dtype=cell.input.dtype)

    def values(self, rows: slice) -> Floats:
        return self._values[rows]

    def receive(self, rows: slice, biases: Floats, share: Floats) -> None:
        self._share[rows, 0] = share

    def result(self) -> Floats:
        # One product for all steps.
        of_inputs: Floats = self._values @ self._weights
        np.multiply(of_inputs, self._inputs.features, out=of_inputs)
        of_inputs += self._share
        return of_inputs


class StepRelevance:
    """Relevance of whole steps, shape (rows,), without a product with W.

    x . (W^T s) = (W x) . s, and W x is the input's part of the candidate's pre-activation.
    """

    def __init__(self, cell: LstmCell, inputs: CellInput, rows: int, batch: int) -> None:
        self._inputs = inputs
        self._features = cell.input_size
        shape = (batch, cell.hidden_size)
        self._values = aligned_empty(shape, cell.input.dtype)
        self._parts = aligned_empty(shape, cell.input.dtype)
        self._result = np.empty(rows, dtype=cell.input.dtype)

    def values(self, rows: slice) -> Floats:
        return self._values[: rows.stop - rows.start]

    def receive(self, rows: slice, biases: Floats, share: Floats) -> None:
        n = rows.stop - rows.start
        values, parts = self._values[:n], self._parts[:n]
        self._inputs.read_candidate(rows, parts)  # W x + b
        np.multiply(parts, values, out=parts)
        of_steps = self._result[rows]
        np.subtract(row_sums(parts), biases, out=of_steps)
        of_steps += self._features * share

    def result(self) -> Floats:
        return self._result


def reached(reach: Reach, cell: LstmCell, inputs: CellInput, packing: Packing) -> Reached:
    """Where the relevance of a cell's inputs is collected."""
    if reach == "features":
        return FeatureRelevance(cell, inputs, packing.rows)
    return StepRelevance(cell, inputs, packing.rows, packing.batch)
