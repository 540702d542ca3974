"""Hypothesis strategies: models of every shape that layers can express, and batches for them."""

from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray
from together import make_model

from lstm_lrp_cli.engine.rules import EpsilonRule
from lstm_lrp_cli.model.arrays import Floats
from lstm_lrp_cli.model.layers import Activation, Dense, Embedding, Layer, Lstm, LstmCell, Pool
from lstm_lrp_cli.model.model import Model


class Case(NamedTuple):
    """A model, a ragged batch for it, one target a sequence, and a rule."""

    model: Model
    sequences: list[NDArray[Any]]
    targets: list[int]
    rule: EpsilonRule


def rules() -> st.SearchStrategy[EpsilonRule]:
    return st.builds(
        EpsilonRule,
        eps=st.floats(1e-3, 0.5),
        bias_factor=st.just(0.0) | st.just(1.0) | st.floats(0.0, 1.0),
    )


@st.composite
def cases(draw: st.DrawFn, most_lstms: int = 3) -> Case:
    """Draw a whole problem. Weights and numbers come from a generator with a drawn seed."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    has_embedding = draw(st.booleans())
    features = draw(st.integers(1, 4))
    tokens = draw(st.integers(1, 8))
    layers: list[Layer] = [Embedding(rng.normal(size=(tokens, features)))] if has_embedding else []
    size = features

    def denses(least: int, most: int) -> None:
        nonlocal size
        for _ in range(draw(st.integers(least, most))):
            outputs = draw(st.integers(1, 4))
            bias = rng.normal(scale=0.5, size=outputs) if draw(st.booleans()) else None
            layers.append(Dense(_weights(rng, outputs, size), bias))
            size = outputs
            if draw(st.booleans()):
                kinds = ("linear", "relu", "tanh", "sigmoid", "softmax", "hard_sigmoid")
                layers.append(Activation(draw(st.sampled_from(kinds))))

    denses(0, 1)
    lstms = draw(st.integers(0, most_lstms))
    pooled = draw(st.booleans()) or lstms == 0
    for number in range(lstms):
        returns_last = number == lstms - 1 and not pooled
        lstm = draw(_lstms(rng, size, returns_last))
        layers.append(lstm)
        size = lstm.output_size
    if pooled:
        denses(0, 1)
        layers.append(Pool(draw(st.sampled_from(["mean", "max", "sum"]))))
    denses(0, 2)

    lengths = draw(st.lists(st.integers(0, 9), min_size=1, max_size=6))
    sequences: list[NDArray[Any]] = [
        rng.integers(tokens, size=length) if has_embedding else rng.normal(size=(length, features))
        for length in lengths
    ]
    targets = [draw(st.integers(0, size - 1)) for _ in lengths]
    return Case(make_model(*layers, classes=size), sequences, targets, draw(rules()))


@st.composite
def _lstms(draw: st.DrawFn, rng: np.random.Generator, inputs: int, returns_last: bool) -> Lstm:
    hidden = draw(st.integers(1, 6))
    cells = tuple(
        LstmCell(
            input=_weights(rng, 4, hidden, inputs),
            recurrent=_weights(rng, 4, hidden, hidden),
            bias=rng.normal(scale=0.5, size=(4, hidden)) * draw(st.sampled_from([0.0, 1.0])),
            backward=backward,
        )
        for backward in draw(st.sampled_from([(False,), (True,), (False, True)]))
    )
    return Lstm(
        cells,
        merge=draw(st.sampled_from(["concat", "sum", "mean", "product"])),
        returns="last" if returns_last else "sequence",
        gate_activation=draw(st.sampled_from(["sigmoid", "hard_sigmoid"])),
    )


def _weights(rng: np.random.Generator, *shape: int) -> Floats:
    return rng.normal(size=shape) / np.sqrt(shape[-1])
