"""The forward pass of one sequence at a time, so plain that to read it is to check it.

The plain versions of what explains are all made of it. It shares nothing with the engine but the
dataclasses that say what a model is: no batches, no packing; float64 throughout.

Values of shape (steps, units) are one vector a step; of shape (units,), one vector a sequence. They
may be complex, as `plain_gradient` has them; then real parts decide what is larger.

A sequence of a model with several inputs is a tuple, with what each is given; so are its values.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from plain_activations import activate, leaky
from plain_joins import join
from plain_recurrent import recurrent_outputs
from plain_windows import places

from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.layers import (
    MODEL_INPUT,
    Activation,
    Attention,
    Convolution,
    Crop,
    Dense,
    Each,
    Flatten,
    Layer,
    LeakyRelu,
    Merge,
    Node,
    Normalize,
    Pad,
    Pool,
    Repeat,
    Reverse,
    Scale,
    Select,
    StepSoftmax,
    Transpose,
    Unflatten,
    UnitNorm,
    UnitSum,
    Upsample,
    WindowPool,
)
from lstm_lrp_cli.model.model import Input, Model
from lstm_lrp_cli.model.recurrent import Gru, Lstm, SimpleRnn

# What one sequence is to a model of one input, or of several.
Given = NDArray[Any] | tuple[NDArray[Any], ...]


def embedded(model: Model, sequence: Given) -> Any:
    """The numbers, of shape (steps, features), of token ids, or of what are numbers already."""
    if isinstance(sequence, tuple):
        return tuple(map(_embedded, model.inputs, sequence))
    return _embedded(model.inputs[0], sequence)


def _embedded(of: Input, sequence: NDArray[Any]) -> Floats:
    if of.embedding is None:
        return np.asarray(sequence)
    table = of.embedding.weights
    return np.array([table[token] for token in sequence]).reshape(len(sequence), table.shape[1])


def by_input(given: Given) -> tuple[NDArray[Any], ...]:
    """What a sequence, or its values, has for each input."""
    return given if isinstance(given, tuple) else (given,)


def run(model: Model, values: Given) -> dict[int, Floats]:
    """The values of every node, given the numbers of one sequence, which are the inputs' own."""
    given = {MODEL_INPUT - k: each for k, each in enumerate(by_input(values))}
    return run_nodes(model.nodes, given)


def run_nodes(nodes: tuple[Node, ...], given: dict[int, Floats]) -> dict[int, Floats]:
    """The same for nodes of a graph, whatever it is part of."""
    computed = dict(given)
    for place, node in enumerate(nodes):
        computed[place] = forward(node.layer, [computed[source] for source in node.sources])
    return computed


def side_by_side(model: Model, computed: dict[int, Floats]) -> Floats:
    """The values of the outputs, which make the scores."""
    return np.concatenate([computed[output] for output in model.outputs], axis=-1)


def scores_of(model: Model, values: Given) -> Floats:
    """The scores of the numbers of one sequence."""
    return side_by_side(model, run(model, values))


