"""However a file stacks, lays out and splits its gates, the model is the same."""

import itertools
from pathlib import Path

import h5py
import numpy as np
import pytest

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.load import load_model
from lstm_lrp_cli.model import FORGET
from lstm_lrp_cli.model.recurrent import Lstm

ORDERS = ["".join(order) for order in itertools.permutations("ifgo")]


def cells(path: Path):
    loaded = load_model(path, None, np.dtype(np.float64))
    return next(layer for layer in loaded.model.layers if isinstance(layer, Lstm)).cells


def assert_same(found, wanted):
    for one, other in zip(found, wanted, strict=True):
        for name in ("input", "recurrent", "bias"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
            assert getattr(one, name).shape == getattr(other, name).shape


@pytest.fixture
def refused(small):
    """The message with which a mapping of the small model is refused."""

    def refused():
        with pytest.raises(UnusableInput) as caught:
            load_model(small.save(), None, np.dtype(np.float64))
        return str(caught.value)

    return refused


@pytest.fixture
def reference(small):
    """The small model's cell, from weights stacked i, f, g, o by rows."""
    return cells(small.save())


def restacked(array, order):
    """Rows stacked i, f, g, o, in another order."""
    gates = dict(zip("ifgo", np.split(array, 4), strict=True))
    return np.concatenate([gates[gate] for gate in order])


@pytest.mark.parametrize("layout", ["gates_by_features", "features_by_gates"])
@pytest.mark.parametrize("order", ORDERS)
def test_every_gate_order_and_layout(small, reference, order, layout):
    for name in "WUb":
        small.arrays[name] = restacked(small.arrays[name], order)
    if layout == "features_by_gates":
        for name in "WU":
            small.arrays[name] = small.arrays[name].T
    small.lstm |= {"gate_order": list(order), "layout": layout}
    assert_same(cells(small.save()), reference)


@pytest.mark.parametrize("transposed", [False, True])
def test_layout_may_be_left_to_the_recurrent_weights_shape(small, reference, transposed):
    del small.lstm["layout"]
    if transposed:
        for name in "WU":
            small.arrays[name] = small.arrays[name].T
    assert_same(cells(small.save()), reference)


@pytest.mark.parametrize("layout", ["gates_by_features", "features_by_gates"])
def test_weights_by_gate(small, reference, layout):
    del small.lstm["gate_order"]
    small.lstm["layout"] = layout
    for key, name in (("input", "W"), ("recurrent", "U"), ("bias", "b")):
        for gate, part in zip("ifgo", np.split(small.arrays.pop(name), 4), strict=True):
            small.arrays[f"{name}/{gate}"] = part.T if layout == "features_by_gates" else part
        small.lstm["forward"][key] = {gate: f"{name}/{gate}" for gate in "ogfi"}
    assert_same(cells(small.save()), reference)


def test_input_weights_joined_from_a_list(small, reference):
    small.arrays["W1"], small.arrays["W2"] = np.split(small.arrays.pop("W"), [1], axis=1)
    small.lstm["forward"]["input"] = ["W1", "W2"]
    assert_same(cells(small.save()), reference)


def test_two_biases_add_up(small, reference):
    small.arrays["b1"] = np.arange(8.0)
    small.arrays["b2"] = small.arrays.pop("b") - small.arrays["b1"]
    small.lstm["forward"]["bias"] = ["b1", "b2"]
    np.testing.assert_allclose(cells(small.save())[0].bias, reference[0].bias, rtol=1e-14)


@pytest.mark.parametrize("bias", [None, []])
def test_no_bias_is_zero(small, bias):
    small.lstm["forward"]["bias"] = bias
    assert not cells(small.save())[0].bias.any()


def test_forget_bias_is_added_to_the_forget_gate_alone(small, reference):
    small.lstm["forget_bias"] = 1.5
    found = cells(small.save())[0].bias - reference[0].bias
    np.testing.assert_allclose(found[FORGET], 1.5)
    assert np.count_nonzero(found) == len(found[FORGET])


def test_backward_alone_reads_from_the_end(small, reference):
    small.lstm["backward"] = small.lstm.pop("forward")
    (found,) = cells(small.save())
    assert found.backward
    assert_same([found], reference)


@pytest.mark.parametrize("dtype", ["f2", "f4", ">f4", ">f8", "f8", "g", "i4"])
def test_any_precision_is_read(small, dtype):
    for name, array in small.arrays.items():
        small.arrays[name] = np.round(array * 8).astype(dtype)
    whole = cells(small.save())[0].input
    assert whole.dtype == np.float64
    np.testing.assert_array_equal(whole.reshape(8, 3), small.arrays["W"].astype(np.float64))


def test_plain_hdf5_is_read_like_npz(small, reference):
    small.save()
    with h5py.File(small.folder / "other.h5", "w") as file:
        for name, array in small.arrays.items():
            file[name] = array
    path = small.folder / "model.h5"
    (small.folder / "other.h5").rename(path)
    assert_same(cells(path), reference)


def test_directions_of_different_sizes_are_refused(small):
    small.arrays |= {"W2": np.ones((12, 3)), "U2": np.ones((12, 3))}
    small.lstm["backward"] = {"input": "W2", "recurrent": "U2"}
    with pytest.raises(UnusableInput, match="the directions differ in size"):
        cells(small.save())


def test_square_weights_by_gate_need_a_layout(small):
    """Nothing in the file could tell it, so it is not guessed."""
    del small.lstm["layout"]
    for gate, part in zip("ifgo", np.split(small.arrays.pop("U"), 4), strict=True):
        small.arrays[f"U{gate}"] = part
    small.lstm["forward"]["recurrent"] = {gate: f"U{gate}" for gate in "ifgo"}
    with pytest.raises(UnusableInput, match="`layout` is missing, and nothing tells it"):
        cells(small.save())


def combine(small, axis):
    """Put input and recurrent weights in one kernel, [x; h]."""
    kernel = np.concatenate([small.arrays.pop("W"), small.arrays.pop("U")], axis=1)
    small.arrays["K"] = kernel if axis == 1 else kernel.T
    small.lstm["forward"] = {"combined": "K", "bias": "b"}


@pytest.mark.parametrize("axis", [0, 1])
def test_a_combined_kernel_is_cut_and_its_layout_told_by_the_bias(small, reference, axis):
    combine(small, axis)
    del small.lstm["layout"]
    assert_same(cells(small.save()), reference)


def test_a_combined_kernel_by_gate(small, reference):
    combine(small, 1)
    del small.lstm["gate_order"]
    for name, key in (("K", "combined"), ("b", "bias")):
        for gate, part in zip("ifgo", np.split(small.arrays.pop(name), 4), strict=True):
            small.arrays[f"{name}{gate}"] = part
        small.lstm["forward"][key] = {gate: f"{name}{gate}" for gate in "ifgo"}
    assert_same(cells(small.save()), reference)


def test_a_combined_kernel_without_a_bias_needs_a_layout(small, refused):
    combine(small, 0)
    del small.lstm["layout"]
    small.lstm["forward"]["bias"] = None
    assert "`layout` is missing, and nothing tells it" in refused()


def test_a_combined_kernel_that_is_transposed(small, refused):
    combine(small, 0)
    small.arrays["K"] = np.ones((8, 2))
    assert "2 features, inputs and 2 hidden states" in refused()


@pytest.mark.parametrize(
    ("cell", "problem"),
    [
        ({"combined": "W", "input": "W"}, "found `combined` and `input`"),
        ({"input": "W"}, "`recurrent` is missing"),
        ({"recurrent": "U"}, "`input` is missing"),
        ({"bias": "b"}, "`input` is missing"),
        ({"combined": []}, "expected `str | object | null`, got `array`"),
    ],
)
def test_input_and_recurrent_weights_or_one_kernel_of_both(small, refused, cell, problem):
    small.lstm["forward"] = cell
    message = refused()
    assert "lstm.forward" in message
    assert problem in message


def cudnn_block(gate):
    """One gate's (hidden, features) matrix in the place where Keras keeps it for cuDNN.

    cuDNN takes the numbers of a (features, hidden) slice, as they lie in memory, for
    (hidden, features): keras/saving/hdf5_format.py of Keras 2, `_convert_rnn_weights`.
    """
    return gate.reshape(-1).reshape(gate.T.shape)


def test_cudnns_layout_and_its_two_biases(small, reference):
    for name in "WU":
        gates = np.split(small.arrays[name], 4)
        small.arrays[name] = np.concatenate([cudnn_block(gate) for gate in gates], axis=1)
    second = np.arange(8.0)
    small.arrays["b"] = np.concatenate([small.arrays["b"] - second, second])
    small.lstm["layout"] = "cudnn"
    found = cells(small.save())
    np.testing.assert_allclose(found[0].bias, reference[0].bias, rtol=1e-14)
    np.testing.assert_array_equal(found[0].input, reference[0].input)
    np.testing.assert_array_equal(found[0].recurrent, reference[0].recurrent)


def test_cudnns_layout_with_one_bias_is_refused(small, refused):
    for name in "WU":
        small.arrays[name] = small.arrays[name].T
    small.lstm["layout"] = "cudnn"
    assert "has 8 values; expected 16" in refused()


@pytest.mark.parametrize("layout", ["gates_by_features", "features_by_gates"])
def test_a_projection_makes_the_hidden_state(small, layout):
    small.arrays |= {"U": np.ones((8, 1)), "P": np.array([[2.0, 3.0]]), "V": np.ones((3, 1))}
    if layout == "features_by_gates":
        for name in "WUP":
            small.arrays[name] = small.arrays[name].T
    small.lstm["layout"] = layout
    small.lstm["forward"]["projection"] = "P"
    (cell,) = cells(small.save())
    assert cell.projection.tolist() == [[2.0, 3.0]]
    assert (cell.hidden_size, cell.output_size) == (2, 1)


def test_a_projection_that_does_not_fit(small, refused):
    small.arrays["P"] = np.ones((3, 2))
    small.lstm["forward"]["projection"] = "P"
    assert "2 hidden units that take 2 outputs; `projection` makes 3 of 2" in refused()


def test_initial_states(small):
    small.arrays |= {"h0": np.array([1.0, 2.0]), "c0": np.array([3.0, 4.0])}
    small.lstm["forward"]["initial"] = {"hidden": "h0", "cell": "c0"}
    (cell,) = cells(small.save())
    assert cell.initial_hidden.tolist() == [1.0, 2.0]
    assert cell.initial_cell.tolist() == [3.0, 4.0]


def test_an_initial_state_of_another_size(small, refused):
    small.lstm["forward"]["initial"] = {"hidden": "c"}
    assert "(layers[1].lstm.forward.initial.hidden) has 3 values; expected 2" in refused()


def test_a_cell_goes_through_functions_of_single_units(small, refused):
    small.lstm["activation"] = "softmax"
    assert "layers[1].lstm.activation: found softmax" in refused()
