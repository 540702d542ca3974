"""Contextual decomposition of one sequence at a time, so plain that to read it is to check it.

It parts every value of a model into what comes of the relevant inputs and all the rest (W. J.
Murdoch, P. J. Liu and B. Yu 2018, "Beyond Word Importance: Contextual Decomposition to Extract
Interactions from LSTMs"). Each of the two is computed for itself, so that it says something that
they add up to the value.
"""

from collections.abc import Collection
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from plain_forward import activate, embedded, forward, initial_states

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


class Parts(NamedTuple):
    """A value in two parts, beta and gamma of the paper."""

    relevant: Floats
    irrelevant: Floats

    @property
    def whole(self) -> Floats:
        return self.relevant + self.irrelevant


def decompose(model: Model, sequence: NDArray[Any], positions: Collection[int]) -> Parts:
    """The parts of all scores, given which positions of the sequence are relevant."""
    values = embedded(model, sequence)
    relevant = np.zeros(values.shape)
    for t in positions:
        relevant[t] = values[t]
    steps = [t in positions for t in range(len(values))]
    return _decompose(model, Parts(relevant, values - relevant), steps)


def decompose_entry(model: Model, sequence: NDArray[Any], step: int, feature: int) -> Parts:
    """The same where one number of one step is relevant, and no step as a whole."""
    values = embedded(model, sequence)
    relevant = np.zeros(values.shape)
    relevant[step, feature] = values[step, feature]
    return _decompose(model, Parts(relevant, values - relevant), [False] * len(values))


def _decompose(model: Model, inputs: Parts, steps: list[bool]) -> Parts:
    """Decompose all nodes, and carry along which of their steps are relevant as a whole."""
    parts, relevant_steps = {MODEL_INPUT: inputs}, {MODEL_INPUT: steps}
    for place, node in enumerate(model.nodes):
        fed = [parts[source] for source in node.sources]
        at = [any(relevant_steps[k][t] for k in node.sources) for t in range(len(steps))]
        parts[place] = _layer_parts(node.layer, fed, at)
        relevant_steps[place] = at[::-1] if isinstance(node.layer, Reverse) else at
    return _joined("concat", [parts[output] for output in model.outputs])


def _layer_parts(layer: Layer, sources: list[Parts], relevant_steps: list[bool]) -> Parts:
    relevant, irrelevant = parts = sources[0]
    match layer:
        case Merge(kind):
            return _joined(kind, sources)
        case Flatten() | Reverse():
            return Parts(forward(layer, [relevant]), forward(layer, [irrelevant]))
        case StepSoftmax():  # a gate is not parted
            return Parts(np.zeros(relevant.shape), forward(layer, [parts.whole]))
        case Scale(factors):
            return Parts(relevant * factors, forward(layer, [irrelevant]))
        case Dense():
            return Parts(
                forward(replace(layer, bias=None), [relevant]), forward(layer, [irrelevant])
            )
        case Lstm():
            of_cells = [_cell_parts(layer, cell, parts, relevant_steps) for cell in layer.cells]
            return _joined(layer.merge, of_cells)
        case Pool("max"):
            return _max_pooled(parts)
        case Pool():
            return Parts(forward(layer, [relevant]), forward(layer, [irrelevant]))
        case Activation(kind):
            if relevant.ndim == 1:
                return _activated(kind, parts)
            each = [
                _activated(kind, Parts(relevant[t], irrelevant[t])) for t in range(len(relevant))
            ]
            return _stacked(each, relevant.shape)
    raise AssertionError(layer)


def _activated(kind: str, parts: Parts) -> Parts:
    """The effect of each part, on average over being added first and second.

    What the activation makes of nothing, s(0), is irrelevant.
    """
    beta, gamma = parts
    s_0 = activate(kind, np.zeros(beta.shape))
    s_beta, s_gamma, s = activate(kind, beta), activate(kind, gamma), activate(kind, parts.whole)
    return Parts(((s_beta - s_0) + (s - s_gamma)) / 2, ((s_gamma - s_0) + (s - s_beta)) / 2 + s_0)


class Thirds(NamedTuple):
    """An activation in three parts, of which one is the bias's."""

    relevant: Floats
    irrelevant: Floats
    bias: Floats


