"""LRP of the layers that are no graph and read nothing step by step."""

import numpy as np
from plain_forward import counted, fits, groups_of, heads, norms, seen_by, weights_of
from plain_joins import largest
from plain_rules import (
    Account,
    Rule,
    join_relevance,
    linear_relevance,
    product_relevance,
    sum_relevance,
)
from plain_windows import places

from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.layers import (
    Activation,
    Attention,
    Convolution,
    Crop,
    Dense,
    Flatten,
    Layer,
    LeakyRelu,
    Merge,
    Normalize,
    Pad,
    Pool,
    Repeat,
    Reverse,
    Scale,
    Select,
    StepSoftmax,
    Transpose,
    Unflatten,
    UnitNorm,
    UnitSum,
    Upsample,
    WindowPool,
)


def merge_relevance(
    layer: Merge, sources: list[Floats], relevance: Floats, rule: Rule, account: Account
) -> list[Floats]:
    down = [np.zeros(source.shape) for source in sources]
    for at in np.ndindex(*relevance.shape[:-1]):  # each step, or once
        parts = [source[at] for source in sources]
        shares = join_relevance(layer.kind, parts, relevance[at], rule, account)
        for k in range(len(sources)):
            down[k][at] = shares[k]
    return down


def layer_relevance(
    layer: Layer, values: Floats, relevance: Floats, rule: Rule, account: Account
) -> Floats:
    """Pass the relevance of a layer's outputs to the one value that it was fed with."""
    match layer:
        case Activation() | LeakyRelu() | StepSoftmax():
            return relevance
        case Dense(weights, bias):
            down = np.zeros(values.shape)
            for at in np.ndindex(*values.shape[:-1]):  # each step, or once
                down[at] = linear_relevance(weights, bias, values[at], relevance[at], rule, account)
            return down
        case Scale(factors, offsets):
            every = np.broadcast_to(factors, values.shape)
            return _unit_by_unit(every, offsets, values, relevance, rule, account)
        case UnitNorm():  # the norm is taken for a constant
            every = np.broadcast_to(1.0 / norms(values), values.shape)
            nothing = np.zeros(values.shape[-1])
            return _unit_by_unit(every, nothing, values, relevance, rule, account)
        case UnitSum():
            ones = Dense(np.ones((1, values.shape[-1])), None)
            return layer_relevance(ones, values, relevance, rule, account)
        case Normalize():
            return _normalize_relevance(layer, values, relevance, rule, account)
        case Pool():
            return _pool_relevance(layer, values, relevance, rule, account)
        case Convolution():
            return _convolution_relevance(layer, values, relevance, rule, account)
        case WindowPool():
            return _window_pool_relevance(layer, values, relevance, rule, account)
    return _rearranged_relevance(layer, values, relevance, account)


def _unit_by_unit(
    factors: Floats,
    offsets: Floats,
    values: Floats,
    relevance: Floats,
    rule: Rule,
    account: Account,
) -> Floats:
    """Each output has one unit below it, so that it is a linear map of its own."""
    down = np.zeros(values.shape)
    for at in np.ndindex(*values.shape):
        unit = at[-1]
        down[at] = linear_relevance(
            factors[at].reshape(1, 1),
            offsets[unit : unit + 1],
            values[at].reshape(1),
            relevance[at].reshape(1),
            rule,
            account,
        )[0]
    return down


