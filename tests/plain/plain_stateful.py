"""Stateful models one sequence at a time: what is carried to a sequence is another model for it.

A model that begins in some states is the same one with those as its LSTMs' initial states, so that
all other plain versions take it as it is.
"""

from dataclasses import replace
from typing import Any

from numpy.typing import NDArray
from plain_forward import embedded, read, run

from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.layers import Node
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.model.recurrent import Lstm

# By node and cell, a hidden and a cell state.
States = dict[tuple[int, int], tuple[Floats, Floats]]


def as_each_begins(model: Model, sequences: list[NDArray[Any]]) -> list[Model]:
    """The model of each sequence, whose initial states are those in which it begins.

    A sequence without steps gives what it would without them, and leaves them as they are.
    """
    assert model.stateful is not None
    models: list[Model] = []
    after: list[States] = []
    for number, sequence in enumerate(sequences):
        before = number - model.stateful
        states = {} if before < 0 else after[before]
        begun = beginning_in(model, states if len(sequence) else {})
        models.append(begun)
        after.append(last_states(model, begun, sequence) if len(sequence) else states)
    return models


def last_states(model: Model, begun: Model, sequence: NDArray[Any]) -> States:
    """The states of a model's stateful cells behind the last step that they read of a sequence."""
    computed = run(begun, embedded(begun, sequence))
    found: States = {}
    for place, node in enumerate(model.nodes):
        if isinstance(node.layer, Lstm) and node.layer.stateful:
            for k, cell in enumerate(begun.nodes[place].layer.cells):
                *_, last = read(node.layer, cell, computed[node.sources[0]])
                found[place, k] = (last.h, last.c)
    return found


def beginning_in(model: Model, states: States) -> Model:
    """The model with those initial states, where there are any for a cell, and stateless."""
    nodes = []
    for place, node in enumerate(model.nodes):
        layer = node.layer
        if isinstance(layer, Lstm):
            cells = [
                replace(cell, initial_hidden=states[place, k][0], initial_cell=states[place, k][1])
                if (place, k) in states
                else cell
                for k, cell in enumerate(layer.cells)
            ]
            layer = replace(layer, cells=tuple(cells))
        nodes.append(Node(layer, node.sources))
    return replace(model, nodes=tuple(nodes), stateful=None)
