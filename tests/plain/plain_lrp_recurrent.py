"""LRP of recurrent layers, from the last step that a cell reads to the first."""

from typing import NamedTuple

import numpy as np
from plain_recurrent import (
    GruStep,
    LstmStep,
    RnnStep,
    States,
    inner_bias,
    outputs_of_cell,
    read,
    states_of_cells,
)
from plain_rules import (
    Account,
    Rule,
    join_relevance,
    linear_relevance,
    product_relevance,
    sum_relevance,
)

from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.recurrent import GruCell, LstmCell, Recurrent, RecurrentCell


class Below(NamedTuple):
    """What a step passes on: to what it read, and to the states that it came with."""

    x: Floats
    states: States


def recurrent_relevance(
    layer: Recurrent, sources: list[Floats], relevance: Floats, rule: Rule, account: Account
) -> list[Floats]:
    """The relevance of what it reads, and of the states that it begins in where a node gives them.

    What other initial states get is theirs.
    """
    values = sources[0]
    begun = states_of_cells(layer, sources[1] if len(sources) == 2 else None)
    outputs = [
        outputs_of_cell(layer, cell, values, states)
        for cell, states in zip(layer.cells, begun, strict=True)
    ]
    of_outputs = _of_each_output(layer, outputs, relevance, rule, account)
    of_values, of_states = np.zeros(values.shape), []
    for cell, states, given in zip(layer.cells, begun, of_outputs, strict=True):
        of_read, of_begun = _cell_relevance(layer, cell, values, states, given, rule, account)
        of_values = of_values + of_read
        of_states += of_begun
    if len(sources) == 2:
        return [of_values, np.concatenate(of_states)]
    account.initial_state += float(sum(part.sum() for part in of_states))
    return [of_values]


def _of_each_output(
    layer: Recurrent, outputs: list[list[Floats]], relevance: Floats, rule: Rule, account: Account
) -> list[list[Floats]]:
    """Split what stands side by side, the merged hidden states and each cell's cell states."""
    found = [[np.zeros(part.shape) for part in of_cell] for of_cell in outputs]
    for at in np.ndindex(*relevance.shape[:-1]):  # each step, or once
        hidden = [of_cell[0][at] for of_cell in outputs]
        given, start = relevance[at], 0
        for of_cell, into in zip(reversed(outputs), reversed(found), strict=True):
            if len(of_cell) == 2:  # from the end, the cell states of the last cell
                start -= of_cell[1].shape[-1]
                into[1][at] = given[start : start + of_cell[1].shape[-1] or None]
        of_merged = given[: start or None]
        of_hidden = join_relevance(layer.merge, hidden, of_merged, rule, account)
        for into, part in zip(found, of_hidden, strict=True):
            into[0][at] = part
    return found


def _cell_relevance(
    layer: Recurrent,
    cell: RecurrentCell,
    values: Floats,
    begun: States,
    given: list[Floats],
    rule: Rule,
    account: Account,
) -> tuple[Floats, States]:
    """Pass the relevance of one cell's states to its inputs, in the order of the input."""
    steps = read(layer, cell, values, begun)
    # The relevance that the layer above gives to the states at each step, and to the last ones.
    at_steps = [[np.zeros(len(state)) for state in begun] for _ in steps]
    below = Below(np.zeros(0), tuple(np.zeros(len(state)) for state in begun))
    for kind, part in enumerate(given):
        if layer.returns == "last":
            below.states[kind][:] = part
        else:
            for t, of_step in enumerate(part[::-1] if cell.backward else part):
                at_steps[t][kind] = of_step

    of_inputs = np.zeros(values.shape)
    for t in reversed(range(len(steps))):
        of_states = tuple(a + b for a, b in zip(below.states, at_steps[t], strict=True))
        match steps[t], cell:
            case LstmStep(), LstmCell():
                below = _below_lstm(cell, steps[t], of_states, rule, account)
            case GruStep(), GruCell():
                below = _below_gru(cell, steps[t], of_states[0], rule, account)
            case RnnStep(), _:
                # h = a(W x + U h_before + b), and a passes relevance unchanged
                below = _below_map(
                    cell.input, cell.recurrent, cell.bias, steps[t], of_states[0], rule, account
                )
        of_inputs[t] = below.x
    return (of_inputs[::-1] if cell.backward else of_inputs), below.states


