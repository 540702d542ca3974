"""Recurrent layers, one sequence and one step at a time.

A cell's states are a tuple of vectors: of an LSTM hidden and cell state, else the hidden state. A
layer begins in those that it is given, else in the cells' own, and these are zeros where there are
none.
"""

from typing import NamedTuple

import numpy as np
from plain_activations import activate
from plain_joins import join

from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.recurrent import (
    Gru,
    GruCell,
    Lstm,
    LstmCell,
    Recurrent,
    RecurrentCell,
    RnnCell,
    SimpleRnn,
)

States = tuple[Floats, ...]


class LstmStep(NamedTuple):
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

    @property
    def states(self) -> States:
        return self.h, self.c


class GruStep(NamedTuple):
    """What a GRU cell makes of one step; u is U h + b', which r multiplies where it comes after."""

    x: Floats
    h_before: Floats
    r: Floats
    z: Floats
    n: Floats
    u: Floats | None
    h: Floats

    @property
    def states(self) -> States:
        return (self.h,)


class RnnStep(NamedTuple):
    """What a cell without gates makes of one step."""

    x: Floats
    h_before: Floats
    h: Floats

    @property
    def states(self) -> States:
        return (self.h,)


Step = LstmStep | GruStep | RnnStep


def read(
    layer: Recurrent, cell: RecurrentCell, values: Floats, states: States | None = None
) -> list[Step]:
    """The steps of a sequence, in the order in which the cell reads them."""
    at = initial_states(cell) if states is None else states
    steps: list[Step] = []
    for x in values[::-1] if cell.backward else values:
        match layer, cell:
            case Lstm(), LstmCell():
                step = _lstm_step(layer, cell, x, *at)
            case Gru(), GruCell():
                step = _gru_step(layer, cell, x, *at)
            case SimpleRnn(), RnnCell():
                z = cell.input @ x + cell.recurrent @ at[0] + cell.bias
                step = RnnStep(x, at[0], activate(layer.activation, z))
        steps.append(step)
        at = step.states
    return steps


def _lstm_step(layer: Lstm, cell: LstmCell, x: Floats, h: Floats, c: Floats) -> LstmStep:
    z_i, z_f, z_g, z_o = (
        cell.input[gate] @ x + cell.recurrent[gate] @ h + cell.bias[gate] for gate in range(4)
    )
    i, f, o = (activate(layer.gate_activation, z) for z in (z_i, z_f, z_o))
    g = activate(layer.activation, z_g)
    c_next = f * c + i * g
    activated = activate(layer.activation, c_next)
    m = o * activated
    h_next = m if cell.projection is None else cell.projection @ m
    return LstmStep(x, h, c, i, f, g, o, c_next, activated, m, h_next)


def _gru_step(layer: Gru, cell: GruCell, x: Floats, h: Floats) -> GruStep:
    r, z = (
        activate(
            layer.gate_activation, cell.input[gate] @ x + cell.recurrent[gate] @ h + cell.bias[gate]
        )
        for gate in (0, 1)
    )
    u = None
    if cell.reset_after:
        u = cell.recurrent[2] @ h + inner_bias(cell)
        of_states = r * u
    else:
        of_states = cell.recurrent[2] @ (r * h)
    n = activate(layer.activation, cell.input[2] @ x + cell.bias[2] + of_states)
    return GruStep(x, h, r, z, n, u, z * h + (1.0 - z) * n)


def inner_bias(cell: GruCell) -> Floats:
    """The bias b' that the reset gate multiplies too."""
    return np.zeros(cell.hidden_size) if cell.recurrent_bias is None else cell.recurrent_bias


def initial_states(cell: RecurrentCell) -> States:
    """The states that a cell itself begins in."""
    h = np.zeros(cell.output_size) if cell.initial_hidden is None else cell.initial_hidden
    if not isinstance(cell, LstmCell):
        return (h,)
    return h, np.zeros(cell.hidden_size) if cell.initial_cell is None else cell.initial_cell


def states_of_cells(layer: Recurrent, given: Floats | None) -> list[States]:
    """The states in which each cell begins: their own, or cut from a vector with those of all."""
    if given is None:
        return [initial_states(cell) for cell in layer.cells]
    found, start = [], 0
    for cell in layer.cells:
        sizes = [cell.output_size]
        if isinstance(cell, LstmCell):
            sizes.append(cell.hidden_size)
        states = []
        for size in sizes:
            states.append(given[start : start + size])
            start += size
        found.append(tuple(states))
    assert start == len(given)
    return found


def outputs_of_cell(
    layer: Recurrent, cell: RecurrentCell, values: Floats, begun: States
) -> list[Floats]:
    """The hidden states that a cell gives, and where the layer gives them too its cell states.

    Those after the last step it reads, or of all steps in the order of the input.
    """
    kinds = 2 if isinstance(layer, Lstm) and layer.gives_cell else 1
    states = [step.states for step in read(layer, cell, values, begun)]
    if layer.returns == "last":
        return list((states[-1] if states else begun)[:kinds])
    in_order = states[::-1] if cell.backward else states
    return [
        np.array([at_step[kind] for at_step in in_order]).reshape(len(values), len(begun[kind]))
        for kind in range(kinds)
    ]


def recurrent_outputs(layer: Recurrent, values: Floats, given: Floats | None) -> Floats:
    """What the layer gives: the merged hidden states, and cell states beside them."""
    of_cells = [
        outputs_of_cell(layer, cell, values, begun)
        for cell, begun in zip(layer.cells, states_of_cells(layer, given), strict=True)
    ]
    hidden = join(layer.merge, [outputs[0] for outputs in of_cells])
    return join("concat", [hidden, *(cell for outputs in of_cells for cell in outputs[1:])])
