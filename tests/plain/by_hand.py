"""Small layers and graphs whose numbers are worked by hand."""

from typing import Any

import numpy as np

from lstm_lrp_cli.model.layers import Convolution, Layer, Node, Pool, Window
from lstm_lrp_cli.model.model import Head, Input, Model
from lstm_lrp_cli.model.recurrent import Gru, GruCell, RnnCell, SimpleRnn

SUM = Pool("sum")


def column(*numbers: float) -> list[list[float]]:
    """One unit at each step."""
    return [[number] for number in numbers]


def graph(*nodes: tuple[Layer, tuple[int, ...]], inputs: tuple[Input, ...] = (Input(1),)) -> Model:
    """A model of one score, that of the last node."""
    made = tuple(Node(layer, sources) for layer, sources in nodes)
    return Model(made, (len(made) - 1,), (Head(1),), np.dtype("float64"), inputs)


def conv(*weights: float, bias: float | None = None, **window: Any) -> Convolution:
    """A convolution of one unit to one."""
    of_bias = None if bias is None else np.array([bias])
    return Convolution(np.array([[weights]]), of_bias, Window(len(weights), **window))


def gru(*, reset_after: bool) -> Gru:
    """One unit that begins at 2, whose hard gates make of x = 1 r = 0.7 and z = 0.3."""
    cell = GruCell(
        input=np.array([1.0, 0.0, 1.0]).reshape(3, 1, 1),
        recurrent=np.array([0.0, -0.5, 3.0]).reshape(3, 1, 1),
        bias=np.array([0.0, 0.0, 0.5]).reshape(3, 1),
        recurrent_bias=np.array([1.0]) if reset_after else None,
        reset_after=reset_after,
        initial_hidden=np.array([2.0]),
    )
    return Gru((cell,), gate_activation="hard_sigmoid", activation="linear")


def adding(weight: float = 1.0, bias: float = 0.0, **settings: Any) -> SimpleRnn:
    """A unit that adds its input, times a weight, and its bias to what it keeps."""
    cell = RnnCell(np.full((1, 1), weight), np.ones((1, 1)), np.array([bias]))
    return SimpleRnn((cell,), activation="linear", **settings)
