"""What every layer leaves of its forward pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from lstm_lrp_cli.model.arrays import CANDIDATE, Floats
from lstm_lrp_cli.model.layers import LstmCell
from .arrays import aligned_empty, row_dots
from .lstm.inputs import PROPER_GATES, CellInput
from .packing import Packing
from .rules import LrpRule, Messages


class Record(Protocol):
    """The forward pass of one layer over one batch, from which scores can be explained.

    A layer's values are of shape (rows, units) while the model still works step by step, and
    (batch, units) once a sequence has become one vector.
    """

    @property
    def outputs(self) -> Floats: ...

    def relevance(self, relevance: Floats, rule: LrpRule) -> tuple[Sequence[Floats | None], Shares]:
        """Pass relevance from the layer's outputs to its sources.

        Parameters
        ----------
        relevance : ndarray, of the shape of the outputs
        rule : LrpRule

        Returns
        -------
        sequence of ndarray or None
            For each source, of its shape; None where it gets nothing, as a gate.
        Shares
            What did not reach the sources.
        """
        ...

    def gradient(self, gradient: Floats) -> Sequence[Floats]:
        """Pass a score's gradient with respect to the layer's outputs to its sources.

        Parameters
        ----------
        gradient : ndarray, of the shape of the outputs

        Returns
        -------
        sequence of ndarray
            For each source, of its shape.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Shares:
    """What each sequence's relevance lost on its way, in float64.

    Parameters
    ----------
    initial_state : ndarray, shape (batch,)
        Passed to the initial hidden and cell states, or to the pool of a sequence without steps.
    biases : ndarray, shape (batch,)
        Absorbed by biases.
    stabilizers : ndarray, shape (2, batch)
        Absorbed by stabilizers, and the same by size: the sum of the units' absolute values.
    """

    initial_state: Floats
    biases: Floats
    stabilizers: Floats

    @classmethod
    def none(cls, batch: int) -> Shares:
        return cls(np.zeros(batch), np.zeros(batch), np.zeros((2, batch)))

    @classmethod
    def absorbed(cls, messages: Messages, steps: Packing | None) -> Shares:
        """What a linear map absorbed, at every step where `steps` is given, else once."""
        return cls.lost(messages.biases, messages.stabilizers, steps)

    @classmethod
    def lost(cls, biases: Floats, stabilizers: Floats, steps: Packing | None) -> Shares:
        """What biases and stabilizers absorbed, at every step where `steps` is given, else once."""
        if steps is not None:
            biases, stabilizers = steps.total(biases), steps.totals(stabilizers)
        return cls(np.zeros(len(biases)), biases, stabilizers)

    @classmethod
    def unstarted(cls, relevance: Floats, packing: Packing) -> Shares:
        """The relevance of sequences without steps, given that of all, shape (batch, units)."""
        lost = relevance.sum(axis=1, dtype=np.float64)
        lost[: packing.started] = 0.0
        return cls(lost, np.zeros(packing.batch), np.zeros((2, packing.batch)))

    def extended(self, batch: int) -> Shares:
        """The same shares with zeros for the further sequences of a batch."""
        missing = (0, batch - len(self.biases))
        return Shares(
            np.pad(self.initial_state, missing),
            np.pad(self.biases, missing),
            np.pad(self.stabilizers, ((0, 0), missing)),
        )

    def __add__(self, other: Shares) -> Shares:
        return Shares(
            self.initial_state + other.initial_state,
            self.biases + other.biases,
            self.stabilizers + other.stabilizers,
        )


Reach = Literal["features", "steps"]


class Reached(Protocol):
    """Takes what a cell's candidate sends to its inputs, step by step from the last."""

    def values(self, rows: slice) -> Floats:
        """Where the messages of a step are to be written, shape (n, hidden)."""
        ...

    def take(self, rows: slice) -> None:
        """Take the messages as they are written now."""
        ...

    def result(self, shares: Floats, of_gates: Floats | None) -> Floats:
        """The inputs' relevance, once all steps are done.

        Parameters
        ----------
        shares : ndarray, shape (rows,)
            What every lower unit gets of biases and stabilizers on top.
        of_gates : ndarray, shape (rows, 3 * hidden), or None
            What the gates send to their inputs, None where they get no relevance.
        """
        ...


class FeatureRelevance:
    """Relevance of every feature, shape (rows, inputs): x times the messages' product with W."""

    def __init__(self, cell: LstmCell, inputs: CellInput, rows: int) -> None:
        self._cell = cell
        self._inputs = inputs
        self._values = aligned_empty((rows, cell.hidden_size), cell.input.dtype)

    def values(self, rows: slice) -> Floats:
        return self._values[rows]

    def take(self, rows: slice) -> None:
        """The messages stand in their place already; one product at the end is for all steps."""

    def result(self, shares: Floats, of_gates: Floats | None) -> Floats:
        of_inputs: Floats = self._values @ self._cell.input[CANDIDATE]
        if of_gates is not None:
            weights = self._cell.input[PROPER_GATES].reshape(-1, self._cell.input_size)
            of_inputs += of_gates @ weights
        np.multiply(of_inputs, self._inputs.features, out=of_inputs)
        of_inputs += shares[:, np.newaxis]
        return of_inputs


class StepRelevance:
    """Relevance of whole steps, shape (rows,), without a product with W.

    x . (W^T s) = (W x) . s, and W x is the input's part of the candidate's pre-activation. The bias
    is no part of it: what biases get is counted for itself, so that an error there shows.
    """

    def __init__(self, cell: LstmCell, inputs: CellInput, rows: int, batch: int) -> None:
        self._inputs = inputs
        self._features = cell.input_size
        self._hidden = cell.hidden_size
        shape = (batch, cell.hidden_size)
        self._values = aligned_empty(shape, cell.input.dtype)
        self._products = aligned_empty(shape, cell.input.dtype)
        self._of_steps = np.empty(rows, dtype=cell.input.dtype)

    def values(self, rows: slice) -> Floats:
        return self._values[: rows.stop - rows.start]

    def take(self, rows: slice) -> None:
        values = self.values(rows)
        products = self._products[: len(values)]
        self._inputs.read_products(rows, products)
        row_dots(products, values, self._of_steps[rows])

    def result(self, shares: Floats, of_gates: Floats | None) -> Floats:
        of_steps: Floats = self._of_steps + self._features * shares
        if of_gates is not None:
            of_steps += self._of_gates(of_gates)
        return of_steps

    def _of_gates(self, values: Floats) -> Floats:
        """(W x) . s of the gates, shape (rows,), from what they read: -(W x + b)."""
        rows = len(values)
        products = np.empty((3, rows, self._hidden), dtype=values.dtype)
        self._inputs.read_gates(slice(rows), products)
        products -= self._inputs.weights.bias_gates
        of_steps: Floats = -np.einsum("krj,rkj->r", products, values.reshape(rows, 3, self._hidden))
        return of_steps


def reached(reach: Reach, cell: LstmCell, inputs: CellInput, packing: Packing) -> Reached:
    """Where the relevance of a cell's inputs is collected."""
    if reach == "features":
        return FeatureRelevance(cell, inputs, packing.rows)
    return StepRelevance(cell, inputs, packing.rows, packing.batch)
