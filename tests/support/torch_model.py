"""Any model as a function of torch's tensors, for its autograd to differentiate.

Of layers that torch has, torch's own; an LSTM is spelled out, since torch's has neither other
activations nor every projection.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from lstm_lrp_cli.check.against.torch import run_graph
from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.layers import (
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

Function = Callable[..., Tensor]

ACTIVATIONS: dict[str, Function] = {
    "linear": lambda x: x,
    "softmax": lambda x: x.softmax(-1),
    "exponential": torch.exp,
    "square": torch.square,
    "gelu": functional.gelu,
    "gelu_tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "hard_sigmoid": lambda x: (0.2 * x + 0.5).clamp(0.0, 1.0),
    # The derivative of torch's own hardsigmoid is 1/6 in single precision, whatever its input's.
    "hard_sigmoid_relu6": lambda x: functional.relu6(x + 3.0) / 6.0,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    **{
        name: getattr(functional, name)
        for name in ("relu", "relu6", "elu", "selu", "silu", "softplus", "softsign")
    },
}
POOLS: dict[str, Function] = {
    "mean": lambda x: x.mean(1),
    "max": lambda x: x.max(1).values,
    "sum": lambda x: x.sum(1),
    "first": lambda x: x[:, 0],
    "last": lambda x: x[:, -1],
}


def scores_of(model: Model) -> Function:
    """The scores, shape (n, classes) or (n, steps, classes), of (n, steps, features)."""
    functions = [_function(node.layer) for node in model.nodes]
    return lambda embedded: torch.cat(run_graph(model, functions, embedded), -1)


def _function(layer: Layer) -> Function:
    match layer:
        case Lstm():
            return lambda x: _lstm(layer, x)
        case Dense(weights, bias):
            tensors = [None if a is None else torch.from_numpy(a) for a in (weights, bias)]
            return lambda x: functional.linear(x, *tensors)
        case Scale(factors, offsets):
            return lambda x: x * torch.from_numpy(factors) + torch.from_numpy(offsets)
        case Activation(kind):
            return ACTIVATIONS[kind]
        case Pool(kind):
            return POOLS[kind]
        case Flatten():
            return lambda x: x.flatten(1)
        case Reverse():
            return lambda x: x.flip(1)
        case StepSoftmax():
            return lambda x: x.softmax(1)
        case Merge(kind):
            return lambda *parts: _merged(kind, parts)
    raise AssertionError(layer)


def _merged(kind: str, parts: tuple[Tensor, ...]) -> Tensor:
    if kind == "concat":
        return torch.cat(parts, -1)
    if kind in ("product", "gate"):
        return math.prod(parts[1:], start=parts[0])
    if kind == "difference":
        return parts[0] - parts[1]
    if kind == "max":
        return torch.stack(parts).amax(0)
    total = sum(parts[1:], start=parts[0])
    return total / len(parts) if kind == "mean" else total


def _lstm(layer: Lstm, x: Tensor) -> Tensor:
    parts = []
    for cell in layer.cells:
        steps = _steps(layer, cell, x.flip(1) if cell.backward else x)
        if layer.returns == "last":
            parts.append(steps[:, -1])
        else:
            parts.append(steps.flip(1) if cell.backward else steps)
    return _merged(layer.merge, tuple(parts))


def _steps(layer: Lstm, cell: LstmCell, x: Tensor) -> Tensor:
    """The hidden state after every step, in the order in which they are read."""
    read, fed, bias = (torch.from_numpy(a) for a in (cell.input, cell.recurrent, cell.bias))
    gate, signal = ACTIVATIONS[layer.gate_activation], ACTIVATIONS[layer.activation]
    h = _initial(cell.initial_hidden, cell.output_size, x)
    c = _initial(cell.initial_cell, cell.hidden_size, x)
    found = []
    for t in range(x.shape[1]):
        z_i, z_f, z_g, z_o = (x[:, t] @ read.mT + h @ fed.mT + bias[:, None]).unbind()
        c = gate(z_f) * c + gate(z_i) * signal(z_g)
        h = gate(z_o) * signal(c)
        if cell.projection is not None:
            h = h @ torch.from_numpy(cell.projection).T
        found.append(h)
    return torch.stack(found, 1)


def _initial(state: Floats | None, size: int, x: Tensor) -> Tensor:
    found = x.new_zeros(size) if state is None else torch.from_numpy(state)
    return found.expand(len(x), -1)
