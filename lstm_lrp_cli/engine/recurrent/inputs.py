"""What a cell reads at each step: W x_t, of numbers or of tokens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_lrp_cli.engine.arrays import Packing, aligned_empty
from lstm_lrp_cli.engine.records import Value
from lstm_lrp_cli.model import CANDIDATE, FORGET, INPUT, OUTPUT, Floats, Integers
from lstm_lrp_cli.model.layers import Embedding
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.model.recurrent import GruCell, LstmCell, Recurrent, RecurrentCell, RnnCell


@dataclass(frozen=True, slots=True, eq=False)
class NumericInput:
    """Inputs that are numbers: of a series, or of the layer below.

    Parameters
    ----------
    features : ndarray, shape (rows, inputs)
        In the order in which the cell reads them.
    """

    weights: CellWeights
    features: Floats

    def read_gates(self, rows: slice, out: Floats) -> None:
        """Write the rows' part of -z of the gates, -(W x + b), shape (gates, n, hidden)."""
        np.matmul(self.features[rows], self.weights.input_gates, out=out)
        np.add(out, self.weights.bias_gates, out=out)

    def read_candidate(self, rows: slice, out: Floats) -> None:
        """Write the rows' part of z of the candidate, W x + b, shape (n, hidden)."""
        self.read_products(rows, out)
        np.add(out, self.weights.bias_candidate, out=out)

    def read_products(self, rows: slice, out: Floats) -> None:
        """Write the rows' W x of the candidate, shape (n, hidden), without its bias."""
        np.matmul(self.features[rows], self.weights.input_candidate, out=out)


@dataclass(frozen=True, slots=True, eq=False)
class CellTable:
    """W E[token] + b of one cell, for every token that occurs.

    Parameters
    ----------
    gates : list of ndarray, each of shape (tokens, hidden)
        Negated, as in CellWeights.
    candidate : ndarray, shape (tokens, hidden)
    products : ndarray, shape (tokens, hidden)
        W E[token] of the candidate, without its bias: relevance of steps is told by it.
    """

    weights: CellWeights
    gates: list[Floats]
    candidate: Floats
    products: Floats

    @classmethod
    def of(cls, cell: RecurrentCell, embedded: Floats) -> CellTable:
        """The table for tokens whose embeddings are of shape (tokens, inputs)."""
        weights = CellWeights.of(cell)
        shape, count = (len(embedded), cell.hidden_size), len(weights.input_gates)
        arrays = aligned_empty((count + 2, *shape), embedded.dtype)
        gates, candidate, products = arrays[:count], arrays[count], arrays[count + 1]
        inputs, everything = NumericInput(weights, embedded), slice(len(embedded))
        if count:
            inputs.read_gates(everything, gates)
        inputs.read_products(everything, products)
        np.add(products, weights.bias_candidate, out=candidate)
        return cls(weights, list(gates), candidate, products)


@dataclass(frozen=True, slots=True, eq=False)
class TokenInput:
    """Inputs that are tokens, read as numbers are: their products are looked up in a table.

    Parameters
    ----------
    places : ndarray of int, shape (rows,)
        The place of each row's token in the table.
    ids : ndarray of int, shape (rows,)
    """

    table: CellTable
    places: Integers
    ids: Integers
    embedding: Embedding

    @property
    def weights(self) -> CellWeights:
        return self.table.weights

    @property
    def features(self) -> Floats:
        return self.embedding.weights[self.ids]

    def read_gates(self, rows: slice, out: Floats) -> None:
        places = self.places[rows]
        for k, table in enumerate(self.table.gates):
            table.take(places, axis=0, out=out[k], mode="clip")  # else it is copied once more

    def read_candidate(self, rows: slice, out: Floats) -> None:
        self.table.candidate.take(self.places[rows], axis=0, out=out, mode="clip")

    def read_products(self, rows: slice, out: Floats) -> None:
        self.table.products.take(self.places[rows], axis=0, out=out, mode="clip")


# Where the gates of a GRU stand: the reset gate, the update gate, and the candidate.
RESET, UPDATE, NEW = range(3)

# The inputs of a packed batch, in the order in which a cell reads them.
CellInput = NumericInput | TokenInput


