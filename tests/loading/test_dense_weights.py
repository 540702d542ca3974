"""Dense layers: layouts, joined weights, biases, activations."""

import numpy as np
import pytest

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.load import load_model
from lstm_lrp_cli.model.layers import Activation, Dense
from lstm_lrp_cli.model.model import Head


@pytest.fixture
def load(small):
    return lambda: load_model(small.save(), None, np.dtype(np.float64)).model


def test_features_by_classes_is_transposed(small, load):
    weights = small.arrays["V"].copy()
    small.arrays["V"] = weights.T
    small.dense["layout"] = "features_by_classes"
    np.testing.assert_array_equal(load().layers[-1].weights, weights)


def test_layout_may_be_left_to_the_shape(small, load):
    del small.dense["layout"]
    weights = small.arrays["V"].copy()
    np.testing.assert_array_equal(load().layers[-1].weights, weights)
    small.arrays["V"] = weights.T
    np.testing.assert_array_equal(load().layers[-1].weights, weights)


def test_layout_of_a_square_matrix_is_asked_for(small, load):
    del small.dense["layout"]
    small.arrays |= {"V": np.ones((2, 2)), "c": np.ones(2)}
    with pytest.raises(UnusableInput, match="`layout` is missing and the shapes leave it open"):
        load()


def test_weights_of_a_list_are_joined_along_their_inputs(small, load):
    weights = small.arrays["V"].copy()
    small.arrays["V1"], small.arrays["V2"] = weights[:, :1], weights[:, 1:]
    small.dense["weights"] = ["V1", "V2"]
    np.testing.assert_array_equal(load().layers[-1].weights, weights)


@pytest.mark.parametrize(
    ("bias", "found"), [(None, None), ("c", [1, 2, 3]), (["c", "c"], [2, 4, 6])]
)
def test_bias_is_none_one_or_a_sum(small, load, bias, found):
    small.arrays["c"] = np.array([1.0, 2.0, 3.0])
    small.dense["bias"] = bias
    layer = load().layers[-1]
    assert isinstance(layer, Dense)
    assert (layer.bias is None) if found is None else (layer.bias.tolist() == found)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_a_last_softmax_or_sigmoid_stands_behind_the_scores(small, load, activation):
    small.dense["activation"] = activation
    model = load()
    assert isinstance(model.layers[-1], Dense)
    assert model.heads == (Head(3, activation),)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_other_activations_are_part_of_the_model(small, load, activation):
    small.dense["activation"] = activation
    model = load()
    assert model.layers[-1] == Activation(activation)
    assert model.heads == (Head(3, "linear"),)
    assert model.classes == 3


def test_a_softmax_as_a_layer_of_its_own(small, load):
    small.mapping["layers"].append({"activation": "softmax"})
    assert load().heads == (Head(3, "softmax"),)
