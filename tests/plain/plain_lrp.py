"""LRP of one sequence at a time, so plain that to read it is to check it.

This is what the engine is measured against. It shares nothing with the engine but the dataclasses
that say what a model is: no batches, no packing, no factored products; float64 throughout; every
linear map of a model goes through the one formula in `linear_relevance`, every product of a gate
and a signal through `product_relevance`.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from plain_forward import embedded, hidden_states, read, run, side_by_side

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

GateRule = Literal["lrp-all", "lrp-half", "lrp-prop", "lrp-abs"]


@dataclass
class Account:
    """Relevance that does not reach the inputs, added up as it is met."""

    initial_state: float = 0.0
    biases: float = 0.0
    stabilizers: float = 0.0
    stabilizers_size: float = 0.0


class Rule(NamedTuple):
    """The stabilizer eps, the bias factor delta, and what a gate gets of its products."""

    eps: float
    delta: float
    gates: GateRule = "lrp-all"


class Explanation(NamedTuple):
    """One score of one sequence, and where it went; relevance is of shape (steps, features)."""

    scores: Floats
    relevance: Floats
    tokens: float
    initial_state: float
    biases: float
    stabilizers: float
    stabilizers_size: float


def explain(
    model: Model,
    sequence: Floats,
    target: int,
    *,
    eps: float,
    bias_factor: float,
    gates: GateRule = "lrp-all",
    step: int | None = None,
) -> Explanation:
    """Explain one score of one sequence: token ids, or numbers of shape (steps, features).

    Of a model that gives scores at every step, the step is chosen, and the scores are its own.
    """
    rule, account = Rule(eps, bias_factor, gates), Account()
    computed = run(model, embedded(model, sequence))
    scores = side_by_side(model, computed)

    of_scores = np.zeros(scores.shape)
    at = target if step is None else (step, target)
    of_scores[at] = scores[at]
    given = {place: np.zeros(array.shape) for place, array in computed.items()}
    start = 0
    for output in model.outputs:
        width = computed[output].shape[-1]
        given[output] = given[output] + of_scores[..., start : start + width]
        start += width
    for place in reversed(range(len(model.nodes))):
        layer, sources = model.nodes[place].layer, model.nodes[place].sources
        fed = [computed[source] for source in sources]
        down = _backward(layer, fed, given[place], rule, account)
        for source, amount in zip(sources, down, strict=True):
            given[source] = given[source] + amount
    relevance = given[MODEL_INPUT]
    scores = scores if step is None else scores[step]

    return Explanation(
        scores,
        relevance,
        float(relevance.sum()),
        account.initial_state,
        account.biases,
        account.stabilizers,
        account.stabilizers_size,
    )


def linear_relevance(
    weights: Floats,
    bias: Floats | None,
    lower: Floats,
    relevance: Floats,
    rule: Rule,
    account: Account,
) -> Floats:
    """Pass relevance down a linear map by the epsilon rule.

    The map is z_j = sum_i w_ij a_i + b_j, and its N lower units a_i get

        R_i = sum_j (w_ij a_i + delta (b_j + eps s_j) / N) / (z_j + eps s_j) R_j

    What delta leaves of the bias and the stabilizer is absorbed by them. Where z_j and eps are 0,
    all of R_j is the stabilizer's part.
    """
    w, a, r = weights.tolist(), lower.tolist(), relevance.tolist()
    b = [0.0] * len(r) if bias is None else bias.tolist()
    eps, delta = rule.eps, rule.delta
    n = len(a)
    passed = [0.0] * n
    for j in range(len(r)):
        z = b[j]
        for i in range(n):
            z += w[j][i] * a[i]
        s = 1.0 if z >= 0 else -1.0
        if z == 0 and eps == 0:
            for i in range(n):
                passed[i] += delta * r[j] / n
            account.stabilizers += (1.0 - delta) * r[j]
            account.stabilizers_size += (1.0 - delta) * abs(r[j])
            continue
        for i in range(n):
            passed[i] += (w[j][i] * a[i] + delta * (b[j] + eps * s) / n) / (z + eps * s) * r[j]
        account.biases += (1.0 - delta) * b[j] / (z + eps * s) * r[j]
        absorbed = (1.0 - delta) * eps * s / (z + eps * s) * r[j]
        account.stabilizers += absorbed
        account.stabilizers_size += abs(absorbed)
    return np.array(passed)


def product_relevance(
    gate: Floats, signal: Floats, relevance: Floats, rule: Rule, account: Account
) -> tuple[Floats, Floats]:
    """Split the relevance of q_j a_j, unit by unit, between the gate q_j and the signal a_j.

    By lrp-prop they share as if they were added, by the epsilon rule.
    """
    of_gate, of_signal = np.zeros(len(relevance)), np.zeros(len(relevance))
    for j, (q, a, r) in enumerate(zip(gate, signal, relevance, strict=True)):
        match rule.gates:
            case "lrp-all":
                of_signal[j] = r
            case "lrp-half":
                of_gate[j], of_signal[j] = r / 2, r / 2
            case "lrp-prop":
                both, of_sum = np.array([q, a]), np.array([r])
                of_gate[j], of_signal[j] = linear_relevance(
                    np.ones((1, 2)), None, both, of_sum, rule, account
                )
            case "lrp-abs":
                size = abs(q) + abs(a)
                of_gate[j] = r * abs(q) / size if size else 0.0
                of_signal[j] = r * abs(a) / size if size else r
    return of_gate, of_signal


def _backward(
    layer: Layer, sources: list[Floats], relevance: Floats, rule: Rule, account: Account
) -> list[Floats]:
    """Pass the relevance of a layer's outputs to each of the values that it was fed with."""
    if isinstance(layer, Merge):
        if relevance.ndim == 1:
            return _join_relevance(layer.kind, sources, relevance, rule, account)
        down = [np.zeros(source.shape) for source in sources]
        for t in range(len(relevance)):
            at_step = [source[t] for source in sources]
            shares = _join_relevance(layer.kind, at_step, relevance[t], rule, account)
            for k in range(len(sources)):
                down[k][t] = shares[k]
        return down
    return [_backward_alone(layer, sources[0], relevance, rule, account)]