@dataclass(frozen=True, slots=True, eq=False)
class TokenTable:
    """What the layers that read tokens make of each: a product a token, and not one a step.

    Tokens repeat. Made for a window of a corpus, the table is far smaller than one for the whole
    vocabulary, and the products are the same however many processes share the work.

    Parameters
    ----------
    embedding : Embedding
    places : ndarray of int, shape (vocabulary,)
        Where each token that occurs stands in the tables.
    cells : dict
        By the node's place in the model, the tables of its cells.
    """

    embedding: Embedding
    places: Integers
    cells: dict[int, list[CellTable]]

    @classmethod
    @np.errstate(over="ignore", invalid="ignore")  # what overflows shows in the scores
    def of(cls, model: Model, place: int, embedding: Embedding, ids: Integers) -> TokenTable:
        """The table for the tokens among some ids, of any shape, of the input that a place is."""
        occurs = np.zeros(len(embedding.weights), dtype=bool)
        occurs[ids] = True
        tokens = np.flatnonzero(occurs)
        places = np.zeros(len(occurs), dtype=np.intp)
        places[tokens] = np.arange(len(tokens))
        embedded = embedding.weights[tokens]
        cells = {
            node: [CellTable.of(cell, embedded) for cell in layer.cells]
            for node, layer in _reading_tokens(model, place)
        }
        return cls(embedding, places, cells)

    @staticmethod
    def bytes_of_token(model: Model, place: int) -> int:
        """What a table of the model takes for each token of the input that a place is."""
        reading = _reading_tokens(model, place)
        # Of each gate, of the candidate, and its products.
        units = sum(
            (len(gates_and_candidate(cell)[0]) + 2) * cell.hidden_size
            for _, layer in reading
            for cell in layer.cells
        )
        return units * model.dtype.itemsize

    def inputs(
        self, node: int, layer: Recurrent, ids: Integers, packing: Packing
    ) -> list[CellInput]:
        """What the cells of a node's layer read of a batch's token ids, shape (rows,)."""
        found: list[CellInput] = []
        cells: tuple[RecurrentCell, ...] = layer.cells
        for cell, table in zip(cells, self.cells[node], strict=True):
            read = in_reading_order(cell, ids, packing)
            found.append(TokenInput(table, self.places[read], read, self.embedding))
        return found


@dataclass(frozen=True, slots=True, eq=False)
class TokenValue:
    """An input of tokens, embedded for the nodes that look at the embedding itself.

    Parameters
    ----------
    ids : ndarray of int, shape (rows,)
    packing : Packing
    """

    table: TokenTable
    ids: Integers
    packing: Packing

    @property
    def array(self) -> Floats:
        return self.table.embedding.weights[self.ids]


def _reading_tokens(model: Model, place: int) -> Iterator[tuple[int, Recurrent]]:
    """The recurrent layers that read an input of the model, by their nodes."""
    for number, node in enumerate(model.nodes):
        if isinstance(node.layer, Recurrent) and node.sources[0] == place:
            yield number, node.layer


def cell_inputs(
    place: int, layer: Recurrent, source: Value | TokenValue, packing: Packing
) -> list[CellInput]:
    """What the cells of the layer at a place read of what feeds it."""
    if isinstance(source, TokenValue):
        return source.table.inputs(place, layer, source.ids, packing)
    return numeric_inputs(layer, source.array, packing)


def numeric_inputs(layer: Recurrent, features: Floats, packing: Packing) -> list[CellInput]:
    """What the cells of a layer read of a batch's features, shape (rows, inputs)."""
    return [
        NumericInput(CellWeights.of(cell), in_reading_order(cell, features, packing))
        for cell in layer.cells
    ]


def in_reading_order(cell: RecurrentCell, rows: NDArray[Any], packing: Packing) -> NDArray[Any]:
    """Bring rows from the sequences' order to that in which a cell reads them, or back."""
    return rows[packing.reverse] if cell.backward else rows


# The gates of an LSTM apart from the candidate, in the order in which its loop keeps them.
PROPER_GATES = [INPUT, FORGET, OUTPUT]


def gates_and_candidate(cell: RecurrentCell) -> tuple[list[int], int]:
    """Where the proper gates of a cell stand in its weights, and where its candidate."""
    match cell:
        case LstmCell():
            return PROPER_GATES, CANDIDATE
        case GruCell():
            return [RESET, UPDATE], NEW
        case RnnCell():
            return [], 0


def stacked(cell: RecurrentCell) -> tuple[Floats, Floats, Floats]:
    """The weights of inputs and hidden states and the biases, gates on the leading axis."""
    if isinstance(cell, RnnCell):
        return cell.input[np.newaxis], cell.recurrent[np.newaxis], cell.bias[np.newaxis]
    return cell.input, cell.recurrent, cell.bias


@dataclass(frozen=True, slots=True, eq=False)
class CellWeights:
    """Weights from (n, inputs) to (n, hidden), one matrix for every gate and one for the candidate.

    Those of the gates are negated: the loop has -z of them, of which the sigmoid is
    1 / (1 + exp(-z)), and saves a pass over all gates.

    Parameters
    ----------
    input_gates : ndarray, shape (gates, inputs, hidden)
        Of an LSTM the input, forget and output gate; of a GRU the reset and update gate.
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
        gates, candidate = gates_and_candidate(cell)
        weights, recurrent, bias = stacked(cell)
        return cls(
            from_left(-weights[gates]),
            from_left(weights[candidate]),
            from_left(-recurrent[gates]),
            from_left(recurrent[candidate]),
            -bias[gates][:, np.newaxis],
            bias[candidate],
        )


def from_left(weights: Floats) -> Floats:
    """The same weights for a product with rows from the left, contiguous."""
    return np.ascontiguousarray(weights.swapaxes(-1, -2))
