"""Stateful models one sequence at a time: what is carried to a sequence is another model for it.

A model that begins in some states is the same one with those as its layers' initial states, so that
all other plain versions take it as it is.
"""

from msgspec.structs import replace
from plain_forward import Given, by_input, embedded, run
from plain_recurrent import States, initial_states, read

from lstm_lrp_cli.model.layers import Node
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.model.recurrent import Gru, Lstm, LstmCell, RecurrentCell, SimpleRnn

# By node and cell.
Carried = dict[tuple[int, int], States]


def as_each_begins(model: Model, sequences: list[Given]) -> list[Model]:
    """The model of each sequence, whose initial states are those in which it begins.

    A sequence without steps (of its first input, where it has several) gives what it would without
    them, and leaves them as they are.
    """
    assert model.stateful is not None
    models: list[Model] = []
    after: list[Carried] = []
    for number, sequence in enumerate(sequences):
        before = number - model.stateful
        states = {} if before < 0 else after[before]
        has_steps = len(by_input(sequence)[0]) > 0
        begun = beginning_in(model, states if has_steps else {})
        models.append(begun)
        after.append(last_states(model, begun, sequence) if has_steps else states)
    return models


def last_states(model: Model, begun: Model, sequence: Given) -> Carried:
    """The states of a model's stateful cells behind the last step that they read of a sequence."""
    computed = run(begun, embedded(begun, sequence))
    found: Carried = {}
    for place, node in enumerate(model.nodes):
        layer = begun.nodes[place].layer
        if isinstance(node.layer, Lstm | Gru | SimpleRnn) and node.layer.stateful:
            for k, cell in enumerate(layer.cells):
                steps = read(layer, cell, computed[node.sources[0]])
                found[place, k] = steps[-1].states if steps else initial_states(cell)
    return found


def beginning_in(model: Model, states: Carried) -> Model:
    """The model with those initial states, where there are any for a cell, and stateless."""
    nodes = []
    for place, node in enumerate(model.nodes):
        layer = node.layer
        if isinstance(layer, Lstm | Gru | SimpleRnn):
            cells = [
                _beginning(cell, states[place, k]) if (place, k) in states else cell
                for k, cell in enumerate(layer.cells)
            ]
            layer = replace(layer, cells=tuple(cells))
        nodes.append(Node(layer, node.sources))
    return replace(model, nodes=tuple(nodes), stateful=None)


def _beginning(cell: RecurrentCell, states: States) -> RecurrentCell:
    if isinstance(cell, LstmCell):
        return replace(cell, initial_hidden=states[0], initial_cell=states[1])
    return replace(cell, initial_hidden=states[0])
