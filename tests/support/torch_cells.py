"""Recurrent layers of every kind in torch, step by step."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch_passing import Passing

from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.recurrent import Gru, GruCell, Lstm, LstmCell, Recurrent, SimpleRnn

States = tuple[Tensor, ...]


def recurrent(layer: Recurrent, x: Tensor, given: Tensor | None, passing: Passing) -> Tensor:
    """What it gives of (n, steps, inputs), begun in states of (n, all of them) where given."""
    hidden, others = [], []
    for cell, begun in zip(layer.cells, _states(layer, x, given), strict=True):
        kinds = 2 if isinstance(layer, Lstm) and layer.gives_cell else 1
        steps = _read(layer, cell, x.flip(1) if cell.backward else x, begun, passing)
        if layer.returns == "last":
            own = (steps[-1] if steps else begun)[:kinds]
        else:
            own = tuple(
                torch.stack([states[kind] for states in steps], 1)
                if steps
                else x.new_zeros(len(x), 0, begun[kind].shape[1])
                for kind in range(kinds)
            )
            own = tuple(part.flip(1) for part in own) if cell.backward else own
        hidden.append(own[0])
        others += own[1:]
    merged = hidden[0] if len(hidden) == 1 else passing.merged(layer.merge, hidden)
    return torch.cat([merged, *others], -1)


def _states(layer: Recurrent, x: Tensor, given: Tensor | None) -> list[States]:
    """The states in which each cell begins."""
    found, start = [], 0
    for cell in layer.cells:
        own = [(cell.initial_hidden, cell.output_size)]
        if isinstance(cell, LstmCell):
            own.append((cell.initial_cell, cell.hidden_size))
        states = []
        for array, size in own:
            if given is not None:
                states.append(given[:, start : start + size])
                start += size
            else:
                states.append(_initial(array, size, x))
        found.append(tuple(states))
    return found


def _initial(state: Floats | None, size: int, x: Tensor) -> Tensor:
    found = x.new_zeros(size) if state is None else torch.from_numpy(state)
    return found.expand(len(x), -1)


def _read(layer: Recurrent, cell: Any, x: Tensor, states: States, passing: Passing) -> list[States]:
    """The states after every step, in the order in which they are read."""
    found = []
    for step in x.unbind(1):
        match layer:
            case Lstm():
                states = _lstm(layer, cell, step, states, passing)
            case Gru():
                states = (_gru(layer, cell, step, states[0], passing),)
            case SimpleRnn():
                maps = (cell.input, cell.recurrent, cell.bias)
                z = _map(step, states[0], *map(torch.from_numpy, maps))
                states = (passing.activated(layer.activation, z),)
        found.append(states)
    return found


def _map(x: Tensor, h: Tensor, of_input: Tensor, recurrent: Tensor, bias: Tensor) -> Tensor:
    return functional.linear(x, of_input) + functional.linear(h, recurrent, bias)


def _lstm(layer: Lstm, cell: LstmCell, x: Tensor, states: States, passing: Passing) -> States:
    h, c = states
    maps = (torch.from_numpy(a) for a in (cell.input, cell.recurrent, cell.bias))
    z_i, z_f, z_g, z_o = (_map(x, h, *each) for each in zip(*maps, strict=True))
    i, f, o = (passing.activated(layer.gate_activation, z) for z in (z_i, z_f, z_o))
    g = passing.activated(layer.activation, z_g)
    c = passing.product(f, c) + passing.product(i, g)
    h = passing.product(o, passing.activated(layer.activation, c))
    if cell.projection is not None:
        h = functional.linear(h, torch.from_numpy(cell.projection))
    return h, c


def _gru(layer: Gru, cell: GruCell, x: Tensor, h: Tensor, passing: Passing) -> Tensor:
    maps = [torch.from_numpy(a) for a in (cell.input, cell.recurrent, cell.bias)]
    z_r, z_z = (_map(x, h, *(each[gate] for each in maps)) for gate in (0, 1))
    r, z = (passing.activated(layer.gate_activation, own) for own in (z_r, z_z))
    rest = passing.unchanged(z_z, 1.0 - z)  # what it gets is the gate's
    of_input, recurrent, bias = (each[2] for each in maps)
    if cell.reset_after:
        inner = None if cell.recurrent_bias is None else torch.from_numpy(cell.recurrent_bias)
        of_states = passing.product(r, functional.linear(h, recurrent, inner))
    else:
        of_states = functional.linear(passing.product(r, h), recurrent)
    n = passing.activated(layer.activation, functional.linear(x, of_input, bias) + of_states)
    return passing.product(z, h) + passing.product(rest, n)
