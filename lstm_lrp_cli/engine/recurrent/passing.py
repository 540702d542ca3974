"""What comes of a cell's linear maps at its inputs, as a pass goes back from the last step.

Of every feature it is a product with W; of steps it is told without one.
"""

import numpy as np

from lstm_lrp_cli.engine.arrays import aligned_empty, row_dots
from lstm_lrp_cli.engine.records import Reach
from lstm_lrp_cli.model import Floats
from .cells import CellRecord
from .weights import Maps


class FeatureRelevance:
    """Takes what a cell's candidate sends to its inputs, step by step from the last.

    Relevance of every feature, shape (rows, inputs), is x times the messages' product with W.
    """

    def __init__(self, record: CellRecord) -> None:
        cell = record.reading.cell
        self._maps = Maps.of(cell)
        self._inputs = record.inputs
        self._messages = aligned_empty((record.packing.rows, cell.hidden_size), cell.input.dtype)

    def messages(self, rows: slice) -> Floats:
        """Where the messages of a step are to be written, shape (n, hidden)."""
        return self._messages[rows]

    def take(self, rows: slice) -> None:
        """Take them as they are written now: they stay, for one product of all steps at the end."""

    def result(self, shares: Floats, of_gates: Floats | None) -> Floats:
        """The inputs' relevance, once all steps are done.

        Parameters
        ----------
        shares : ndarray, shape (rows,)
            What every lower unit gets of biases and stabilizers on top.
        of_gates : ndarray, shape (rows, gates * hidden), or None
            What the gates send to their inputs, None where they get no relevance.
        """
        maps = self._maps
        of_inputs: Floats = self._messages @ maps.input[maps.candidate]
        if of_gates is not None:
            weights = maps.input[maps.gates]
            of_inputs += of_gates @ weights.reshape(-1, weights.shape[-1])
        np.multiply(of_inputs, self._inputs.features, out=of_inputs)
        of_inputs += shares[:, np.newaxis]
        return of_inputs


class StepRelevance:
    """The same of steps, shape (rows,), without a product with W.

    x . (W^T s) = (W x) . s, and W x is the input's part of the candidate's pre-activation. The bias
    is no part of it: what biases get is counted for itself, so that an error there shows.
    """

    def __init__(self, record: CellRecord) -> None:
        cell, packing = record.reading.cell, record.packing
        self._cell = cell
        self._inputs = record.inputs
        shape, dtype = (packing.batch, cell.hidden_size), cell.input.dtype
        self._messages, self._products = (aligned_empty(shape, dtype) for _ in range(2))
        self._of_steps = np.empty(packing.rows, dtype)

    def messages(self, rows: slice) -> Floats:
        return self._messages[: rows.stop - rows.start]

    def take(self, rows: slice) -> None:
        messages = self.messages(rows)
        products = self._products[: len(messages)]
        self._inputs.read_products(rows, products)
        row_dots(products, messages, self._of_steps[rows])

    def result(self, shares: Floats, of_gates: Floats | None) -> Floats:
        of_steps: Floats = self._of_steps + self._cell.input_size * shares
        if of_gates is not None:
            of_steps += self._of_gates(of_gates)
        return of_steps

    def _of_gates(self, messages: Floats) -> Floats:
        """(W x) . s of the gates, shape (rows,), from what they read: -(W x + b)."""
        rows, hidden, biases = (
            len(messages),
            self._cell.hidden_size,
            self._inputs.weights.bias_gates,
        )
        products = np.empty((len(biases), rows, hidden), dtype=messages.dtype)
        self._inputs.read_gates(slice(rows), products)
        products -= biases
        by_gate = messages.reshape(rows, len(biases), hidden)
        of_steps: Floats = -np.einsum("krj,rkj->r", products, by_gate)
        return of_steps


def relevance_of(reach: Reach, record: CellRecord) -> FeatureRelevance | StepRelevance:
    return FeatureRelevance(record) if reach == "features" else StepRelevance(record)


class FeatureGradient:
    """Takes the gradient of a cell's pre-activations, step by step from the last.

    It makes of them the gradient of every feature, shape (rows, inputs).
    """

    def __init__(self, record: CellRecord) -> None:
        cell, packing = record.reading.cell, record.packing
        batch, dtype, maps = packing.batch, cell.input.dtype, Maps.of(cell)
        self._weights = maps.input[maps.order]
        count = len(self._weights)
        self._gradients = aligned_empty((count, batch, cell.hidden_size), dtype)
        self._parts = aligned_empty((count, batch, cell.input_size), dtype)
        self._of_inputs = aligned_empty((packing.rows, cell.input_size), dtype)

    def gradients(self, rows: slice) -> Floats:
        """Where those of a step are to be written, shape (maps, n, hidden), gates first."""
        return self._gradients[:, : rows.stop - rows.start]

    def take(self, rows: slice) -> None:
        """Take them as they are written now."""
        gradients = self.gradients(rows)
        parts = self._parts[:, : gradients.shape[1]]
        np.matmul(gradients, self._weights, out=parts)
        add_up(parts, self._of_inputs[rows])

    def result(self) -> Floats:
        """What has come of them, once all steps are done."""
        return self._of_inputs


class StepGradient:
    """The same times the inputs, summed over a step's features, (rows,), without a product with W.

    x . (W^T d) = (W x) . d, and W x is what the cell reads; of the gates it reads -(W x + b).
    """

    def __init__(self, record: CellRecord) -> None:
        cell, rows, maps = record.reading.cell, record.packing.rows, Maps.of(record.reading.cell)
        dtype, gates = cell.input.dtype, len(maps.gates)
        self._inputs = record.inputs
        shape = (gates + 1, record.packing.batch, cell.hidden_size)
        self._gradients, self._products = (aligned_empty(shape, dtype) for _ in range(2))
        self._biases = maps.bias[maps.gates, :, np.newaxis]
        self._of_candidates = np.empty(rows, dtype)
        self._of_gates, self._of_biases = np.empty((2, gates, rows, 1), dtype)

    def gradients(self, rows: slice) -> Floats:
        return self._gradients[:, : rows.stop - rows.start]

    def take(self, rows: slice) -> None:
        gradients, gates = self.gradients(rows), len(self._biases)
        products = self._products[:, : gradients.shape[1]]
        self._inputs.read_products(rows, products[gates])
        row_dots(products[gates], gradients[gates], self._of_candidates[rows])
        if gates:
            self._inputs.read_gates(rows, products[:gates])
            np.matmul(gradients[:gates], self._biases, out=self._of_biases[:, rows])
            row_dots(products[:gates], gradients[:gates], self._of_gates[:, rows, 0])

    def result(self) -> Floats:
        of_gates = (self._of_gates + self._of_biases).sum(axis=0)[:, 0]
        of_steps: Floats = self._of_candidates - of_gates
        return of_steps


def gradient_of(reach: Reach, record: CellRecord) -> FeatureGradient | StepGradient:
    return FeatureGradient(record) if reach == "features" else StepGradient(record)


def add_up(parts: Floats, out: Floats) -> None:
    """Write the sum of parts of shape (maps, n, units), which takes `np.sum` twice the time."""
    if len(parts) == 1:
        np.copyto(out, parts[0])
        return
    np.add(parts[0], parts[1], out=out)
    for part in parts[2:]:
        np.add(out, part, out=out)
