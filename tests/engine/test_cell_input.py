"""What cells read of tokens stands in a table: W E[token] + b, for the tokens that occur."""

import numpy as np
import pytest
from made_models import make_model

from lstm_lrp_cli.engine.arrays import Packing
from lstm_lrp_cli.engine.recurrent.inputs import TokenTable
from lstm_lrp_cli.model import CANDIDATE, FORGET, INPUT, OUTPUT
from lstm_lrp_cli.model.layers import MODEL_INPUT, Embedding
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.model.recurrent import Lstm, LstmCell

VOCABULARY = 9
IDS = np.array([[7, 2], [2, 5]])
OCCUR = [2, 5, 7]


def _cell(rng: np.random.Generator, inputs: int, hidden: int, backward: bool) -> LstmCell:
    shapes = ((4, hidden, inputs), (4, hidden, hidden), (4, hidden))
    return LstmCell(*(rng.normal(size=shape) for shape in shapes), backward=backward)


def make_reader(dtype: str = "float64") -> Model:
    """A model of two layers, of which the first reads tokens in both directions."""
    rng = np.random.default_rng(3)
    first = Lstm((_cell(rng, 4, 3, False), _cell(rng, 4, 3, True)), returns="sequence")
    second = Lstm((_cell(rng, 6, 2, False),))
    embedding = Embedding(rng.normal(size=(VOCABULARY, 4)))
    return make_model(embedding, first, second, classes=2, dtype=dtype)


MODEL = make_reader()
EMBEDDING = MODEL.inputs[0].embedding
assert EMBEDDING is not None
READER = MODEL.nodes[0].layer
assert isinstance(READER, Lstm)


@pytest.fixture
def table() -> TokenTable:
    return TokenTable.of(MODEL, MODEL_INPUT, EMBEDDING, IDS)


@pytest.mark.parametrize("direction", [0, 1])
def test_its_rows_are_the_inputs_part_of_pre_activations(table: TokenTable, direction: int) -> None:
    cell, of_cell = READER.cells[direction], table.cells[0][direction]
    for token in OCCUR:
        place = table.places[token]
        products = cell.input @ EMBEDDING.weights[token]
        of_candidate = products[CANDIDATE]  # without its bias
        np.testing.assert_allclose(of_cell.products[place], of_candidate, rtol=1e-13, atol=1e-13)
        gates = [gate[place] for gate in of_cell.gates]
        negated = -(products + cell.bias)[[INPUT, FORGET, OUTPUT]]
        np.testing.assert_allclose(gates, negated, rtol=1e-13, atol=1e-13)


def test_only_tokens_that_occur_have_a_row(table: TokenTable) -> None:
    assert sorted(table.places[OCCUR].tolist()) == [0, 1, 2]
    for of_cell in table.cells[0]:
        assert of_cell.products.shape == (3, 3)
        assert [gate.shape for gate in of_cell.gates] == [(3, 3)] * 3


def test_only_cells_that_read_tokens_have_a_table(table: TokenTable) -> None:
    assert {node: len(cells) for node, cells in table.cells.items()} == {0: 2}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_its_size_is_known_beforehand(dtype: str) -> None:
    model = make_reader(dtype)
    embedding = model.only_input.embedding
    assert embedding is not None
    found = TokenTable.of(model, MODEL_INPUT, embedding, IDS)
    taken = [
        array for cell in found.cells[0] for array in (*cell.gates, cell.candidate, cell.products)
    ]
    assert {array.dtype for array in taken} == {np.dtype(dtype)}
    assert sum(array.nbytes for array in taken) == 3 * TokenTable.bytes_of_token(model, MODEL_INPUT)


def test_a_batch_without_tokens_has_an_empty_table() -> None:
    found = TokenTable.of(MODEL, MODEL_INPUT, EMBEDDING, np.array([], dtype=np.intp))
    assert [of_cell.products.shape for of_cell in found.cells[0]] == [(0, 3)] * 2


def test_each_direction_reads_the_rows_of_its_own_order(table: TokenTable) -> None:
    packing = Packing(np.array([3]))
    ids = np.array([7, 2, 5])
    forward, backward = table.inputs(0, READER, ids, packing)
    embedded = EMBEDDING.weights[ids]
    np.testing.assert_array_equal(forward.features, embedded)
    np.testing.assert_array_equal(backward.features, embedded[::-1])
    for read, of_cell, order in zip(
        (forward, backward), table.cells[0], (ids, ids[::-1]), strict=True
    ):
        rows, places = slice(1, 3), table.places[order[1:3]]
        gates, products = np.empty((3, 2, 3)), np.empty((2, 3))
        read.read_gates(rows, gates)
        read.read_products(rows, products)
        np.testing.assert_array_equal(gates, [gate[places] for gate in of_cell.gates])
        np.testing.assert_array_equal(products, of_cell.products[places])
