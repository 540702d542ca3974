"""Activation functions, by the names that models give them."""

from collections.abc import Callable

import numpy as np

from lstm_lrp_cli.model.arrays import Floats
from lstm_lrp_cli.model.layers import ActivationName


def sigmoid(x: Floats) -> Floats:
    # exp overflows to inf below -88 in float32, where 1/inf is right.
    with np.errstate(over="ignore"):
        return 1.0 / (1.0 + np.exp(-x))


def hard_sigmoid(x: Floats) -> Floats:
    """The piecewise linear sigmoid of Keras up to version 2: clip(0.2 x + 0.5, 0, 1)."""
    clipped: Floats = np.clip(0.2 * x + 0.5, 0.0, 1.0)
    return clipped


def softmax(x: Floats) -> Floats:
    exponentials = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))


def _linear(x: Floats) -> Floats:
    return x


def _relu(x: Floats) -> Floats:
    return np.maximum(x, 0.0)


def _tanh(x: Floats) -> Floats:
    return np.tanh(x)


ACTIVATIONS: dict[ActivationName, Callable[[Floats], Floats]] = {
    "linear": _linear,
    "relu": _relu,
    "tanh": _tanh,
    "sigmoid": sigmoid,
    "hard_sigmoid": hard_sigmoid,
    "softmax": softmax,
}
