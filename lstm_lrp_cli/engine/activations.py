"""Activation functions, by the names that models give them."""

from collections.abc import Callable

import numpy as np

from lstm_lrp_cli.model.arrays import Floats
from lstm_lrp_cli.model.layers import ActivationName, GateActivationName

# Klambauer et al. 2017, "Self-Normalizing Neural Networks".
SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805


def sigmoid(x: Floats) -> Floats:
    # exp overflows to inf below -88 in float32, where 1/inf is right.
    with np.errstate(over="ignore"):
        return 1.0 / (1.0 + np.exp(-x))


def hard_sigmoid(x: Floats) -> Floats:
    """The piecewise linear sigmoid of Keras up to version 2: clip(0.2 x + 0.5, 0, 1)."""
    clipped: Floats = np.clip(0.2 * x + 0.5, 0.0, 1.0)
    return clipped


def hard_sigmoid_relu6(x: Floats) -> Floats:
    """The piecewise linear sigmoid of Keras 3 and PyTorch: relu6(x + 3) / 6."""
    return _relu6(x + 3.0) / 6.0


def softmax(x: Floats) -> Floats:
    exponentials = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))


def _linear(x: Floats) -> Floats:
    return x


def _relu(x: Floats) -> Floats:
    return np.maximum(x, 0.0)


def _relu6(x: Floats) -> Floats:
    clipped: Floats = np.clip(x, 0.0, 6.0)
    return clipped


def _elu(x: Floats) -> Floats:
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0.0)))


def _selu(x: Floats) -> Floats:
    return x.dtype.type(SELU_SCALE) * np.where(
        x > 0, x, x.dtype.type(SELU_ALPHA) * np.expm1(np.minimum(x, 0.0))
    )


def _silu(x: Floats) -> Floats:
    return x * sigmoid(x)


def _softplus(x: Floats) -> Floats:
    return np.logaddexp(x, x.dtype.type(0.0))


def _softsign(x: Floats) -> Floats:
    return x / (1.0 + np.abs(x))


def _exponential(x: Floats) -> Floats:
    return np.exp(x)


def _tanh(x: Floats) -> Floats:
    return np.tanh(x)


def activate(kind: ActivationName, x: Floats, out: Floats) -> None:
    """Write an activation of x, shape (n, units), to `out`."""
    if kind == "tanh":
        np.tanh(x, out=out)
    else:
        out[...] = ACTIVATIONS[kind](x)


def invert_gates(kind: GateActivationName, negated: Floats) -> None:
    """Turn -z of gates into one over their activation, in place.

    The sigmoid is 1 / (1 + exp(-z)): to divide by 1 + exp(-z) saves a pass over all gates.
    """
    if kind == "sigmoid":
        # exp overflows to inf above 88 in float32: such a gate is closed, and 1/inf is 0.
        np.exp(negated, out=negated)
        np.add(negated, negated.dtype.type(1.0), out=negated)
    else:
        np.reciprocal(ACTIVATIONS[kind](-negated), out=negated)  # inf where a gate is closed


ACTIVATIONS: dict[ActivationName, Callable[[Floats], Floats]] = {
    "linear": _linear,
    "relu": _relu,
    "tanh": _tanh,
    "sigmoid": sigmoid,
    "hard_sigmoid": hard_sigmoid,
    "hard_sigmoid_relu6": hard_sigmoid_relu6,
    "softmax": softmax,
    "relu6": _relu6,
    "elu": _elu,
    "selu": _selu,
    "silu": _silu,
    "softplus": _softplus,
    "softsign": _softsign,
    "exponential": _exponential,
}
