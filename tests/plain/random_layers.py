"""Hypothesis strategies: layers that read steps, and others that are more than a few numbers."""

from typing import Any, get_args

import numpy as np
from hypothesis import strategies as st
from msgspec.structs import replace

from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.layers import Convolution, LeakyRelu, Normalize, Window, WindowPool
from lstm_lrp_cli.model.recurrent import (
    ActivationName,
    DirectionMergeName,
    GateActivationName,
    Gru,
    GruCell,
    Lstm,
    LstmCell,
    Recurrent,
    RnnCell,
    SimpleRnn,
)

# The exponential of an exponential overflows, and says nothing about the engine.
ACTIVATIONS = [kind for kind in get_args(ActivationName) if kind != "exponential"]
# In a cell, the square of a square, step after step, does too.
UNIT_ACTIVATIONS = [kind for kind in ACTIVATIONS if kind not in ("softmax", "square")]

DIRECTIONS = [(False,), (True,), (False, True)]


@st.composite
def lstms(
    draw: st.DrawFn,
    rng: np.random.Generator,
    inputs: int,
    returns: Any,
    *,
    may_give_cell: bool = False,
) -> Lstm:
    hidden = draw(st.integers(1, 6))
    projected = draw(st.sampled_from([False, False, True]))
    outputs = draw(st.integers(1, 6)) if projected else hidden
    has_state = draw(st.sampled_from([False, False, True]))
    cells = tuple(
        LstmCell(
            input=weights(rng, 4, hidden, inputs),
            recurrent=weights(rng, 4, hidden, outputs),
            bias=rng.normal(scale=0.5, size=(4, hidden)) * draw(st.sampled_from([0.0, 1.0])),
            backward=backward,
            projection=weights(rng, outputs, hidden) if projected else None,
            initial_hidden=rng.normal(size=outputs) if has_state else None,
            initial_cell=rng.normal(size=hidden) if has_state else None,
        )
        for backward in draw(st.sampled_from(DIRECTIONS))
    )
    return Lstm(
        cells,
        merge=draw(st.sampled_from(get_args(DirectionMergeName))),
        returns=returns,
        gate_activation=draw(st.sampled_from(get_args(GateActivationName))),
        activation=draw(st.sampled_from(["tanh", "tanh", *UNIT_ACTIVATIONS])),
        gives_cell=may_give_cell and draw(st.booleans()),
    )


@st.composite
def grus(draw: st.DrawFn, rng: np.random.Generator, inputs: int, returns: Any) -> Gru:
    """GRUs with the reset gate in either place, and biases of every kind."""
    hidden = draw(st.integers(1, 5))
    reset_after, has_inner, has_state = (draw(st.booleans()) for _ in range(3))
    cells = tuple(
        GruCell(
            input=weights(rng, 3, hidden, inputs),
            recurrent=weights(rng, 3, hidden, hidden),
            bias=rng.normal(scale=0.5, size=(3, hidden)) * draw(st.sampled_from([0.0, 1.0])),
            recurrent_bias=rng.normal(size=hidden) if reset_after and has_inner else None,
            reset_after=reset_after,
            backward=backward,
            initial_hidden=rng.normal(size=hidden) if has_state else None,
        )
        for backward in draw(st.sampled_from(DIRECTIONS))
    )
    return Gru(
        cells,
        merge=draw(st.sampled_from(get_args(DirectionMergeName))),
        returns=returns,
        gate_activation=draw(st.sampled_from(get_args(GateActivationName))),
        activation=draw(st.sampled_from(["tanh", "tanh", *UNIT_ACTIVATIONS])),
    )


@st.composite
def rnns(draw: st.DrawFn, rng: np.random.Generator, inputs: int, returns: Any) -> SimpleRnn:
    hidden = draw(st.integers(1, 5))
    has_state = draw(st.booleans())
    cells = tuple(
        RnnCell(
            input=weights(rng, hidden, inputs),
            recurrent=weights(rng, hidden, hidden),
            bias=rng.normal(scale=0.5, size=hidden) * draw(st.sampled_from([0.0, 1.0])),
            backward=backward,
            initial_hidden=rng.normal(size=hidden) if has_state else None,
        )
        for backward in draw(st.sampled_from(DIRECTIONS))
    )
    return SimpleRnn(
        cells,
        merge=draw(st.sampled_from(get_args(DirectionMergeName))),
        returns=returns,
        activation=draw(st.sampled_from(["tanh", "tanh", "relu", "sigmoid"])),
    )


def recurrents(rng: np.random.Generator, inputs: int, returns: Any) -> st.SearchStrategy[Recurrent]:
    """Recurrent layers of every kind, LSTMs that give their cell states too."""
    return (
        grus(rng, inputs, returns)
        | rnns(rng, inputs, returns)
        | lstms(rng, inputs, returns, may_give_cell=True)
    )


def without_states(layer: Recurrent) -> Recurrent:
    """The layer as it is where a node gives the states that it begins in."""
    nothing = {"initial_hidden": None}
    if isinstance(layer, Lstm):
        nothing["initial_cell"] = None
    return replace(layer, cells=tuple(replace(cell, **nothing) for cell in layer.cells))


@st.composite
def windows(draw: st.DrawFn) -> Window:
    """Windows with padding of every kind, such as may be of nothing but padding."""
    width, dilation = draw(st.integers(1, 4)), draw(st.integers(1, 2))
    causal = (dilation * (width - 1), 0)
    some = (draw(st.integers(0, 3)), draw(st.integers(0, 3)))
    padding = draw(st.sampled_from(["same", (0, 0), causal, some]))
    return Window(width, draw(st.sampled_from([1, 1, 2, 3])), dilation, padding)


@st.composite
def convolutions(draw: st.DrawFn, rng: np.random.Generator, inputs: int) -> Convolution:
    groups = draw(st.sampled_from([1, 1, *(k for k in range(2, inputs + 1) if inputs % k == 0)]))
    outputs = groups * draw(st.integers(1, 3))
    window = draw(windows())
    kernel = rng.normal(size=(outputs, inputs // groups, window.width))
    bias = rng.normal(scale=0.5, size=outputs) if draw(st.booleans()) else None
    return Convolution(kernel / np.sqrt(kernel[0].size), bias, window, groups)


@st.composite
def window_pools(draw: st.DrawFn) -> WindowPool:
    kind = draw(st.sampled_from(["mean", "max"]))
    return WindowPool(kind, draw(windows()), kind == "mean" and draw(st.booleans()))


@st.composite
def normalizations(draw: st.DrawFn, rng: np.random.Generator, units: int) -> Normalize:
    """Offsets are not 0: what is freed of its mean may be 0 but for rounding."""
    divisors = [groups for groups in range(1, units + 1) if units % groups == 0]
    return Normalize(
        factors=rng.normal(size=units),
        offsets=rng.normal(scale=0.5, size=units),
        epsilon=draw(st.sampled_from([1e-3, 1e-2])),
        groups=draw(st.sampled_from([None, None, *divisors])),
    )


@st.composite
def leaky_relus(draw: st.DrawFn, rng: np.random.Generator, units: int) -> LeakyRelu:
    return LeakyRelu(rng.uniform(0.05, 0.6, size=draw(st.sampled_from([1, units]))))


def weights(rng: np.random.Generator, *shape: int) -> Floats:
    return rng.normal(size=shape) / np.sqrt(shape[-1])