def _backward_alone(
    layer: Layer, values: Floats, relevance: Floats, rule: Rule, account: Account
) -> Floats:
    """The same for a layer of one source."""
    match layer:
        case Flatten():
            return relevance.reshape(values.shape)
        case Reverse():
            return relevance[::-1]
        case StepSoftmax():
            return relevance
        case Scale(factors, offsets):
            # Each output has one unit below it, so that it is a linear map of its own.
            down = np.zeros(values.shape)
            for at in np.ndindex(*values.shape):
                unit = at[-1]
                down[at] = linear_relevance(
                    factors[unit : unit + 1, np.newaxis],
                    offsets[unit : unit + 1],
                    values[at].reshape(1),
                    relevance[at].reshape(1),
                    rule,
                    account,
                )[0]
            return down
        case Lstm():
            return _lstm_relevance(layer, values, relevance, rule, account)
        case Pool():
            return _pool_relevance(layer, values, relevance, rule, account)
        case Dense(weights, bias):
            if values.ndim == 1:
                return linear_relevance(weights, bias, values, relevance, rule, account)
            down = np.zeros(values.shape)
            for t in range(len(values)):
                down[t] = linear_relevance(weights, bias, values[t], relevance[t], rule, account)
            return down
        case Activation():
            return relevance
    raise AssertionError(layer)


def _pool_relevance(
    layer: Pool, values: Floats, relevance: Floats, rule: Rule, account: Account
) -> Floats:
    steps, units = values.shape
    down = np.zeros(values.shape)
    if steps == 0:
        account.initial_state += float(relevance.sum())
    elif layer.kind in ("first", "last"):
        down[0 if layer.kind == "first" else -1] = relevance
    elif layer.kind == "max":
        for unit in range(units):
            column = values[:, unit].tolist()
            down[column.index(max(column)), unit] = relevance[unit]
    else:
        weight = 1.0 / steps if layer.kind == "mean" else 1.0
        weights = np.hstack([weight * np.eye(units)] * steps)
        flat = linear_relevance(weights, None, values.reshape(-1), relevance, rule, account)
        down = flat.reshape(steps, units)
    return down