def forward(layer: Layer, sources: list[Floats]) -> Floats:
    values = sources[0]
    match layer:
        case Merge(kind):
            return join(kind, sources)
        case Attention():
            return attend(layer, *sources)
        case Lstm() | Gru() | SimpleRnn():
            return recurrent_outputs(layer, values, sources[1] if len(sources) == 2 else None)
        case Pool():
            return pool(layer, values)
        case Each():
            return each_group(layer, values)
        case Convolution() | WindowPool():
            of_window = convolve if isinstance(layer, Convolution) else pool_window
            at = places(layer.window, len(values))
            outputs = len(layer.weights) if isinstance(layer, Convolution) else values.shape[1]
            each = [of_window(layer, values, real) for real in at]
            return np.array(each).reshape(len(at), outputs)
        case Dense():
            outputs = len(layer.weights)
            bias = np.zeros(outputs) if layer.bias is None else layer.bias
            if values.ndim == 1:
                return layer.weights @ values + bias
            each = [layer.weights @ step + bias for step in values]
            return np.array(each).reshape(len(values), outputs)
        case Activation() | LeakyRelu():
            if values.ndim == 1:
                return bent(layer, values)
            each = [bent(layer, step) for step in values]
            return np.array(each).reshape(values.shape)
        case Scale(factors, offsets):
            return values * factors + offsets
        case Normalize():
            return normalize(layer, values)
        case UnitNorm():
            return values / norms(values)
        case UnitSum():
            return values.sum(axis=-1, keepdims=True)
        case Repeat(None):
            return np.array([values for _ in sources[1]]).reshape(len(sources[1]), len(values))
        case StepSoftmax():
            columns = [activate("softmax", values[:, unit]) for unit in range(values.shape[1])]
            return np.array(columns).T.reshape(values.shape) if len(values) else values
    return rearrange(layer, values)


