"""Keras's layers with a model's weights, where the file is not Keras's own."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_lrp_cli.checking.against.graph import Function, run_graph
from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.model.arrays import Floats
from lstm_lrp_cli.model.layers import (
    Activation,
    Dense,
    Flatten,
    Layer,
    Lstm,
    LstmCell,
    Merge,
    Pool,
    Reverse,
    Scale,
    StepSoftmax,
)
from lstm_lrp_cli.model.model import Model

MERGES = {"concat": "concat", "sum": "sum", "mean": "ave", "product": "mul"}


def build(
    keras: Any, model: Model, dtype: np.dtype[Any], where: str, version: str
) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Make Keras's layers of a model's, and give what runs them.

    Raises
    ------
    UnusableInput
        Keras has no such layer.
    """
    if version.startswith("2"):
        raise UnusableInput(
            where,
            f"found Keras {version}; a file that is not Keras's own needs Keras 3: "
            "python -m pip install --upgrade keras",
        )
    layers = _Layers(keras, dtype.name, where)
    embedding = None if model.embedding is None else layers.embedding(model.embedding.weights)
    functions = [layers.function(node.layer) for node in model.nodes]

    def run(inputs: NDArray[Any]) -> NDArray[Any]:
        if embedding is None:
            embedded = keras.ops.convert_to_tensor(inputs.astype(dtype))
        else:
            embedded = embedding(keras.ops.convert_to_tensor(inputs.astype(np.int32)))
        found = [np.asarray(value) for value in run_graph(model, functions, embedded)]
        return np.concatenate(found, axis=-1)

    return run


class _Layers:
    def __init__(self, keras: Any, dtype: str, where: str) -> None:
        self._keras, self._dtype, self._where = keras, dtype, where

    def embedding(self, weights: Floats) -> Function:
        rows, units = weights.shape
        return self._ready(
            self._keras.layers.Embedding(rows, units, dtype=self._dtype), (), weights
        )

    def function(self, layer: Layer) -> Function:
        """What Keras makes of a layer."""
        keras, ops = self._keras, self._keras.ops
        match layer:
            case Lstm():
                return self._lstm(layer)
            case Dense():
                outputs, inputs = layer.weights.shape
                biased = layer.bias is not None
                dense = keras.layers.Dense(outputs, use_bias=biased, dtype=self._dtype)
                bias = [] if layer.bias is None else [layer.bias]
                return self._ready(dense, (None, inputs), layer.weights.T, *bias)
            case Scale():
                return self._scale(layer)
            case Activation():
                return self._activation(layer.kind)
            case Pool():
                pools: dict[str, Function] = {
                    "mean": lambda x: ops.mean(x, 1),
                    "max": lambda x: ops.max(x, 1),
                    "sum": lambda x: ops.sum(x, 1),
                    "first": lambda x: x[:, 0],
                    "last": lambda x: x[:, -1],
                }
                return pools[layer.kind]
            case Flatten():
                return lambda x: ops.reshape(x, (x.shape[0], -1))
            case Reverse():
                return lambda x: ops.flip(x, 1)
            case StepSoftmax():
                return lambda x: ops.softmax(x, 1)
            case Merge():
                return self._merge(layer.kind)
            case _:
                raise self._unknown(f"layer {type(layer).__name__}")

    def _lstm(self, layer: Lstm) -> Function:
        keras = self._keras
        cells = layer.cells
        if any(cell.projection is not None for cell in cells):
            raise self._unknown("LSTM with a projection")
        lstms = [
            keras.layers.LSTM(
                cell.hidden_size,
                activation=self._activation(layer.activation),
                recurrent_activation=self._activation(layer.gate_activation),
                return_sequences=layer.returns == "sequence",
                go_backwards=cell.backward,
                dtype=self._dtype,
            )
            for cell in cells
        ]
        weights = [array for cell in cells for array in _weights(cell)]
        states = [
            np.zeros(cell.hidden_size) if state is None else state
            for cell in cells
            for state in (cell.initial_hidden, cell.initial_cell)
        ]
        if len(cells) == 2:
            module = keras.layers.Bidirectional(
                lstms[0],
                backward_layer=lstms[1],
                merge_mode=MERGES[layer.merge],
                dtype=self._dtype,
            )
        else:
            [module] = lstms
        self._ready(module, (None, None, cells[0].input_size), *weights)
        turned = len(cells) == 1 and cells[0].backward and layer.returns == "sequence"

        def run(x: Any) -> Any:
            initial = [
                keras.ops.convert_to_tensor(np.tile(state, (x.shape[0], 1)), dtype=self._dtype)
                for state in states
            ]
            found = module(x, initial_state=initial)
            return keras.ops.flip(found, 1) if turned else found

        return run

    def _scale(self, layer: Scale) -> Function:
        factors, offsets = (
            self._keras.ops.convert_to_tensor(array, dtype=self._dtype)
            for array in (layer.factors, layer.offsets)
        )
        return lambda x: x * factors + offsets

    def _activation(self, kind: str) -> Function:
        if kind == "hard_sigmoid":
            raise self._unknown("hard sigmoid of Keras 1 and 2")
        own = "hard_sigmoid" if kind == "hard_sigmoid_relu6" else kind
        found: Function = getattr(self._keras.activations, own)
        return found

    def _merge(self, kind: str) -> Function:
        keras = self._keras
        merges = {
            "concat": keras.layers.Concatenate,
            "sum": keras.layers.Add,
            "mean": keras.layers.Average,
            "product": keras.layers.Multiply,
        }
        if kind == "gate":
            return lambda gate, signal: gate * signal
        merge = merges[kind](dtype=self._dtype)
        return lambda *parts: merge(list(parts))

    def _ready(self, layer: Any, shape: tuple[int | None, ...], *weights: Floats) -> Function:
        layer.build(shape)
        layer.set_weights(list(weights))
        layer.trainable = False
        ready: Function = layer
        return ready

    def _unknown(self, what: str) -> UnusableInput:
        return UnusableInput(self._where, f"Keras has no {what}; compare by --expected")


def _weights(cell: LstmCell) -> tuple[Floats, Floats, Floats]:
    """A cell's weights as Keras keeps them: (features, 4 units) in the order i, f, c, o."""
    gates = 4 * cell.hidden_size
    kernel, recurrent = cell.input.reshape(gates, -1).T, cell.recurrent.reshape(gates, -1).T
    return kernel, recurrent, cell.bias.reshape(-1)
