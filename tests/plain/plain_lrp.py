"""LRP of one sequence at a time, so plain that to read it is to check it.

This is what the engine is measured against. It shares nothing with the engine but the dataclasses
that say what a model is: no batches, no packing, no factored products; float64 throughout. The
rules themselves are in `plain_rules`.
"""

from typing import NamedTuple

import numpy as np
from plain_forward import Given, by_input, embedded, run, run_nodes, side_by_side, split
from plain_lrp_layers import attention_relevance, layer_relevance, merge_relevance
from plain_lrp_recurrent import recurrent_relevance
from plain_rules import Account, GateRule, Rule

from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.layers import MODEL_INPUT, Attention, Each, Layer, Merge, Node, Repeat
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.model.recurrent import Gru, Lstm, SimpleRnn


class Explanation(NamedTuple):
    """One score of one sequence, and where it went.

    Relevance is of shape (steps, features), of an input without steps (features,); of a model with
    several inputs, a tuple of these.
    """

    scores: Floats
    relevance: Floats | tuple[Floats, ...]
    tokens: float
    initial_state: float
    biases: float
    stabilizers: float
    stabilizers_size: float
    padding: float


def explain(
    model: Model,
    sequence: Given,
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
    pass_down(model.nodes, computed, given, rule, account)
    of_inputs = tuple(given[MODEL_INPUT - k] for k in range(len(by_input(sequence))))

    return Explanation(
        scores=scores if step is None else scores[step],
        relevance=of_inputs if isinstance(sequence, tuple) else of_inputs[0],
        tokens=float(sum(part.sum() for part in of_inputs)),
        initial_state=account.initial_state,
        biases=account.biases,
        stabilizers=account.stabilizers,
        stabilizers_size=account.stabilizers_size,
        padding=account.padding,
    )


def pass_down(
    nodes: tuple[Node, ...],
    computed: dict[int, Floats],
    given: dict[int, Floats],
    rule: Rule,
    account: Account,
) -> None:
    """Pass the relevance that is given to the nodes of a graph to all below, inputs included."""
    for place in reversed(range(len(nodes))):
        layer, sources = nodes[place].layer, nodes[place].sources
        fed = [computed[source] for source in sources]
        down = _backward(layer, fed, given[place], rule, account)
        for source, amount in zip(sources, down, strict=True):
            given[source] = given[source] + amount


def _backward(
    layer: Layer, sources: list[Floats], relevance: Floats, rule: Rule, account: Account
) -> list[Floats]:
    """Pass the relevance of a layer's outputs to each of the values that it was fed with."""
    match layer:
        case Merge():
            return merge_relevance(layer, sources, relevance, rule, account)
        case Attention():
            return attention_relevance(layer, sources, relevance, rule, account)
        case Lstm() | Gru() | SimpleRnn():
            return recurrent_relevance(layer, sources, relevance, rule, account)
        case Each():
            return [_each_relevance(layer, sources[0], relevance, rule, account)]
        case Repeat(None):
            down = layer_relevance(layer, sources[0], relevance, rule, account)
            return [down, np.zeros(sources[1].shape)]
    return [layer_relevance(layer, sources[0], relevance, rule, account)]


def _each_relevance(
    layer: Each, values: Floats, relevance: Floats, rule: Rule, account: Account
) -> Floats:
    """The graph's relevance, of each of the sequences by itself."""
    down = []
    start = 0
    for group in split(layer, values):
        computed = run_nodes(layer.nodes, {MODEL_INPUT: group})
        made = computed[layer.output]
        rows = len(np.atleast_2d(made))
        given = {place: np.zeros(array.shape) for place, array in computed.items()}
        given[layer.output] = relevance[start : start + rows].reshape(made.shape)
        start += rows
        pass_down(layer.nodes, computed, given, rule, account)
        down.append(given[MODEL_INPUT])
    return np.concatenate([np.zeros((0, values.shape[1])), *down])