def rearrange(layer: Layer, values: Floats) -> Floats:
    """What layers make that compute nothing: they copy numbers, leave some out, or add zeros."""
    match layer:
        case Upsample(times):
            copies = [step for step in values for _ in range(times)]
            return np.array(copies).reshape(times * len(values), values.shape[1])
        case Pad(before, after):
            units = values.shape[1]
            return np.concatenate([np.zeros((before, units)), values, np.zeros((after, units))])
        case Crop(before, after):
            return values[before : max(len(values) - after, before)]
        case Reverse():
            return values[::-1]
        case Flatten(steps):
            assert len(values) == steps
            return values.reshape(-1)
        case Unflatten(steps):
            return values.reshape(steps, len(values) // steps)
        case Repeat(steps):
            return np.array([values for _ in range(steps)])
        case Transpose(steps):
            assert len(values) == steps
            return values.T
        case Select(start, stop):
            return values[..., start:stop]
    raise AssertionError(layer)


def bent(layer: Activation | LeakyRelu, x: Floats) -> Floats:
    """What an activation makes of one vector."""
    if isinstance(layer, LeakyRelu):
        return leaky(x, layer.slopes)
    return activate(layer.kind, x)


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


def convolve(layer: Convolution, values: Floats, real: list[tuple[int, int]]) -> Floats:
    """One output step, of the steps in its window that there are."""
    of_group = len(layer.weights) // layer.groups
    inputs = layer.weights.shape[1]
    outputs = []
    for unit, weights in enumerate(layer.weights):
        start = unit // of_group * inputs
        total = 0.0 if layer.bias is None else layer.bias[unit]
        for k, step in real:
            for i in range(inputs):
                total = total + weights[i, k] * values[step, start + i]
        outputs.append(total)
    return np.array(outputs)


def pool_window(layer: WindowPool, values: Floats, real: list[tuple[int, int]]) -> Floats:
    """One output step, of the steps in its window that there are; without one, zeros."""
    units = values.shape[1]
    at = [step for _, step in real]
    if not at:
        return np.zeros(units)
    if layer.kind == "max":
        return np.array([max(values[at, unit], key=np.real) for unit in range(units)])
    total = np.zeros(units)
    for step in at:
        total = total + values[step]
    return total / counted(layer, real)


def counted(layer: WindowPool, real: list[tuple[int, int]]) -> int:
    """What the sum over a window is divided by."""
    return layer.window.width if layer.counts_padding else len(real)


class Group(NamedTuple):
    """Numbers that are normalized together: where they stand, their mean and their deviation."""

    places: list[tuple[int, ...]]
    mean: float
    deviation: float


def groups_of(layer: Normalize, values: Floats) -> list[Group]:
    """The units of a step, or of a group at all steps."""
    if layer.groups is None:
        by_group = [
            [(*at, unit) for unit in range(values.shape[-1])]
            for at in np.ndindex(*values.shape[:-1])
        ]
    else:
        size = values.shape[-1] // layer.groups
        by_group = [
            [at for at in np.ndindex(*values.shape) if at[-1] // size == group]
            for group in range(layer.groups if values.size else 0)
        ]
    groups = []
    for together in by_group:
        mean = sum(values[at] for at in together) / len(together)
        variance = sum((values[at] - mean) ** 2 for at in together) / len(together)
        groups.append(Group(together, mean, np.sqrt(variance + layer.epsilon)))
    return groups


def normalize(layer: Normalize, values: Floats) -> Floats:
    found = np.zeros(values.shape, np.result_type(values, float))
    for group in groups_of(layer, values):
        for at in group.places:
            free = (values[at] - group.mean) / group.deviation
            found[at] = layer.factors[at[-1]] * free + layer.offsets[at[-1]]
    return found


def norms(values: Floats) -> Floats:
    """The Euclidean norm of the units of each step, or once, as one unit; no less than 1e-6."""
    found = np.sqrt((values**2).sum(axis=-1, keepdims=True))
    return np.where(found.real > 1e-6, found, 1e-6)


def heads(layer: Attention, units: int) -> list[slice]:
    """Which units each head has."""
    size = units // layer.heads
    return [slice(head * size, (head + 1) * size) for head in range(layer.heads)]


def seen_by(layer: Attention, query: int | None, steps: int) -> range:
    """The steps that a query at a step sees; one that is of no step sees all."""
    return range(min(query + 1, steps) if layer.causal and query is not None else steps)


def fits(layer: Attention, of_head: slice, query: Floats, keys: Floats) -> list[Floats]:
    """The terms whose sum is how well each key fits a query, of one head."""
    q = query[of_head]
    if layer.kind == "dot":
        return [layer.scale * q * key[of_head] for key in keys]
    factors = np.ones(len(query)) if layer.factors is None else layer.factors
    return [factors[of_head] * np.tanh(q + key[of_head]) for key in keys]


def weights_of(layer: Attention, of_head: slice, query: Floats, keys: Floats) -> Floats:
    """The attention weight of each of the keys that a query sees, of one head."""
    sums = [sum(terms) for terms in fits(layer, of_head, query, keys)]
    return activate("softmax", np.array(sums))


def attend(layer: Attention, queries: Floats, values: Floats, keys: Floats) -> Floats:
    if queries.ndim == 1:
        return attend_once(layer, queries, values, keys)
    each = []
    for i, query in enumerate(queries):
        seen = seen_by(layer, i, len(values))
        each.append(attend_once(layer, query, values[seen], keys[seen]))
    return np.array(each).reshape(len(queries), values.shape[1])


def attend_once(layer: Attention, query: Floats, values: Floats, keys: Floats) -> Floats:
    """What one query makes of all that it sees; where that is nothing, zeros."""
    if len(values) == 0:
        return np.zeros(values.shape[1])
    outputs = []
    for of_query, of_value in zip(
        heads(layer, len(query)), heads(layer, values.shape[1]), strict=True
    ):
        weights = weights_of(layer, of_query, query, keys)
        outputs.append(
            sum(weight * value[of_value] for weight, value in zip(weights, values, strict=True))
        )
    return np.concatenate(outputs)


def split(layer: Each, values: Floats) -> list[Floats]:
    """The sequences that a sequence is made of."""
    assert len(values) % layer.steps == 0
    return [values[at : at + layer.steps] for at in range(0, len(values), layer.steps)]


def each_group(layer: Each, values: Floats) -> Floats:
    groups = split(layer, values)
    if not groups:  # what there would be of one that there is not has as many units
        nothing = each_group(layer, np.zeros((layer.steps, values.shape[1])))
        return nothing[:0]
    made = [run_nodes(layer.nodes, {MODEL_INPUT: group})[layer.output] for group in groups]
    return np.concatenate([np.atleast_2d(one) for one in made])