def _rearranged_relevance(
    layer: Layer, values: Floats, relevance: Floats, account: Account
) -> Floats:
    """Where numbers are copied, left out, or zeros are added: what their places get."""
    down = np.zeros(values.shape)
    match layer:
        case Upsample(times):
            for t in range(len(relevance)):
                down[t // times] += relevance[t]
        case Pad(before, _):
            down[:] = relevance[before : before + len(values)]
            for t in range(len(relevance)):
                if not before <= t < before + len(values):
                    account.padding += float(relevance[t].sum())
        case Crop(before, _):
            down[before : before + len(relevance)] = relevance
        case Reverse():
            down[:] = relevance[::-1]
        case Flatten():
            down[:] = relevance.reshape(values.shape)
        case Unflatten():
            down[:] = relevance.reshape(-1)
        case Repeat():
            for of_copy in relevance:
                down += of_copy
        case Transpose():
            down[:] = relevance.T
        case Select(start, stop):
            down[..., start:stop] = relevance
        case _:
            raise AssertionError(layer)
    return down


def _pool_relevance(
    layer: Pool, values: Floats, relevance: Floats, rule: Rule, account: Account
) -> Floats:
    steps = len(values)
    down = np.zeros(values.shape)
    if steps == 0:
        account.initial_state += float(relevance.sum())
    elif layer.kind in ("first", "last"):
        down[0 if layer.kind == "first" else -1] = relevance
    elif layer.kind == "max":
        _give_to_largest(values, range(steps), relevance, down)
    else:
        weight = 1.0 / steps if layer.kind == "mean" else 1.0
        down[:] = sum_relevance(list(values), [weight] * steps, relevance, rule, account)
    return down


def _window_pool_relevance(
    layer: WindowPool, values: Floats, relevance: Floats, rule: Rule, account: Account
) -> Floats:
    down = np.zeros(values.shape)
    for t, real in enumerate(places(layer.window, len(values))):
        at = [step for _, step in real]
        if not at:
            account.initial_state += float(relevance[t].sum())
        elif layer.kind == "max":
            _give_to_largest(values, at, relevance[t], down)
        else:
            parts, weights = [values[step] for step in at], [1.0 / counted(layer, real)] * len(at)
            shares = sum_relevance(parts, weights, relevance[t], rule, account)
            for step, share in zip(at, shares, strict=True):
                down[step] += share
    return down


def _give_to_largest(
    values: Floats, at: range | list[int], relevance: Floats, down: Floats
) -> None:
    """Of some steps, unit by unit the first largest gets all."""
    winner = largest([values[step] for step in at])
    for unit in range(len(relevance)):
        down[at[winner[unit]], unit] += relevance[unit]


def _convolution_relevance(
    layer: Convolution, values: Floats, relevance: Floats, rule: Rule, account: Account
) -> Floats:
    """Each group of each output step is a linear map of the steps in its window."""
    down = np.zeros(values.shape)
    inputs, outputs = layer.weights.shape[1], len(layer.weights) // layer.groups
    for t, real in enumerate(places(layer.window, len(values))):
        for group in range(layer.groups):
            of = slice(group * outputs, (group + 1) * outputs)
            fed = slice(group * inputs, (group + 1) * inputs)
            weights = [layer.weights[of, :, k] for k, _ in real]
            lower = [values[step, fed] for _, step in real]
            passed = linear_relevance(
                np.hstack([np.zeros((outputs, 0)), *weights]),
                None if layer.bias is None else layer.bias[of],
                np.concatenate([np.zeros(0), *lower]),
                relevance[t, of],
                rule,
                account,
            )
            for number, (_, step) in enumerate(real):
                down[step, fed] += passed[number * inputs : (number + 1) * inputs]
    return down


def _normalize_relevance(
    layer: Normalize, values: Floats, relevance: Floats, rule: Rule, account: Account
) -> Floats:
    """The deviation is taken for a constant, which makes it a linear map with a bias.

    y_j = f_j (x_j - mean) / deviation + o_j, and the mean is 1 / N of each of N units.
    """
    down = np.zeros(values.shape)
    for group in groups_of(layer, values):
        n = len(group.places)
        factors = np.array([layer.factors[at[-1]] for at in group.places])
        offsets = np.array([layer.offsets[at[-1]] for at in group.places])
        weights = factors[:, np.newaxis] * (np.eye(n) - 1.0 / n) / group.deviation
        lower = np.array([values[at] for at in group.places])
        above = np.array([relevance[at] for at in group.places])
        passed = linear_relevance(weights, offsets, lower, above, rule, account)
        for at, amount in zip(group.places, passed, strict=True):
            down[at] = amount
    return down


def attention_relevance(
    layer: Attention, sources: list[Floats], relevance: Floats, rule: Rule, account: Account
) -> list[Floats]:
    """The relevance of queries, values and keys."""
    queries, values, keys = sources
    down = [np.zeros(source.shape) for source in sources]
    for at in np.ndindex(*queries.shape[:-1]):  # each step, or once
        seen = seen_by(layer, at[0] if at else None, len(values))
        if not seen:
            account.initial_state += float(relevance[at].sum())
            continue
        for of_query, of_value in zip(
            heads(layer, queries.shape[-1]), heads(layer, values.shape[1]), strict=True
        ):
            # out = sum_j a_j v_j, and a_j is the gate of each unit of v_j
            weights = weights_of(layer, of_query, queries[at], keys[seen])
            products = [weights[j] * values[j, of_value] for j in seen]
            of_products = sum_relevance(
                products, [1.0] * len(seen), relevance[at][of_value], rule, account
            )
            # what a_j gets passes the softmax unchanged
            terms = fits(layer, of_query, queries[at], keys[seen])
            for j in seen:
                gate = np.full(len(of_products[j]), weights[j])
                of_weight, of_signal = product_relevance(
                    gate, values[j, of_value], of_products[j], rule, account
                )
                down[1][j, of_value] += of_signal
                of_fit = np.array([of_weight.sum()])
                of_terms = linear_relevance(
                    np.ones((1, len(terms[j]))), None, terms[j], of_fit, rule, account
                )
                # of q k half to each; of tanh(q + k) by the epsilon rule
                of_pair = [of_terms / 2, of_terms / 2]
                if layer.kind == "additive":
                    pair = [queries[at][of_query], keys[j, of_query]]
                    of_pair = sum_relevance(pair, [1.0, 1.0], of_terms, rule, account)
                down[0][at][of_query] += of_pair[0]
                down[2][j, of_query] += of_pair[1]
    return down
