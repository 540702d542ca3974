"""Rules for gates: what of the relevance of m = q * a the signal a gets, and what the gate q.

The signal is what a gate lets through: the cell candidate's activation, the cell state, what comes
out of it, or what attention weighs. What a gate gets flows on through what the gate is made of.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from lstm_lrp_cli.engine.rules import GateRuleName, LrpRule
from lstm_lrp_cli.model.arrays import Floats


class Split(NamedTuple):
    """The relevance of products of gates and signals, split.

    Parameters
    ----------
    signal : ndarray, shape (n, units)
    gate : ndarray, shape (n, units), or None
        None where gates never get any.
    stabilizers : ndarray, shape (2, n), or None
        What stabilizers absorb of each row, and the same by size, in float64; None where the rule
        has none.
    """

    signal: Floats
    gate: Floats | None = None
    stabilizers: Floats | None = None


# Of gates, shape (n, units) or (n, 1), signals and relevance, shape (n, units).
GateRule = Callable[[Floats, Floats, Floats, LrpRule], Split]


def to_signal(gate: Floats, signal: Floats, relevance: Floats, rule: LrpRule) -> Split:
    """All to the signal (Arras et al. 2017, "Explaining Recurrent Neural Network Predictions")."""
    return Split(relevance)


def in_halves(gate: Floats, signal: Floats, relevance: Floats, rule: LrpRule) -> Split:
    """Half to each (Arjona-Medina et al. 2018, "RUDDER")."""
    half: Floats = relevance * 0.5
    return Split(half, half)


def in_proportion(gate: Floats, signal: Floats, relevance: Floats, rule: LrpRule) -> Split:
    """To each in proportion to its value (Ding et al. 2017, "Visualizing and Understanding ...").

    It is the epsilon rule for z = q + a, as if each product were a sum of its two factors.
    """
    values, absorbed = rule.unit_messages(relevance, gate + signal)
    handed_on = rule.shared(absorbed, 2)
    return Split(signal * values + handed_on, gate * values + handed_on, rule.kept(absorbed))


def by_size(gate: Floats, signal: Floats, relevance: Floats, rule: LrpRule) -> Split:
    """To each in proportion to its absolute value; where both are 0, all to the signal.

    As compared in Arras et al. 2019, "Explaining and Interpreting LSTMs".
    """
    of_gate, of_signal = np.abs(gate), np.abs(signal)
    total = of_gate + of_signal
    some = total > 0
    signals = np.divide(of_signal, total, out=np.ones_like(total), where=some)
    gates = np.divide(of_gate, total, out=np.zeros_like(total), where=some)
    return Split(signals * relevance, gates * relevance)


GATE_RULES: dict[GateRuleName, GateRule] = {
    "lrp-all": to_signal,
    "lrp-half": in_halves,
    "lrp-prop": in_proportion,
    "lrp-abs": by_size,
}


def split_product(gate: Floats, signal: Floats, relevance: Floats, rule: LrpRule) -> Split:
    """Split the relevance of gate * signal by the rule's own rule for gates."""
    return GATE_RULES[rule.gates](gate, signal, relevance, rule)
