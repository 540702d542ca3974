"""Models made by hand, and models in another precision."""

from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from lstm_lrp_cli.model.layers import (
    Convolution,
    Dense,
    Embedding,
    Flatten,
    Layer,
    Node,
    Normalize,
    Scale,
)
from lstm_lrp_cli.model.model import Head, Input, Model, chain
from lstm_lrp_cli.model.recurrent import Gru, Lstm, SimpleRnn

OF_INPUTS = set(Input.__struct_fields__)


def make_model(*layers: Layer, classes: int, dtype: str = "float64", **settings: Any) -> Model:
    """A model of one input and given layers, each fed by the one before, all in one precision.

    `settings` are those of the model, or of its input, whose size the layers tell.
    """
    first, *rest = layers
    embedding = first if isinstance(first, Embedding) else None
    nodes = chain(*(layers if embedding is None else rest))
    of_input = {name: settings.pop(name) for name in OF_INPUTS & set(settings)}
    of_input.setdefault("size", _input_size(layers, classes))
    model = Model(
        nodes=nodes,
        outputs=(len(nodes) - 1,),
        heads=(Head(classes),),
        dtype=np.dtype(dtype),
        inputs=(Input(embedding=embedding, **of_input),),
        **settings,
    )
    return in_precision(model, dtype)


def _input_size(layers: tuple[Layer, ...], classes: int) -> int:
    """What the first layer with weights is fed with; without any, as many as there are scores."""
    steps = 1  # that are side by side
    for layer in layers:
        match layer:
            case Embedding() | Dense():
                return layer.weights.shape[1] // steps
            case Convolution():
                return layer.weights.shape[1] * layer.groups
            case Lstm() | Gru() | SimpleRnn():
                return layer.cells[0].input_size
            case Scale() | Normalize():
                return len(layer.factors) // steps
            case Flatten():
                steps = layer.steps
    return classes // steps


def in_precision(model: Model, dtype: str) -> Model:
    """The same model with every weight in another precision; what was one layer stays one."""
    precision = np.dtype(dtype)
    made: dict[int, Any] = {}

    def cast(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return value.astype(precision)
        if isinstance(value, tuple):
            return tuple(map(cast, value))
        if not isinstance(value, Struct):
            return value
        if id(value) not in made:
            own = {name: cast(getattr(value, name)) for name in value.__struct_fields__}
            made[id(value)] = replace(value, **own)
        return made[id(value)]

    nodes = tuple(Node(cast(node.layer), node.sources) for node in model.nodes)
    inputs = tuple(replace(each, embedding=cast(each.embedding)) for each in model.inputs)
    return replace(model, nodes=nodes, inputs=inputs, dtype=precision)
