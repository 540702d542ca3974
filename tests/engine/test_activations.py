"""Activations at the ends of what a float can hold; elsewhere they are compared in whole models."""

import numpy as np
import pytest

from lstm_lrp_cli.engine.activations import ACTIVATIONS


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
