"""However a file stacks, lays out and splits its gates, the model is the same."""

import itertools
from pathlib import Path

import h5py
import numpy as np
import pytest

from lstm_lrp_cli.loading.load import load_model
from lstm_lrp_cli.model.gates import FORGET
from lstm_lrp_cli.model.layers import Lstm

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
    from lstm_lrp_cli.errors import UnusableInput

    small.arrays |= {"W2": np.ones((12, 3)), "U2": np.ones((12, 3))}
    small.lstm["backward"] = {"input": "W2", "recurrent": "U2"}
    with pytest.raises(UnusableInput, match="the directions differ in size"):
        cells(small.save())


def test_square_weights_by_gate_need_a_layout(small):
    """Nothing in the file could tell it, so it is not guessed."""
    from lstm_lrp_cli.errors import UnusableInput

    del small.lstm["layout"]
    for gate, part in zip("ifgo", np.split(small.arrays.pop("U"), 4), strict=True):
        small.arrays[f"U{gate}"] = part
    small.lstm["forward"]["recurrent"] = {gate: f"U{gate}" for gate in "ifgo"}
    with pytest.raises(UnusableInput, match="`layout` is missing, and nothing tells it"):
        cells(small.save())
