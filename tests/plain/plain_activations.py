"""Activations of the plain versions: of one vector, unit by unit but for the softmax.

Numbers may be complex, as `plain_gradient` has them; then real parts decide what is larger.
"""

from math import erf, pi, sqrt

import numpy as np
from numpy import exp, log1p, tanh

from lstm_lrp_cli.model import Floats


def activate(kind: str, x: Floats) -> Floats:
    if kind == "softmax":
        powers = [exp(v - max(x.real)) for v in x]
        return np.array([power / sum(powers) for power in powers])
    function = {
        "linear": lambda v: v,
        "relu": lambda v: _clipped(v, 0.0, np.inf),
        "tanh": tanh,
        "sigmoid": lambda v: 1.0 / (1.0 + exp(-v)),
        "hard_sigmoid": lambda v: _clipped(0.2 * v + 0.5, 0.0, 1.0),
        "hard_sigmoid_relu6": lambda v: _clipped(v + 3.0, 0.0, 6.0) / 6.0,
        "relu6": lambda v: _clipped(v, 0.0, 6.0),
        "elu": lambda v: v if v.real > 0 else exp(v) - 1.0,
        "selu": lambda v: (
            1.0507009873554805 * (v if v.real > 0 else 1.6732632423543772 * (exp(v) - 1.0))
        ),
        "silu": lambda v: v / (1.0 + exp(-v)),
        "softplus": lambda v: log1p(exp(v)),
        "softsign": lambda v: v / (1.0 + (v if v.real > 0 else -v)),
        "exponential": exp,
        "square": lambda v: v * v,
        "gelu": lambda v: v * 0.5 * (1.0 + _erf(v / sqrt(2.0))),
        "gelu_tanh": lambda v: 0.5 * v * (1.0 + tanh(sqrt(2.0 / pi) * (v + 0.044715 * v**3))),
    }[kind]
    return np.array([function(v) for v in x])


def leaky(x: Floats, slopes: Floats) -> Floats:
    """x where it is above 0, else x times the slope of its unit, or of all units."""
    every = [slopes[unit % len(slopes)] for unit in range(len(x))]
    return np.array([v if v.real > 0 else slope * v for v, slope in zip(x, every, strict=True)])


def _clipped(v: complex, low: float, high: float) -> complex:
    return low if v.real <= low else high if v.real >= high else v


def _erf(v: complex) -> complex:
    """The error function; its derivative is 2 exp(-v^2) / sqrt(pi).

    An imaginary part is so small that what is left out, of its square on, is none in float64.
    """
    real = erf(v.real)
    return real + 1j * v.imag * 2.0 / sqrt(pi) * exp(-(v.real**2)) if np.iscomplexobj(v) else real
