"""Contextual decomposition of one sequence at a time, so plain that to read it is to check it.

It parts every value of a model into what comes of the relevant inputs and all the rest (W. J.
Murdoch, P. J. Liu and B. Yu 2018, "Beyond Word Importance: Contextual Decomposition to Extract
Interactions from LSTMs"). Each of the two is computed for itself, so that it says something that
they add up to the value.
"""

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace
from plain_forward import (
    Given,
    bent,
    by_input,
    embedded,
    forward,
    groups_of,
    heads,
    norms,
    seen_by,
    split,
    weights_of,
)
from plain_parts import Parts, activated, joined, of_largest, stacked
from plain_recurrent_parts import recurrent_parts
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
    UnitNorm,
    UnitSum,
    Upsample,
    WindowPool,
)
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.model.recurrent import Gru, Lstm, SimpleRnn


class Value(NamedTuple):
    """The parts of a value, and which of its steps are relevant as a whole; a vector has none."""

    parts: Parts
    steps: list[bool]


def decompose(
    model: Model, sequence: Given, positions: Collection[int], of_input: int = 0
) -> Parts:
    """The parts of all scores, given which positions of one input are relevant.

    Of other inputs, none is. A vector has one position, 0.
    """
    values = by_input(embedded(model, sequence))
    given = _all_irrelevant(values)
    whole = np.atleast_2d(values[of_input])
    relevant = np.zeros(whole.shape)
    for t in positions:
        relevant[t] = whole[t]
    steps = [t in positions for t in range(len(given[of_input].steps))]
    given[of_input] = Value(_parted(values[of_input], relevant), steps)
    return _decompose(model, given)


def decompose_entry(
    model: Model, sequence: Given, step: int, feature: int, of_input: int = 0
) -> Parts:
    """The same where one number of one step is relevant, and no step as a whole."""
    values = by_input(embedded(model, sequence))
    given = _all_irrelevant(values)
    whole = np.atleast_2d(values[of_input])
    relevant = np.zeros(whole.shape)
    relevant[step, feature] = whole[step, feature]
    given[of_input] = Value(_parted(values[of_input], relevant), given[of_input].steps)
    return _decompose(model, given)


def _parted(values: Floats, relevant: Floats) -> Parts:
    of_shape = relevant.reshape(values.shape)
    return Parts(of_shape, values - of_shape)


def _all_irrelevant(values: tuple[Floats, ...]) -> list[Value]:
    return [
        Value(Parts(np.zeros(each.shape), each), [False] * len(each) if each.ndim == 2 else [])
        for each in values
    ]


def _decompose(model: Model, given: list[Value]) -> Parts:
    inputs = {MODEL_INPUT - k: value for k, value in enumerate(given)}
    found = _decompose_nodes(model.nodes, inputs)
    return joined("concat", [found[output].parts for output in model.outputs])


def _decompose_nodes(nodes: tuple[Node, ...], given: dict[int, Value]) -> dict[int, Value]:
    """Decompose all nodes, and carry along which of their steps are relevant as a whole."""
    found = dict(given)
    for place, node in enumerate(nodes):
        sources = [found[source] for source in node.sources]
        if isinstance(node.layer, Each):
            found[place] = _each(node.layer, sources[0])
            continue
        parts = _layer_parts(node.layer, sources)
        steps = len(parts.whole) if parts.whole.ndim == 2 else 0
        found[place] = Value(parts, _relevant_steps(node.layer, sources, steps))
        assert len(found[place].steps) == steps
    return found


