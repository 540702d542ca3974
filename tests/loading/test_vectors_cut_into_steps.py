"""A vector of numbers that is cut into steps: the layer behind tells how many numbers it has."""

from copy import deepcopy

import numpy as np
import pytest

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.load import load_model
from lstm_lrp_cli.model.layers import Unflatten


@pytest.fixture
def load(small):
    """`history` is one vector a sequence; the LSTM reads three features a step."""
    _, lstm, dense = small.mapping["layers"]
    del small.mapping["vocabulary"]
    small.mapping["inputs"] = [{"name": "history", "steps": False}]

    def load(*before, behind=(), lstm=lstm):
        small.mapping["layers"] = [*before, deepcopy(lstm), *behind, dense]
        return load_model(small.save(), None, np.dtype(np.float64)).model

    return load


def test_it_has_the_features_of_each_step_so_many_times(load):
    """As Keras's Reshape((4, 3)) in front of an LSTM."""
    model = load({"unflatten": {"steps": 4}})
    assert model.nodes[0].layer == Unflatten(4)
    assert [each.size for each in model.inputs] == [12]


def test_through_layers_that_keep_units(load):
    model = load({"unflatten": {"steps": 6}}, {"reverse": "steps"}, {"crop": {"before": 2}})
    assert model.inputs[0].size == 18


def test_cut_twice(load):
    """Each of 5 steps is made one vector and cut anew, into 2 steps."""
    inner = {"each": {"steps": 2, "layers": [{"flatten": {"steps": 2}}]}}
    whole = [{"unflatten": {"steps": 10}}, {"activation": "relu"}]
    halves = {"each": {"steps": 1, "layers": [{"pool": "last"}, {"unflatten": {"steps": 2}}]}}
    # 10 steps of 6 are 20 of 3; 10 steps of 1.5 would be 5 of 3.
    assert load(*whole, halves).inputs[0].size == 60
    with pytest.raises(UnusableInput, match="takes a number of units that it is not given"):
        load(*whole, inner)


def test_two_vectors_are_told_apart(small):
    _, lstm, dense = small.mapping["layers"]
    del small.mapping["vocabulary"]
    small.mapping["inputs"] = [{"name": name, "steps": False} for name in ("long", "short")]
    small.mapping["layers"] = [
        {"name": "a", "from": "long", "unflatten": {"steps": 7}},
        {"name": "b", "from": "short", "unflatten": {"steps": 2}},
        {"name": "of_a", "from": "a", **lstm},
        {"name": "of_b", "from": "b", **deepcopy(lstm)},
        {"merge": "sum", "from": ["of_a", "of_b"]},
        dense,
    ]
    model = load_model(small.save(), None, np.dtype(np.float64)).model
    assert [each.size for each in model.inputs] == [21, 6]


def test_what_contradicts_another_layer(load, small):
    """12 numbers by the LSTM, 10 by what reads the vector itself."""
    small.arrays["T"] = np.ones((2, 10))
    ten = {"dense": {"weights": "T", "layout": "classes_by_features"}, "from": "history"}
    behind = [{"name": "all", **ten}, {"merge": "sum", "from": ["states", "all"]}]
    states = {"name": "states", "lstm": small.lstm}
    with pytest.raises(UnusableInput, match="takes 10 features, the layer before gives 12"):
        load({"unflatten": {"steps": 4}}, behind=behind, lstm=states)


def test_where_nothing_tells_the_error_names_the_input(small):
    _, lstm, dense = small.mapping["layers"]
    small.arrays["V"] = np.ones((3, 2))
    small.mapping["inputs"] = [{"name": "text"}, {"name": "history", "steps": False}]
    small.mapping["layers"] = [
        {"from": "text", "embedding": {"weights": "E"}},
        {"name": "states", **lstm},
        {"name": "scores", **dense},
        {"from": "history", "unflatten": {"steps": 4}},
        {"name": "last", "pool": "last"},
    ]
    small.mapping["outputs"] = ["scores", "last"]
    with pytest.raises(UnusableInput, match="nothing tells how many features `history` has"):
        load_model(small.save(), None, np.dtype(np.float64))
