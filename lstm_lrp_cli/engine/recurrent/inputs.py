"""What a cell reads at each step, W x_t, and the states in which it begins and ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_lrp_cli.engine.arrays import Packing, aligned_empty
from lstm_lrp_cli.engine.records import Value
from lstm_lrp_cli.model import CANDIDATE, FORGET, INPUT, OUTPUT, Floats, Integers
from lstm_lrp_cli.model.layers import Embedding
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.model.recurrent import Lstm, LstmCell


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
        """Write the rows' part of -z of the gates, -(W x + b), shape (3, n, hidden)."""
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
    def of(cls, cell: LstmCell, embedded: Floats) -> CellTable:
        """The table for tokens whose embeddings are of shape (tokens, inputs)."""
        weights = CellWeights.of(cell)
        shape = (len(embedded), cell.hidden_size)
        arrays = aligned_empty((5, *shape), embedded.dtype)
        gates, candidate, products = arrays[:3], arrays[3], arrays[4]
        inputs, everything = NumericInput(weights, embedded), slice(len(embedded))
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


# The inputs of a packed batch, in the order in which a cell reads them.
CellInput = NumericInput | TokenInput


@dataclass(frozen=True, slots=True, eq=False)
class TokenTable:
    """What the LSTMs that read tokens make of each: a product a token, and not one a step.

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
        arrays = 5  # three gates, the candidate, and its products
        reading = _reading_tokens(model, place)
        units = sum(cell.hidden_size for _, layer in reading for cell in layer.cells)
        return arrays * units * model.dtype.itemsize

    def inputs(self, node: int, layer: Lstm, ids: Integers, packing: Packing) -> list[CellInput]:
        """What the cells of a node's layer read of a batch's token ids, shape (rows,)."""
        found: list[CellInput] = []
        for cell, table in zip(layer.cells, self.cells[node], strict=True):
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


def _reading_tokens(model: Model, place: int) -> Iterator[tuple[int, Lstm]]:
    """The LSTMs that read an input of the model, by their nodes."""
    for number, node in enumerate(model.nodes):
        if isinstance(node.layer, Lstm) and node.sources[0] == place:
            yield number, node.layer


def cell_inputs(
    place: int, layer: Lstm, source: Value | TokenValue, packing: Packing
) -> list[CellInput]:
    """What the cells of the layer at a place read of what feeds it."""
    if isinstance(source, TokenValue):
        return source.table.inputs(place, layer, source.ids, packing)
    return numeric_inputs(layer, source.array, packing)


def numeric_inputs(layer: Lstm, features: Floats, packing: Packing) -> list[CellInput]:
    """What the cells of a layer read of a batch's features, shape (rows, inputs)."""
    return [
        NumericInput(CellWeights.of(cell), in_reading_order(cell, features, packing))
        for cell in layer.cells
    ]


def in_reading_order(cell: LstmCell, rows: NDArray[Any], packing: Packing) -> NDArray[Any]:
    """Bring rows from the sequences' order to that in which a cell reads them, or back."""
    return rows[packing.reverse] if cell.backward else rows


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


@dataclass(frozen=True, slots=True, eq=False)
class CellStates:
    """The states of one cell between two steps, of several sequences.

    Parameters
    ----------
    hidden : ndarray, shape (sequences, outputs), or None
    cell : ndarray, shape (sequences, hidden), or None
        None is zero.
    """

    hidden: Floats | None = None
    cell: Floats | None = None

    @classmethod
    def initial(cls, cell: LstmCell, sequences: int) -> CellStates:
        """Those with which a model's sequences begin where nothing is carried to them."""
        hidden, state = cell.initial_hidden, cell.initial_cell
        return cls(
            None if hidden is None else np.broadcast_to(hidden, (sequences, len(hidden))),
            None if state is None else np.broadcast_to(state, (sequences, len(state))),
        )

    def of(self, sequences: Integers) -> CellStates:
        """Those of some of the sequences, in that order."""
        return CellStates(
            None if self.hidden is None else self.hidden[sequences],
            None if self.cell is None else self.cell[sequences],
        )


@dataclass(frozen=True, slots=True, eq=False)
class States:
    """The states of all stateful LSTMs between two sequences, of several that run side by side.

    Parameters
    ----------
    cells : dict
        By the LSTM's place in the model, the states of its cells. Empty of a stateless model.
    """

    cells: Mapping[int, Sequence[CellStates]] = field(default_factory=dict)

    @classmethod
    def initial(cls, model: Model) -> States:
        """Those with which one sequence begins where nothing is carried to it, all written out."""
        return cls(
            {
                place: [_written_out(cell, model) for cell in node.layer.cells]
                for place, node in enumerate(model.nodes)
                if isinstance(node.layer, Lstm) and node.layer.stateful
            }
        )

    @classmethod
    def joined(cls, several: Sequence[States]) -> States:
        """Those of the sequences of several, one after the other, all written out."""

        def joined(cells: Sequence[CellStates]) -> CellStates:
            return CellStates(
                np.concatenate([each.hidden for each in cells if each.hidden is not None]),
                np.concatenate([each.cell for each in cells if each.cell is not None]),
            )

        return cls(
            {
                place: list(map(joined, zip(*(each.cells[place] for each in several), strict=True)))
                for place in several[0].cells
            }
        )

    def of(self, sequences: Integers) -> States:
        """Those of some of the sequences, in that order."""
        return States(
            {place: [cell.of(sequences) for cell in cells] for place, cells in self.cells.items()}
        )


# Of a stateless model, whose sequences all begin with its initial states.
NOTHING_CARRIED = States()


def _written_out(cell: LstmCell, model: Model) -> CellStates:
    hidden, state = cell.initial_hidden, cell.initial_cell
    return CellStates(
        np.zeros((1, cell.output_size), model.dtype) if hidden is None else hidden[np.newaxis],
        np.zeros((1, cell.hidden_size), model.dtype) if state is None else state[np.newaxis],
    )
