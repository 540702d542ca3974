"""Activations at the ends of what a float can hold; elsewhere they are compared in whole models."""

from typing import get_args

import numpy as np
import pytest
from made_models import make_model
from together import run_together

from lstm_lrp_cli.engine.activations import ACTIVATIONS, invert_gates
from lstm_lrp_cli.model.recurrent import GateActivationName, Lstm, LstmCell

GATES = get_args(GateActivationName)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sigmoid", [0.0, 0.5, 1.0]),
        ("hard_sigmoid", [0.0, 0.5, 1.0]),
        ("softmax", [0.0, 0.0, 1.0]),
        ("tanh", [-1.0, 0.0, 1.0]),
        ("relu", [0.0, 0.0, 1e4]),
        ("linear", [-1e4, 0.0, 1e4]),
    ],
)
def test_large_numbers_neither_overflow_nor_lose_the_precision(
    name: str, expected: list[float], dtype: str
) -> None:
    found = ACTIVATIONS[name](np.array([[-1e4, 0.0, 1e4]], dtype=dtype))
    assert found.tolist() == [expected]
    assert found.dtype == dtype


def test_the_hard_sigmoid_is_a_line_between_its_ends() -> None:
    x = np.array([-2.5, -1.0, 1.0, 2.5])
    np.testing.assert_allclose(ACTIVATIONS["hard_sigmoid"](x), [0.0, 0.3, 0.7, 1.0], rtol=1e-15)


def test_softmax_is_over_the_units_of_each_row() -> None:
    x = np.log([[1.0, 3.0], [2.0, 2.0]])
    expected = [[0.25, 0.75], [0.5, 0.5]]
    np.testing.assert_allclose(ACTIVATIONS["softmax"](x), expected, rtol=1e-15)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", GATES)
def test_gates_are_inverted_from_their_negated_pre_activation(
    kind: GateActivationName, dtype: str
) -> None:
    z = np.concatenate([np.linspace(-7.0, 7.0, 57), [-1e4, -90.0, 90.0, 1e4]]).astype(dtype)
    gates = -z
    with np.errstate(over="ignore", divide="ignore"):  # as in a forward pass
        invert_gates(kind, gates)
    assert gates.dtype == dtype
    rounding = 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(1.0 / gates, ACTIVATIONS[kind](z), rtol=rounding, atol=rounding)


@pytest.mark.parametrize("kind", GATES)
def test_gates_far_open_or_shut_are_no_cause_for_warnings(kind: GateActivationName) -> None:
    """Their exponentials overflow in float32, and are right all the same."""
    weights = np.array([1.0, -1.0, 0.0, 1.0])[:, np.newaxis, np.newaxis]  # i, f, g, o
    bias = np.array([0.0, 0.0, 1.0, 0.0])[:, np.newaxis]
    cell = LstmCell(weights, np.zeros((4, 1, 1)), bias)
    model = make_model(Lstm((cell,), gate_activation=kind), classes=1, dtype="float32")
    trace, _ = run_together(model, [np.array([[1e4]]), np.array([[-1e4]])])
    opened = np.tanh(np.tanh(np.float32(1.0)))
    np.testing.assert_allclose(trace.scores, [[opened], [0.0]], rtol=1e-6)
