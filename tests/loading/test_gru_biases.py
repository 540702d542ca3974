"""The two biases of a GRU: which of them the reset gate multiplies."""

import numpy as np
import pytest

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.load import load_model

HIDDEN = 2


@pytest.fixture
def cell_of(small):
    """The cell of a GRU in the place of the LSTM, with gates stacked z, r, n as in Keras."""
    rng = np.random.default_rng(15)
    small.arrays |= {
        "W": rng.standard_normal((3 * HIDDEN, 3)),
        "U": rng.standard_normal((3 * HIDDEN, HIDDEN)),
        "b": np.array([1.0, 2, 3, 4, 5, 6]),
        "b2": np.array([10.0, 20, 30, 40, 50, 60]),
    }
    small.arrays["rows"] = np.stack([small.arrays["b"], small.arrays["b2"]])

    def cell_of(reset, **biases):
        gru = {
            "gate_order": ["z", "r", "n"],
            "layout": "gates_by_features",
            "reset": reset,
            "forward": {"input": "W", "recurrent": "U", **biases},
        }
        embedding, _, dense = small.mapping["layers"]
        small.mapping["layers"] = [embedding, {"gru": gru}, dense]
        model = load_model(small.save(), None, np.dtype(np.float64)).model
        return model.nodes[0].layer.cells[0]

    return cell_of


TWO = [{"bias": "b", "recurrent_bias": "b2"}, {"bias": "rows"}]


@pytest.mark.parametrize("biases", TWO)
def test_after_the_product_the_candidates_second_stays_apart(cell_of, biases):
    cell = cell_of("after", **biases)
    assert cell.bias.tolist() == [[33, 44], [11, 22], [5, 6]]
    assert cell.recurrent_bias.tolist() == [50, 60]


@pytest.mark.parametrize("biases", [*TWO, {"bias": ["b", "b2"]}])
def test_before_the_product_all_add_up(cell_of, biases):
    cell = cell_of("before", **biases)
    assert cell.bias.tolist() == [[33, 44], [11, 22], [55, 66]]
    assert cell.recurrent_bias is None


def test_a_list_of_two_is_not_added_up_where_only_one_passes_the_reset_gate(cell_of):
    """It is how PyTorch's LSTM is described; of its GRU the scores would be off."""
    with pytest.raises(UnusableInput) as error:
        cell_of("after", bias=["b", "b2"])
    assert "layers[1].gru.forward.bias: found 2 that add up" in str(error.value)
    assert "as `recurrent_bias`" in str(error.value)