def _below_map(
    of_input: Floats,
    recurrent: Floats,
    bias: Floats,
    step: LstmStep | GruStep | RnnStep,
    relevance: Floats,
    rule: Rule,
    account: Account,
) -> Below:
    """Pass relevance down W x + U h_before + b, fed by all units of both."""
    d = len(step.h_before)
    fed = np.concatenate([step.h_before, step.x])
    weights = np.hstack([recurrent, of_input])
    of_fed = linear_relevance(weights, bias, fed, relevance, rule, account)
    return Below(of_fed[d:], (of_fed[:d],))


def _below_lstm(
    cell: LstmCell, step: LstmStep, of_states: States, rule: Rule, account: Account
) -> Below:
    r_m, r_c = of_states
    if cell.projection is not None:  # h = P m
        r_m = linear_relevance(cell.projection, None, step.m, r_m, rule, account)
    # m = o * tanh(c), and tanh passes relevance unchanged.
    r_o, of_activated = product_relevance(step.o, step.activated, r_m, rule, account)
    r_c = r_c + of_activated
    # c = f c_before + i g
    terms = [step.f * step.c_before, step.i * step.g]
    of_kept, of_new = sum_relevance(terms, [1.0, 1.0], r_c, rule, account)
    r_f, r_c = product_relevance(step.f, step.c_before, of_kept, rule, account)
    r_i, r_g = product_relevance(step.i, step.g, of_new, rule, account)
    # i, f, g and o, each of z = U h_before + W x + b
    r_x, r_h = np.zeros(len(step.x)), np.zeros(len(step.h_before))
    for gate, r_z in enumerate([r_i, r_f, r_g, r_o]):
        weights = cell.input[gate], cell.recurrent[gate], cell.bias[gate]
        below = _below_map(*weights, step, r_z, rule, account)
        r_x, r_h = r_x + below.x, r_h + below.states[0]
    return Below(r_x, (r_h, r_c))


def _below_gru(cell: GruCell, step: GruStep, r_h: Floats, rule: Rule, account: Account) -> Below:
    d = cell.hidden_size
    # h = z h_before + (1 - z) n; what 1 - z gets is z's
    terms = [step.z * step.h_before, (1.0 - step.z) * step.n]
    of_kept, of_new = sum_relevance(terms, [1.0, 1.0], r_h, rule, account)
    of_z, r_before = product_relevance(step.z, step.h_before, of_kept, rule, account)
    of_rest, r_n = product_relevance(1.0 - step.z, step.n, of_new, rule, account)

    # n = tanh(W x + b + ...), and tanh passes relevance unchanged.
    weights, bias = cell.input[2], cell.bias[2]
    if step.u is not None:  # ... r u, of which each product feeds its own unit alone
        rows = np.hstack([np.eye(d), weights])
        fed = np.concatenate([step.r * step.u, step.x])
        of_fed = linear_relevance(rows, bias, fed, r_n, rule, account)
        r_r, r_u = product_relevance(step.r, step.u, of_fed[:d], rule, account)
        # u = U h_before + b'
        of_before = linear_relevance(
            cell.recurrent[2], inner_bias(cell), step.h_before, r_u, rule, account
        )
    else:  # ... U (r h_before)
        rows = np.hstack([cell.recurrent[2], weights])
        fed = np.concatenate([step.r * step.h_before, step.x])
        of_fed = linear_relevance(rows, bias, fed, r_n, rule, account)
        r_r, of_before = product_relevance(step.r, step.h_before, of_fed[:d], rule, account)
    r_x, r_before = of_fed[d:], r_before + of_before

    # r and z, each of W x + U h_before + b
    for gate, r_gate in enumerate([r_r, of_z + of_rest]):
        own = cell.input[gate], cell.recurrent[gate], cell.bias[gate]
        below = _below_map(*own, step, r_gate, rule, account)
        r_x, r_before = r_x + below.x, r_before + below.states[0]
    return Below(r_x, (r_before,))
