"""What a cell reads at each step: W x_t, of numbers or of tokens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from lstm_lrp_cli.engine.arrays import Packing, aligned_empty
from lstm_lrp_cli.engine.records import Value
from lstm_lrp_cli.model import Floats, Integers
from lstm_lrp_cli.model.layers import Embedding
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.model.recurrent import Recurrent, RecurrentCell
from .weights import CellWeights, Maps


class NumericInput(Struct, frozen=True, eq=False):
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


class CellTable(Struct, frozen=True, eq=False):
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
        shape = (len(embedded), cell.hidden_size)
        count = _arrays(cell)
        *gates, candidate, products = arrays = aligned_empty((count, *shape), embedded.dtype)
        inputs, everything = NumericInput(weights, embedded), slice(len(embedded))
        inputs.read_gates(everything, arrays[: len(gates)])
        inputs.read_products(everything, products)
        np.add(products, weights.bias_candidate, out=candidate)
        return cls(weights, gates, candidate, products)


def _arrays(cell: RecurrentCell) -> int:
    """How many arrays a table has: one a gate, the candidate, and its products."""
    return len(Maps.of(cell).gates) + 2


class TokenInput(Struct, frozen=True, eq=False):
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


class TokenTable(Struct, frozen=True, eq=False):
    """What recurrent layers that read tokens make of each: a product a token, and not one a step.

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
        cells = [cell for _, layer in reading for cell in layer.cells]
        values = sum(_arrays(cell) * cell.hidden_size for cell in cells)
        return values * model.dtype.itemsize

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


class TokenValue(Struct, frozen=True, eq=False):
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
