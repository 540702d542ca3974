"""The epsilon rule, by which relevance passes through every linear map.

For z_j = sum_i w_ij a_i + b_j, connected to N lower units in all (Bach et al. 2015, "On Pixel-Wise
Explanations"; with the bias factor delta of Arras et al. 2017):

    R_i = sum_j (w_ij a_i + delta (b_j + eps s_j) / N) / (z_j + eps s_j) R_j

with s_j = 1 where z_j >= 0, else -1. It factors: one message R_j / (z_j + eps s_j) a unit, and a
share that is the same for each of the N lower units. What delta leaves of bias and stabilizer is
absorbed, and goes to the ledger.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from msgspec import Struct

from lstm_lrp_cli.model import Floats, Integers
from .arrays import filled

GateRuleName = Literal["lrp-all", "lrp-half", "lrp-prop", "lrp-abs"]

# By the size of a float: the integers of that size, and the one that is its sign bit.
SIGN_BITS: dict[int, tuple[type[np.unsignedinteger[Any]], np.unsignedinteger[Any]]] = {
    4: (np.uint32, np.uint32(1 << 31)),
    8: (np.uint64, np.uint64(1 << 63)),
}


class Messages(Struct, frozen=True, eq=False):
    """What the units of a linear map send down.

    Parameters
    ----------
    values : ndarray, shape (n, units)
        R_j / (z_j + eps s_j); a lower unit gets w_ij a_i times it.
    share : ndarray, shape (n, 1)
        What every lower unit gets of biases and stabilizers on top.
    biases : ndarray, shape (n,)
        What they absorb, in float64.
    stabilizers : ndarray, shape (2, n)
        What they absorb, and the same by size: the sum of the units' absolute values; in float64.
    """

    values: Floats
    share: Floats
    biases: Floats
    stabilizers: Floats


class LrpRule(Struct, frozen=True):
    """The epsilon rule with its two constants, and the rule for gates beside it.

    Parameters
    ----------
    eps : float
        The stabilizer, 0 or greater.
    bias_factor : float
        delta: 0 lets biases and stabilizers absorb their part, 1 redistributes all of it.
    gates : str
        What a gate gets of the relevance of what it lets through: one of GATE_RULES.
    """

    eps: float = 1e-3
    bias_factor: float = 0.0
    gates: GateRuleName = "lrp-all"

    @property
    def gives_to_gates(self) -> bool:
        return self.gates != "lrp-all"

    def messages(
        self, relevance: Floats, z: Floats, bias: Floats | None, lower: int | Integers
    ) -> Messages:
        """Divide the relevance of the outputs of a linear map by the outputs.

        Parameters
        ----------
        relevance, z : ndarray, shape (n, units)
            The outputs' relevance, and the outputs.
        bias : ndarray, shape (units,) or (n, units), or None
        lower : int, or ndarray of int, shape (n,)
            N, the number of units that feed each output. Where it is 0, biases and stabilizers keep
            all, whatever the bias factor.
        """
        values, stabilizers = np.empty_like(z), np.empty((2, len(z)), dtype=z.dtype)
        scratch = np.empty((2, *z.shape), dtype=z.dtype)
        self.divide(relevance, z + 0.0, values, stabilizers, scratch)
        if bias is None:
            biases = np.zeros(len(z))
        elif bias.ndim == 1:
            biases = (values @ bias).astype(np.float64)
        else:
            biases = np.einsum("nu,nu->n", values, bias).astype(np.float64)
        kept: float | Floats = 1.0 - self.bias_factor
        if isinstance(lower, np.ndarray):
            kept, lower = np.where(lower > 0, kept, 1.0), np.maximum(lower, 1)
        share = self.shared(biases + stabilizers[0], lower).astype(z.dtype)
        return Messages(
            values, share[:, np.newaxis], kept * biases, kept * stabilizers.astype(np.float64)
        )

    def kept(self, absorbed: Floats) -> Floats:
        """What stabilizers keep of what each unit's absorbs, shape (n, units): (2, n), by size too.

        In float64.
        """
        net = absorbed.sum(axis=1, dtype=np.float64)
        size = np.abs(absorbed).sum(axis=1, dtype=np.float64)
        return (1.0 - self.bias_factor) * np.stack([net, size])

    def shared(self, absorbed: Floats, lower: int | Integers) -> Floats:
        """What each of N lower units gets of what biases and stabilizers would absorb."""
        return self.bias_factor * absorbed / lower

    def unit_messages(self, relevance: Floats, z: Floats) -> tuple[Floats, Floats]:
        """The messages of units that are each a map of its own, and what stabilizers get of each.

        All are of shape (n, units).
        """
        alone = (z.size, 1)
        values, *scratch = np.empty((3, *alone), dtype=z.dtype)
        stabilizers = np.empty((2, z.size), dtype=z.dtype)
        self.divide(relevance.reshape(alone), z.reshape(alone) + 0.0, values, stabilizers, scratch)
        return values.reshape(z.shape), stabilizers[0].reshape(z.shape)

    def divide(
        self,
        relevance: Floats,
        z: Floats,
        values: Floats,
        stabilizers: Floats,
        scratch: Floats | Sequence[Floats],
    ) -> None:
        """Write the messages R_j / (z_j + eps s_j), and what the stabilizers get of them.

        R_j / (z_j + eps s_j) is s_j R_j / (|z_j| + eps), of which eps s_j gets eps R_j /
        (|z_j| + eps). Where both z_j and eps are 0, the message is 0, and all goes to the
        stabilizer, as it does where eps is next to nothing.

        Parameters
        ----------
        relevance, z : ndarray, shape (n, units)
            The outputs' relevance, and the outputs; a zero among these counts by its sign, which
            matters only where what feeds it is not all zero.
        values : ndarray, shape (n, units)
            Where the messages are written; it may be `relevance` itself.
        stabilizers : ndarray, shape (2, n)
            Where the sum of what they get is written, and that of its absolute values.
        scratch : ndarray, shape (2, n, units)
            Written over.
        """
        sizes, signs = scratch
        net, size = stabilizers
        eps = z.dtype.type(self.eps)
        np.abs(z, out=sizes)
        if eps:
            np.add(sizes, eps, out=sizes)
            np.divide(relevance, sizes, out=values)
            np.abs(values, out=sizes)
            # A product with a vector takes a fifth of the time of `np.sum`.
            weights = filled(z.shape[1], z.dtype, self.eps)
            np.dot(values, weights, out=net)
            np.dot(sizes, weights, out=size)
        else:
            nothing = sizes == 0
            lost = np.where(nothing, relevance, eps)
            np.sum(lost, axis=1, out=net)
            np.sum(np.abs(lost), axis=1, out=size)
            np.divide(relevance, sizes, out=values, where=~nothing)
            np.copyto(values, eps, where=nothing)
        # Two passes over bits take half the time of `np.copysign` and a product, or less.
        bits, sign = SIGN_BITS[z.itemsize]
        np.bitwise_and(z.view(bits), sign, out=signs.view(bits))
        np.bitwise_xor(values.view(bits), signs.view(bits), out=values.view(bits))


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