def _relevant_steps(layer: Layer, sources: list[Value], steps: int) -> list[bool]:
    """Which of a layer's output steps, so many, are relevant as wholes."""
    below = sources[0].steps
    match layer:
        case _ if steps == 0:
            return []
        case Merge():
            return [any(source.steps[t] for source in sources) for t in range(steps)]
        case Convolution() | WindowPool():
            windows = places(layer.window, len(below))
            return [any(below[step] for _, step in real) for real in windows]
        case Upsample(times):
            return [below[t // times] for t in range(steps)]
        case Pad(before, after):
            return [False] * before + below + [False] * after
        case Crop(before, _):
            return below[before : before + steps]
        case Reverse():
            return below[::-1]
        case _ if _keeps_steps(layer):
            return below
    return [False] * steps


def _keeps_steps(layer: Layer) -> bool:
    """Whether step t of what a layer makes is step t of what it is first fed with."""
    of_units = isinstance(
        layer,
        Dense
        | Scale
        | Normalize
        | UnitNorm
        | UnitSum
        | Activation
        | LeakyRelu
        | StepSoftmax
        | Select,
    )
    return of_units or isinstance(layer, Lstm | Gru | SimpleRnn | Attention)


def _layer_parts(layer: Layer, sources: list[Value]) -> Parts:
    fed = [source.parts for source in sources]
    relevant, irrelevant = parts = fed[0]
    match layer:
        case Merge(kind):
            return joined(kind, fed)
        case Attention():
            return _attended(layer, fed)
        case Lstm() | Gru() | SimpleRnn():
            return recurrent_parts(layer, fed, sources[0].steps)
        case Repeat(None):
            return Parts(*(forward(layer, [part, fed[1].whole]) for part in parts))
        case StepSoftmax():  # a gate is not parted
            return Parts(np.zeros(relevant.shape), forward(layer, [parts.whole]))
        case Scale(factors):
            return Parts(relevant * factors, forward(layer, [irrelevant]))
        case Dense() | Convolution():
            return Parts(
                forward(replace(layer, bias=None), [relevant]), forward(layer, [irrelevant])
            )
        case Normalize():
            return _normalized(layer, parts)
        case UnitNorm():  # by the norm of the whole
            return Parts(*(part / norms(parts.whole) for part in parts))
        case Pool("max"):
            steps = [Parts(*each) for each in zip(relevant, irrelevant, strict=True)]
            nothing = Parts(np.zeros(relevant.shape[1]), np.zeros(relevant.shape[1]))
            return of_largest(steps or [nothing])
        case WindowPool("max"):
            return _max_pooled_windows(layer, parts)
        case Activation() | LeakyRelu():
            if relevant.ndim == 1:
                return activated(lambda v: bent(layer, v), parts)
            each = [
                activated(lambda v: bent(layer, v), Parts(relevant[t], irrelevant[t]))
                for t in range(len(relevant))
            ]
            return stacked(each, relevant.shape)
    # All else is linear, or moves numbers about.
    return Parts(forward(layer, [relevant]), forward(layer, [irrelevant]))


def _normalized(layer: Normalize, parts: Parts) -> Parts:
    """Both parts alike, with the deviation of the whole; the offset is irrelevant."""
    found = Parts(np.zeros(parts.whole.shape), np.zeros(parts.whole.shape))
    for group in groups_of(layer, parts.whole):
        for part, into in zip(parts, found, strict=True):
            mean = sum(part[at] for at in group.places) / len(group.places)
            for at in group.places:
                into[at] = layer.factors[at[-1]] * (part[at] - mean) / group.deviation
        for at in group.places:
            found.irrelevant[at] += layer.offsets[at[-1]]
    return found


def _max_pooled_windows(layer: WindowPool, parts: Parts) -> Parts:
    """The parts of the largest step of each window and unit."""
    units = parts.whole.shape[1]
    nothing = Parts(np.zeros(units), np.zeros(units))
    windows = places(layer.window, len(parts.whole))
    each = [
        of_largest(
            [Parts(parts.relevant[step], parts.irrelevant[step]) for _, step in real] or [nothing]
        )
        for real in windows
    ]
    return stacked(each, (len(windows), units))


def _attended(layer: Attention, fed: list[Parts]) -> Parts:
    """Sums of both parts of the values, with weights that are whole."""
    queries, values, keys = fed
    found = Parts(*(np.zeros((*queries.whole.shape[:-1], part.shape[1])) for part in values))
    units = queries.whole.shape[-1], values.whole.shape[1]
    for at in np.ndindex(*queries.whole.shape[:-1]):  # each step, or once
        seen = seen_by(layer, at[0] if at else None, len(values.whole))
        for of_query, of_value in zip(*(heads(layer, size) for size in units), strict=True):
            if seen:
                weights = weights_of(layer, of_query, queries.whole[at], keys.whole[seen])
                for part, into in zip(values, found, strict=True):
                    for j in seen:
                        into[at][of_value] += weights[j] * part[j, of_value]
    return found


def _each(layer: Each, value: Value) -> Value:
    """The graph's parts, of each of the sequences by itself; one vector of each is no step."""
    made: list[Value] = []
    groups = [split(layer, part) for part in value.parts]
    for number, group in enumerate(map(Parts, *groups)):
        steps = value.steps[number * layer.steps : (number + 1) * layer.steps]
        found = _decompose_nodes(layer.nodes, {MODEL_INPUT: Value(group, steps)})
        made.append(found[layer.output])
    if not made:
        return Value(Parts(*(forward(layer, [part]) for part in value.parts)), [])
    both = zip(*(each.parts for each in made), strict=True)
    parts = Parts(*(np.concatenate([np.atleast_2d(each) for each in part]) for part in both))
    if made[0].parts.whole.ndim == 1:
        return Value(parts, [False] * len(made))
    return Value(parts, [step for each in made for step in each.steps])
