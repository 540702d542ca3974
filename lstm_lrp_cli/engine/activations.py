"""Activation functions, by the names that models give them, and their derivatives."""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.recurrent import ActivationName, GateActivationName

# Klambauer et al. 2017, "Self-Normalizing Neural Networks".
SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805

# Beyond it the error function is 1, in either precision.
ERF_END = 6
# Points of the error function's table between two whole numbers.
ERF_POINTS = 1024

# The derivative of an activation, given its inputs and outputs.
Slope = Callable[[Floats, Floats], Floats]


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


@lru_cache(maxsize=2)
def _erf_table(dtype: np.dtype[Any]) -> tuple[Floats, Floats]:
    """The error function and its derivative at the points of a grid."""
    points = np.arange(-ERF_END * ERF_POINTS, ERF_END * ERF_POINTS + 1) / ERF_POINTS
    values = np.array([math.erf(point) for point in points.tolist()])
    slopes = np.exp(-np.square(points)) * (2.0 / math.sqrt(math.pi))
    return values.astype(dtype), slopes.astype(dtype)


@np.errstate(invalid="ignore")  # NaN has no place in a table, and comes out as NaN
def erf(x: Floats) -> Floats:
    """The error function, to less than 2e-16 in float64, and 1e-7 in float32.

    It is looked up at the nearest point of a grid, and from there follows its Taylor series, whose
    fifth term is too small to count: with p the point and d the way from it, the terms are
    2/sqrt(pi) exp(-p^2) times d, -p d^2, (2 p^2 - 1) d^3 / 3 and (3 - 2 p^2) p d^4 / 6.
    """
    values, slopes = _erf_table(x.dtype)
    x = np.clip(x, -ERF_END, ERF_END)
    nearest = np.rint(x * x.dtype.type(ERF_POINTS))
    places = nearest.astype(np.int32)
    places += ERF_END * ERF_POINTS
    point = nearest / x.dtype.type(ERF_POINTS)
    way = x - point
    square = point * point
    series = (way * point) * (1.5 - square) + (square + square - 1.0)
    series = 1.0 + way * (way * series * x.dtype.type(1.0 / 3.0) - point)
    looked_up: Floats = values.take(places, mode="clip")
    return looked_up + slopes.take(places, mode="clip") * (way * series)


def _gelu(x: Floats) -> Floats:
    return x * (0.5 + 0.5 * erf(x * x.dtype.type(math.sqrt(0.5))))


def _gelu_tanh(x: Floats) -> Floats:
    return 0.5 * x * (1.0 + np.tanh(_gelu_argument(x)))


def _gelu_argument(x: Floats) -> Floats:
    """Hendrycks and Gimpel 2016, "Gaussian Error Linear Units": what stands for erf is its tanh."""
    scale = x.dtype.type(math.sqrt(2.0 / math.pi))
    return scale * (x + x.dtype.type(0.044715) * (x * x * x))


def _square(x: Floats) -> Floats:
    return np.square(x)


def activate(kind: ActivationName, x: Floats, out: Floats) -> None:
    """Write an activation of x, shape (n, units), to `out`."""
    if kind == "tanh":
        np.tanh(x, out=out)
    else:
        out[...] = ACTIVATIONS[kind](x)


def pull_back(
    kind: ActivationName, inputs: Floats, outputs: Floats, gradient: Floats, out: Floats
) -> None:
    """Write the gradient with respect to the inputs of an activation, given that of its outputs.

    Parameters
    ----------
    inputs, outputs, gradient : ndarray, shape (n, units)
    out : ndarray, shape (n, units)
        None of the others.
    """
    if kind == "tanh":
        np.multiply(outputs, outputs, out=out)
        np.subtract(out.dtype.type(1.0), out, out=out)
        np.multiply(out, gradient, out=out)
    elif kind == "softmax":
        mean = np.sum(gradient * outputs, axis=-1, keepdims=True)
        np.multiply(outputs, gradient - mean, out=out)
    else:
        np.multiply(gradient, SLOPES[kind](inputs, outputs), out=out)


def relative_slopes(kind: GateActivationName, gates: Floats, out: Floats) -> None:
    """Write a gate's derivative by its pre-activation over the gate itself, q'(z) / q(z).

    So the derivative of a gate times a signal is this, times the product, which is at hand.

    Parameters
    ----------
    gates : ndarray
        The activations q.
    """
    if kind == "sigmoid":  # q' = q (1 - q)
        np.subtract(gates.dtype.type(1.0), gates, out=out)
    else:
        slopes = SLOPES[kind](gates, gates)  # which the outputs alone tell
        out[...] = 0.0  # where a gate is closed, so is its slope
        np.divide(slopes, gates, out=out, where=slopes > 0)


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
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "square": _square,
}


def _line(x: Floats, y: Floats) -> Floats:
    return np.ones_like(x)


def _slope_of_sigmoid(x: Floats, y: Floats) -> Floats:
    return y * (1.0 - y)


def _slope_of_silu(x: Floats, y: Floats) -> Floats:
    opened = sigmoid(x)
    return opened + y * (1.0 - opened)


def _slope_of_elu(x: Floats, y: Floats) -> Floats:
    return np.exp(np.minimum(x, 0.0))


def _slope_of_selu(x: Floats, y: Floats) -> Floats:
    below = x.dtype.type(SELU_ALPHA) * np.exp(np.minimum(x, 0.0))
    return x.dtype.type(SELU_SCALE) * np.where(x > 0, x.dtype.type(1.0), below)


def _slope_of_gelu(x: Floats, y: Floats) -> Floats:
    below = 0.5 + 0.5 * erf(x * x.dtype.type(math.sqrt(0.5)))
    return below + x * np.exp(-0.5 * np.square(x)) * x.dtype.type(1.0 / math.sqrt(2.0 * math.pi))


def _slope_of_gelu_tanh(x: Floats, y: Floats) -> Floats:
    opened = np.tanh(_gelu_argument(x))
    scale = x.dtype.type(math.sqrt(2.0 / math.pi))
    inner = scale * (1.0 + x.dtype.type(3 * 0.044715) * np.square(x))
    return 0.5 * (1.0 + opened) + 0.5 * x * (1.0 - np.square(opened)) * inner


def _between(low: float, high: float, slope: float) -> Slope:
    """The slope of what is a line between two outputs, and flat beyond; at its ends it is 0."""

    def slope_of(x: Floats, y: Floats) -> Floats:
        return ((y > low) & (y < high)) * y.dtype.type(slope)

    return slope_of


# Derivatives of the activations that work unit by unit, by their inputs and outputs. At a kink it
# is that of the flat side, or the lower one, as frameworks have it.
SLOPES: dict[ActivationName, Slope] = {
    "linear": _line,
    "relu": _between(0.0, np.inf, 1.0),
    "tanh": lambda x, y: 1.0 - y * y,
    "sigmoid": _slope_of_sigmoid,
    "hard_sigmoid": _between(0.0, 1.0, 0.2),
    "hard_sigmoid_relu6": _between(0.0, 1.0, 1.0 / 6.0),
    "relu6": _between(0.0, 6.0, 1.0),
    "elu": _slope_of_elu,
    "selu": _slope_of_selu,
    "silu": _slope_of_silu,
    "softplus": lambda x, y: sigmoid(x),
    "softsign": lambda x, y: 1.0 / np.square(1.0 + np.abs(x)),
    "exponential": lambda x, y: y,
    "gelu": _slope_of_gelu,
    "gelu_tanh": _slope_of_gelu_tanh,
    "square": lambda x, y: 2.0 * x,
}