def _activated_with_bias(kind: str, parts: Parts, bias: Floats) -> Thirds:
    """The same with a bias, which is always added first."""
    beta, gamma = parts
    s_b = activate(kind, bias)
    s_beta, s_gamma = activate(kind, beta + bias), activate(kind, gamma + bias)
    s = activate(kind, parts.whole + bias)
    return Thirds(((s_beta - s_b) + (s - s_gamma)) / 2, ((s_gamma - s_b) + (s - s_beta)) / 2, s_b)


def _joined(kind: str, sources: list[Parts]) -> Parts:
    if len(sources) == 1:
        return sources[0]
    if kind == "gate":
        gate, signal = sources
        return Parts(gate.whole * signal.relevant, gate.whole * signal.irrelevant)
    if kind == "product":
        relevant, irrelevant = sources[0]
        for factor in sources[1:]:  # relevant is only what is so in every factor
            irrelevant = irrelevant * factor.whole + relevant * factor.irrelevant
            relevant = relevant * factor.relevant
        return Parts(relevant, irrelevant)
    layer = Merge(kind)
    return Parts(
        forward(layer, [source.relevant for source in sources]),
        forward(layer, [source.irrelevant for source in sources]),
    )


def _max_pooled(parts: Parts) -> Parts:
    """The parts of the largest step of each unit, of equal ones the first."""
    steps, units = parts.whole.shape
    relevant, irrelevant = np.zeros(units), np.zeros(units)
    for unit in range(units if steps else 0):
        column = parts.whole[:, unit].tolist()
        winner = column.index(max(column))
        relevant[unit] = parts.relevant[winner, unit]
        irrelevant[unit] = parts.irrelevant[winner, unit]
    return Parts(relevant, irrelevant)


def _cell_parts(layer: Lstm, cell: LstmCell, inputs: Parts, relevant_steps: list[bool]) -> Parts:
    """The parts of one cell's last hidden state, or of all of them in the order of the input."""
    h_0, c_0 = initial_states(cell)
    h, c = Parts(np.zeros(h_0.shape), h_0), Parts(np.zeros(c_0.shape), c_0)
    order = range(len(relevant_steps))
    hidden: dict[int, Parts] = {}
    for t in reversed(order) if cell.backward else order:
        z_i, z_f, z_g, z_o = (
            Parts(
                cell.input[gate] @ inputs.relevant[t] + cell.recurrent[gate] @ h.relevant,
                cell.input[gate] @ inputs.irrelevant[t] + cell.recurrent[gate] @ h.irrelevant,
            )
            for gate in range(4)
        )
        b_i, b_f, b_g, b_o = cell.bias
        i = _activated_with_bias(layer.gate_activation, z_i, b_i)
        f = _activated_with_bias(layer.gate_activation, z_f, b_f)
        g = _activated_with_bias(layer.activation, z_g, b_g)
        o = activate(layer.gate_activation, z_o.whole + b_o)  # not parted

        # i g: what has a relevant factor and no irrelevant one is relevant.
        relevant = i.relevant * g.relevant + i.relevant * g.bias + i.bias * g.relevant
        irrelevant = (
            i.irrelevant * (g.relevant + g.irrelevant + g.bias)
            + (i.relevant + i.bias) * g.irrelevant
        )
        if relevant_steps[t]:
            relevant = relevant + i.bias * g.bias
        else:
            irrelevant = irrelevant + i.bias * g.bias
        # f c_before, likewise; all of f takes part in what is irrelevant.
        c = Parts(
            relevant + (f.relevant + f.bias) * c.relevant,
            irrelevant
            + f.irrelevant * c.relevant
            + (f.relevant + f.irrelevant + f.bias) * c.irrelevant,
        )
        activated = _activated(layer.activation, c)
        h = Parts(o * activated.relevant, o * activated.irrelevant)
        if cell.projection is not None:
            h = Parts(cell.projection @ h.relevant, cell.projection @ h.irrelevant)
        hidden[t] = h
    if layer.returns == "last":
        return h
    return _stacked([hidden[t] for t in order], (len(order), cell.output_size))


def _stacked(each: list[Parts], shape: tuple[int, ...]) -> Parts:
    return Parts(
        np.array([parts.relevant for parts in each]).reshape(shape),
        np.array([parts.irrelevant for parts in each]).reshape(shape),
    )
