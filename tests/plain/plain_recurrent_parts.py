"""Contextual decomposition of recurrent layers, one step at a time."""

import numpy as np
from plain_activations import activate
from plain_parts import Parts, Thirds, activated, activated_with_bias, joined, stacked
from plain_recurrent import inner_bias, states_of_cells

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

# Of a cell: the hidden state, and of an LSTM the cell state.
StateParts = tuple[Parts, ...]


def recurrent_parts(layer: Recurrent, sources: list[Parts], relevant_steps: list[bool]) -> Parts:
    """The parts of what the layer gives: merged hidden states, and cell states beside them."""
    outputs = [
        _cell_parts(layer, cell, sources[0], begun, relevant_steps)
        for cell, begun in zip(layer.cells, _begun(layer, sources), strict=True)
    ]
    hidden = joined(layer.merge, [of_cell[0] for of_cell in outputs])
    return joined("concat", [hidden, *(part for of_cell in outputs for part in of_cell[1:])])


def _begun(layer: Recurrent, sources: list[Parts]) -> list[StateParts]:
    """What each cell begins in: the parts of what a node gives, else all of it is irrelevant."""
    if len(sources) == 1:
        return [
            tuple(Parts(np.zeros(state.shape), state) for state in states)
            for states in states_of_cells(layer, None)
        ]
    relevant, irrelevant = (states_of_cells(layer, part) for part in sources[1])
    return [tuple(map(Parts, *both)) for both in zip(relevant, irrelevant, strict=True)]


def _cell_parts(
    layer: Recurrent,
    cell: RecurrentCell,
    inputs: Parts,
    begun: StateParts,
    relevant_steps: list[bool],
) -> StateParts:
    """The parts of a cell's last states, or of those of all steps in the order of the input."""
    kinds = 2 if isinstance(layer, Lstm) and layer.gives_cell else 1
    order = range(len(relevant_steps))
    at, found = begun, {}
    for t in reversed(order) if cell.backward else order:
        x = Parts(inputs.relevant[t], inputs.irrelevant[t])
        match layer, cell:
            case Lstm(), LstmCell():
                at = _lstm_parts(layer, cell, x, *at, relevant_step=relevant_steps[t])
            case Gru(), GruCell():
                at = _gru_parts(layer, cell, x, *at, relevant_step=relevant_steps[t])
            case SimpleRnn(), RnnCell():
                at = _rnn_parts(layer, cell, x, *at, relevant_step=relevant_steps[t])
        found[t] = at
    if layer.returns == "last":
        return at[:kinds]
    return tuple(
        stacked([found[t][kind] for t in order], (len(order), len(begun[kind].whole)))
        for kind in range(kinds)
    )


def _lstm_parts(
    layer: Lstm, cell: LstmCell, x: Parts, h: Parts, c: Parts, *, relevant_step: bool
) -> StateParts:
    z_i, z_f, z_g, z_o = (
        Parts(
            cell.input[gate] @ x.relevant + cell.recurrent[gate] @ h.relevant,
            cell.input[gate] @ x.irrelevant + cell.recurrent[gate] @ h.irrelevant,
        )
        for gate in range(4)
    )
    b_i, b_f, b_g, b_o = cell.bias
    i = activated_with_bias(layer.gate_activation, z_i, b_i)
    f = activated_with_bias(layer.gate_activation, z_f, b_f)
    g = activated_with_bias(layer.activation, z_g, b_g)
    o = activate(layer.gate_activation, z_o.whole + b_o)  # not parted

    # i g: what has a relevant factor and no irrelevant one is relevant.
    relevant = i.relevant * g.relevant + i.relevant * g.bias + i.bias * g.relevant
    irrelevant = (
        i.irrelevant * (g.relevant + g.irrelevant + g.bias) + (i.relevant + i.bias) * g.irrelevant
    )
    if relevant_step:
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
    of_c = activated(lambda v: activate(layer.activation, v), c)
    h = Parts(o * of_c.relevant, o * of_c.irrelevant)
    if cell.projection is not None:
        h = Parts(cell.projection @ h.relevant, cell.projection @ h.irrelevant)
    return h, c


def _gru_parts(layer: Gru, cell: GruCell, x: Parts, h: Parts, *, relevant_step: bool) -> StateParts:
    r, z = (  # neither is parted
        activate(
            layer.gate_activation,
            cell.input[gate] @ x.whole + cell.recurrent[gate] @ h.whole + cell.bias[gate],
        )
        for gate in (0, 1)
    )
    of_input, recurrent, bias = cell.input[2], cell.recurrent[2], cell.bias[2]
    if cell.reset_after:
        argument = Parts(*(of_input @ x[k] + r * (recurrent @ h[k]) for k in (0, 1)))
        bias = bias + r * inner_bias(cell)
    else:
        argument = Parts(*(of_input @ x[k] + recurrent @ (r * h[k]) for k in (0, 1)))
    n = _with_bias(activated_with_bias(layer.activation, argument, bias), relevant_step)
    return (Parts(*(z * h[k] + (1.0 - z) * n[k] for k in (0, 1))),)


def _rnn_parts(
    layer: SimpleRnn, cell: RnnCell, x: Parts, h: Parts, *, relevant_step: bool
) -> StateParts:
    argument = Parts(*(cell.input @ x[k] + cell.recurrent @ h[k] for k in (0, 1)))
    thirds = activated_with_bias(layer.activation, argument, cell.bias)
    return (_with_bias(thirds, relevant_step),)


def _with_bias(thirds: Thirds, relevant_step: bool) -> Parts:
    """What the bias gives alone is relevant at relevant steps."""
    relevant, irrelevant, of_bias = thirds
    if relevant_step:
        return Parts(relevant + of_bias, irrelevant)
    return Parts(relevant, irrelevant + of_bias)