def _lstm_relevance(
    layer: Lstm, values: Floats, relevance: Floats, rule: Rule, account: Account
) -> Floats:
    hidden = [hidden_states(layer, cell, values) for cell in layer.cells]
    of_hidden = [np.zeros(part.shape) for part in hidden]
    if layer.returns == "last":
        of_parts = _join_relevance(layer.merge, hidden, relevance, rule, account)
        for k in range(len(hidden)):
            of_hidden[k] = of_parts[k]
    else:
        for t in range(len(values)):
            at_step = [part[t] for part in hidden]
            of_parts = _join_relevance(layer.merge, at_step, relevance[t], rule, account)
            for k in range(len(hidden)):
                of_hidden[k][t] = of_parts[k]
    down = np.zeros(values.shape)
    for cell, part in zip(layer.cells, of_hidden, strict=True):
        down = down + _cell_relevance(layer, cell, values, part, rule, account)
    return down


def _join_relevance(
    kind: str, parts: list[Floats], relevance: Floats, rule: Rule, account: Account
) -> list[Floats]:
    """Split the relevance of one joined vector among its parts."""
    if len(parts) == 1:
        return [relevance]
    if kind == "concat":
        ends = np.cumsum([len(part) for part in parts])
        return [relevance[end - len(p) : end] for p, end in zip(parts, ends, strict=True)]
    if kind == "gate":
        gate, signal = parts
        every = np.array([gate[j % len(gate)] for j in range(len(signal))])
        of_every, of_signal = product_relevance(every, signal, relevance, rule, account)
        of_gate = np.zeros(len(gate))
        for j in range(len(signal)):
            of_gate[j % len(gate)] += of_every[j]
        return [of_gate, of_signal]
    if kind == "product":
        return [relevance / len(parts) for _ in parts]
    d, k = len(parts[0]), len(parts)
    weight = 1.0 / k if kind == "mean" else 1.0
    weights = np.hstack([weight * np.eye(d)] * k)
    all_parts = linear_relevance(weights, None, np.concatenate(parts), relevance, rule, account)
    return [all_parts[j * d : (j + 1) * d] for j in range(k)]


def _cell_relevance(
    layer: Lstm, cell: LstmCell, values: Floats, of_hidden: Floats, rule: Rule, account: Account
) -> Floats:
    """Pass the relevance of one cell's hidden states to its inputs, in the order of the input."""
    steps = read(layer, cell, values)
    d = cell.hidden_size
    both = np.hstack([np.eye(d), np.eye(d)])

    # The relevance of the hidden state at each step, and of the states after the last step.
    at_steps = np.zeros((len(steps), cell.output_size))
    r_h, r_c = np.zeros(cell.output_size), np.zeros(d)
    if layer.returns == "last":
        r_h = of_hidden
    else:
        at_steps = of_hidden[::-1] if cell.backward else of_hidden

    of_inputs = np.zeros(values.shape)
    for t in reversed(range(len(steps))):
        step = steps[t]
        r_m = r_h + at_steps[t]
        if cell.projection is not None:  # h = P m
            r_m = linear_relevance(cell.projection, None, step.m, r_m, rule, account)
        # m = o tanh(c), and tanh passes relevance unchanged.
        r_o, of_activated = product_relevance(step.o, step.activated, r_m, rule, account)
        r_c = r_c + of_activated
        # c = f c_before + i g
        terms = np.concatenate([step.f * step.c_before, step.i * step.g])
        of_terms = linear_relevance(both, None, terms, r_c, rule, account)
        r_f, r_c = product_relevance(step.f, step.c_before, of_terms[:d], rule, account)
        r_i, r_g = product_relevance(step.i, step.g, of_terms[d:], rule, account)
        # i, f, g and o, each of z = U h_before + W x + b
        fed = np.concatenate([step.h_before, step.x])
        of_fed = np.zeros(len(fed))
        for gate, r_z in enumerate([r_i, r_f, r_g, r_o]):
            feeding = np.hstack([cell.recurrent[gate], cell.input[gate]])
            of_fed += linear_relevance(feeding, cell.bias[gate], fed, r_z, rule, account)
        r_h, of_inputs[t] = of_fed[: cell.output_size], of_fed[cell.output_size :]
    account.initial_state += float(r_h.sum() + r_c.sum())
    return of_inputs[::-1] if cell.backward else of_inputs
