"""The plain derivatives where they are worked by hand: at kinks, among equals, of the deviation."""

from typing import Any

import numpy as np
import pytest
from by_hand import SUM, graph
from made_models import make_model
from numpy.testing import assert_allclose
from plain_forward import by_input
from plain_gradient import derivative

from lstm_lrp_cli.model.layers import (
    MODEL_INPUT,
    LeakyRelu,
    Merge,
    Normalize,
    Pool,
    Select,
    UnitNorm,
    Window,
    WindowPool,
)
from lstm_lrp_cli.model.model import Input, Model


def gradient(model: Model, *inputs: Any) -> list[Any]:
    """The derivative of the first score by each number of each input."""
    given = tuple(np.array(each, dtype=float) for each in inputs)
    found = [np.zeros(each.shape) for each in given]
    for k, each in enumerate(found):
        for at in np.ndindex(*each.shape):
            along = tuple(np.zeros(other.shape) for other in given)
            along[k][at] = 1.0
            each[at] = derivative(model, by_input(given), along, 0)
    return [each.tolist() for each in found]


def test_of_equal_parts_of_a_maximum_the_first_has_it() -> None:
    inputs = (Input(1, name="a"), Input(1, name="b"))
    model = graph((Merge("max"), (MODEL_INPUT, MODEL_INPUT - 1)), (SUM, (0,)), inputs=inputs)
    assert gradient(model, [[5.0], [1.0]], [[5.0], [2.0]]) == [[[1.0], [0.0]], [[0.0], [1.0]]]


@pytest.mark.parametrize("layer", [WindowPool("max", Window(2, 2)), Pool("max")])
def test_of_equal_steps_the_first_has_it(layer: Any) -> None:
    model = make_model(layer, *[SUM] * isinstance(layer, WindowPool), classes=1)
    assert gradient(model, [[3.0], [3.0]]) == [[[1.0], [0.0]]]


def test_a_leak_has_its_slope_at_0() -> None:
    model = make_model(LeakyRelu(np.array([0.25])), SUM, classes=1)
    assert gradient(model, [[0.0], [-1.0], [1.0]]) == [[[0.25], [0.25], [1.0]]]


def test_a_norm_is_no_constant() -> None:
    model = make_model(UnitNorm(), Select(0, 1), SUM, classes=1, size=2)
    # 1 / 5 less 3 * 3 / 5^3, and - 3 * 4 / 5^3
    [[slopes]] = gradient(model, [[3.0, 4.0]])
    assert_allclose(slopes, [0.128, -0.096])


def test_the_deviation_of_a_normalization_is_no_constant() -> None:
    layer = Normalize(np.array([4.0, 2.0]), np.array([10.0, 20.0]), epsilon=3.0)
    model = make_model(layer, Pool("first"), Select(0, 1), classes=1)
    # of (3, 1), whose mean is 2 and deviation sqrt(1 + 3) = 2: 4 / 2 (1 - 1 / 2), less what the
    # deviation grows by, (1 / 2) / 2, times 4 * 1 / 2^2
    [[slopes]] = gradient(model, [[3.0, 1.0]])
    assert_allclose(slopes, [1.0 - 0.25, -1.0 + 0.25])
