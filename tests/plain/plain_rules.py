"""The rules that relevance is passed down by, whatever the layer.

Every linear map of a model goes through the one formula in `linear_relevance`, every product of a
gate and a signal through `product_relevance`.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from plain_joins import largest

from lstm_lrp_cli.model import Floats

GateRule = Literal["lrp-all", "lrp-half", "lrp-prop", "lrp-abs"]


@dataclass
class Account:
    """Relevance that does not reach the inputs, added up as it is met."""

    initial_state: float = 0.0
    biases: float = 0.0
    stabilizers: float = 0.0
    padding: float = 0.0
    stabilizers_size: float = 0.0


class Rule(NamedTuple):
    """The stabilizer eps, the bias factor delta, and what a gate gets of its products."""

    eps: float
    delta: float
    gates: GateRule = "lrp-all"


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

    What delta leaves of the bias and the stabilizer is absorbed by them; all of it is where there
    are no lower units. Where z_j and eps are 0, all of R_j is the stabilizer's part.
    """
    w, a, r = weights.tolist(), lower.tolist(), relevance.tolist()
    b = [0.0] * len(r) if bias is None else bias.tolist()
    n = len(a)
    eps, delta = rule.eps, rule.delta if n else 0.0
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


def sum_relevance(
    parts: list[Floats], weights: list[float], relevance: Floats, rule: Rule, account: Account
) -> list[Floats]:
    """Split a weighted sum of vectors by the epsilon rule; the units of all are below it."""
    d = len(relevance)
    rows = np.hstack([weight * np.eye(d) for weight in weights])
    passed = linear_relevance(rows, None, np.concatenate(parts), relevance, rule, account)
    return [passed[k * d : (k + 1) * d] for k in range(len(parts))]


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


def join_relevance(
    kind: str, parts: list[Floats], relevance: Floats, rule: Rule, account: Account
) -> list[Floats]:
    """Split the relevance of one joined vector among its parts."""
    k = len(parts)
    match kind:
        case _ if k == 1:
            return [relevance]
        case "concat":
            ends = np.cumsum([len(part) for part in parts])
            return [relevance[end - len(p) : end] for p, end in zip(parts, ends, strict=True)]
        case "gate":
            gate, signal = parts
            every = np.array([gate[j % len(gate)] for j in range(len(signal))])
            of_every, of_signal = product_relevance(every, signal, relevance, rule, account)
            of_gate = np.zeros(len(gate))
            for j in range(len(signal)):
                of_gate[j % len(gate)] += of_every[j]
            return [of_gate, of_signal]
        case "product":
            return [relevance / k for _ in parts]
        case "max":
            winner = largest(parts)
            return [np.where(winner == number, relevance, 0.0) for number in range(k)]
    weights = {"sum": [1.0] * k, "mean": [1.0 / k] * k, "difference": [1.0, -1.0]}[kind]
    return sum_relevance(parts, weights, relevance, rule, account)
