"""The forward pass of one sequence at a time, so plain that to read it is to check it.

The plain versions of what explains are all made of it. It shares nothing with the engine but the
dataclasses that say what a model is: no batches, no packing; float64 throughout.

Values of shape (steps, units) are one vector a step; of shape (units,), one vector a sequence. They
may be complex, as `plain_gradient` has them; then real parts decide what is larger.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy import exp, log1p, tanh
from numpy.typing import NDArray

from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.layers import (
    MODEL_INPUT,
    Activation,
    Dense,
    Flatten,
    Layer,
    Merge,
    Pool,
    Reverse,
    Scale,
    StepSoftmax,
)
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.model.recurrent import Lstm, LstmCell


def embedded(model: Model, sequence: NDArray[Any]) -> Floats:
    """The numbers, of shape (steps, features), of token ids, or of what are numbers already."""
    if model.embedding is None:
        return np.asarray(sequence)
    table = model.embedding.weights
    return np.array([table[token] for token in sequence]).reshape(len(sequence), table.shape[1])


def run(model: Model, values: Floats) -> dict[int, Floats]:
    """The values of every node, given the numbers of one sequence, which are INPUT's."""
    computed = {MODEL_INPUT: values}
    for place, node in enumerate(model.nodes):
        computed[place] = forward(node.layer, [computed[source] for source in node.sources])
    return computed


def side_by_side(model: Model, computed: dict[int, Floats]) -> Floats:
    """The values of the outputs, which make the scores."""
    return np.concatenate([computed[output] for output in model.outputs], axis=-1)


def scores_of(model: Model, values: Floats) -> Floats:
    """The scores of the numbers of one sequence."""
    return side_by_side(model, run(model, values))


def forward(layer: Layer, sources: list[Floats]) -> Floats:
    values = sources[0]
    match layer:
        case Merge(kind):
            return join(kind, sources)
        case Flatten():
            return values.reshape(-1)
        case Reverse():
            return values[::-1]
        case StepSoftmax():
            columns = [activate("softmax", values[:, unit]) for unit in range(values.shape[1])]
            return np.array(columns).T.reshape(values.shape) if len(values) else values
        case Scale(factors, offsets):
            return values * factors + offsets
        case Lstm():
            return join(layer.merge, [hidden_states(layer, cell, values) for cell in layer.cells])
        case Pool():
            return pool(layer, values)
        case Dense():
            outputs = len(layer.weights)
            bias = np.zeros(outputs) if layer.bias is None else layer.bias
            if values.ndim == 1:
                return layer.weights @ values + bias
            each = [layer.weights @ step + bias for step in values]
            return np.array(each).reshape(len(values), outputs)
        case Activation():
            if values.ndim == 1:
                return activate(layer.kind, values)
            each = [activate(layer.kind, step) for step in values]
            return np.array(each).reshape(values.shape)
    raise AssertionError(layer)


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
    }[kind]
    return np.array([function(v) for v in x])


def _clipped(v: complex, low: float, high: float) -> complex:
    return low if v.real <= low else high if v.real >= high else v


def pool(layer: Pool, values: Floats) -> Floats:
    steps, units = values.shape
    if steps == 0:
        return np.zeros(units)
    if layer.kind in ("first", "last"):
        return values[0 if layer.kind == "first" else -1]
    if layer.kind == "max":
        return np.array([max(values[:, unit], key=np.real) for unit in range(units)])
    total = np.zeros(units)
    for step in values:
        total = total + step
    return total / steps if layer.kind == "mean" else total


class Step(NamedTuple):
    """What an LSTM cell makes of one step x, after the states h and c that it comes with."""

    x: Floats
    h_before: Floats
    c_before: Floats
    i: Floats
    f: Floats
    g: Floats
    o: Floats
    c: Floats
    activated: Floats
    m: Floats
    h: Floats


def read(layer: Lstm, cell: LstmCell, values: Floats) -> list[Step]:
    """The steps of a sequence, in the order in which the cell reads them."""
    h, c = initial_states(cell)
    steps = []
    for x in values[::-1] if cell.backward else values:
        z_i, z_f, z_g, z_o = (
            cell.input[gate] @ x + cell.recurrent[gate] @ h + cell.bias[gate] for gate in range(4)
        )
        i, f, o = (activate(layer.gate_activation, z) for z in (z_i, z_f, z_o))
        g = activate(layer.activation, z_g)
        c_next = f * c + i * g
        activated = activate(layer.activation, c_next)
        m = o * activated
        h_next = m if cell.projection is None else cell.projection @ m
        steps.append(Step(x, h, c, i, f, g, o, c_next, activated, m, h_next))
        h, c = h_next, c_next
    return steps


def initial_states(cell: LstmCell) -> tuple[Floats, Floats]:
    h, c = cell.initial_hidden, cell.initial_cell
    return (
        np.zeros(cell.output_size) if h is None else h,
        np.zeros(cell.hidden_size) if c is None else c,
    )


def hidden_states(layer: Lstm, cell: LstmCell, values: Floats) -> Floats:
    """The last hidden state, or all of them in the order of the input."""
    states = [step.h for step in read(layer, cell, values)]
    if layer.returns == "last":
        return states[-1] if states else initial_states(cell)[0]
    in_order = states[::-1] if cell.backward else states
    return np.array(in_order).reshape(len(states), cell.output_size)


def join(kind: str, parts: list[Floats]) -> Floats:
    if kind == "concat":
        return np.concatenate(parts, axis=-1)
    joined = parts[0]
    for part in parts[1:]:
        joined = joined + part if kind in ("sum", "mean") else joined * part
    return joined / len(parts) if kind == "mean" else joined
