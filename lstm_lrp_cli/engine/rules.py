"""The epsilon rule, by which relevance passes through every linear map.

For z_j = sum_i w_ij a_i + b_j, connected to N lower units in all (Bach et al. 2015, "On Pixel-Wise
Explanations"; with the bias factor delta of Arras et al. 2017):

    R_i = sum_j (w_ij a_i + delta (b_j + eps s_j) / N) / (z_j + eps s_j) R_j

with s_j = 1 where z_j >= 0, else -1. It factors: one message R_j / (z_j + eps s_j) a unit, and a
share that is the same for each of the N lower units. What delta leaves of bias and stabilizer is
absorbed, and goes to the ledger.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from lstm_lrp_cli.engine.arrays import row_dots
from lstm_lrp_cli.model.arrays import Floats, Integers

GateRuleName = Literal["lrp-all", "lrp-half", "lrp-prop", "lrp-abs"]

# By the size of a float: the whole numbers of that size, and the one that is its sign bit.
SIGN_BITS: dict[int, tuple[type[np.unsignedinteger[Any]], np.unsignedinteger[Any]]] = {
    4: (np.uint32, np.uint32(1 << 31)),
    8: (np.uint64, np.uint64(1 << 63)),
}


@dataclass(frozen=True, slots=True, eq=False)
class Messages:
    """What the units of a linear map send down.

    Parameters
    ----------
    values : ndarray, shape (n, units)
        R_j / (z_j + eps s_j); a lower unit gets w_ij a_i times it.
    share : ndarray, shape (n, 1)
        What every lower unit gets of biases and stabilizers on top.
    biases, stabilizers : ndarray, shape (n,)
        What they absorb, in float64.
    """

    values: Floats
    share: Floats
    biases: Floats
    stabilizers: Floats


@dataclass(frozen=True, slots=True)
class LrpRule:
    """The epsilon rule with its two constants, and the rule for gates beside it.

    Parameters
    ----------
    eps : float
        The stabilizer, greater than 0.
    bias_factor : float
        delta: 0 lets biases and stabilizers absorb their part, 1 redistributes all of it.
    gates : str
        What a gate gets of the relevance of what it lets through (`engine/gate_rules.py`).
    """

    eps: float = 1e-3
    bias_factor: float = 0.0
    gates: GateRuleName = "lrp-all"

    @property
    def gives_to_gates(self) -> bool:
        return self.gates != "lrp-all"

    def stabilizer(self, z: Floats) -> Floats:
        """eps s_j, of the shape and precision of z."""
        stabilizer = np.empty_like(z)
        self.write_stabilizer(z + 0.0, stabilizer)  # a negative zero becomes a positive one
        return stabilizer

    def messages(
        self, relevance: Floats, z: Floats, bias: Floats | None, lower: int | Integers
    ) -> Messages:
        """Divide the relevance of the outputs of a linear map by the outputs.

        Parameters
        ----------
        relevance, z : ndarray, shape (n, units)
            The outputs' relevance, and the outputs.
        bias : ndarray, shape (units,), or None
        lower : int, or ndarray of int, shape (n,)
            N, the number of units that feed each output.
        """
        values, stabilizers = np.empty_like(z), np.empty(len(z), dtype=z.dtype)
        scratch = np.empty((2, *z.shape), dtype=z.dtype)
        self.divide(relevance, z + 0.0, values, stabilizers, scratch)
        biases = np.zeros(len(z)) if bias is None else (values @ bias).astype(np.float64)
        share = self.shared(biases + stabilizers, lower).astype(z.dtype)
        kept = 1.0 - self.bias_factor
        return Messages(
            values, share[:, np.newaxis], kept * biases, kept * stabilizers.astype(np.float64)
        )

    def shared(self, absorbed: Floats, lower: int | Integers) -> Floats:
        """What each of N lower units gets of what biases and stabilizers would absorb."""
        return self.bias_factor * absorbed / lower

    def divide(
        self, relevance: Floats, z: Floats, values: Floats, stabilizers: Floats, scratch: Floats
    ) -> None:
        """Write the messages R_j / (z_j + eps s_j), and what the stabilizers get of them.

        Parameters
        ----------
        relevance, z : ndarray, shape (n, units)
            The outputs' relevance, and the outputs; a zero among these counts by its sign, which
            matters only where what feeds it is not all zero.
        values : ndarray, shape (n, units)
            Where the messages are written; it may be `relevance` itself.
        stabilizers : ndarray, shape (n,)
            Where sum_j eps s_j R_j / (z_j + eps s_j) is written.
        scratch : ndarray, shape (2, n, units)
            Written over.
        """
        stabilizer, denominator = scratch
        self.write_stabilizer(z, stabilizer)
        np.add(z, stabilizer, out=denominator)
        np.divide(relevance, denominator, out=values)
        row_dots(stabilizer, values, stabilizers)

    def write_stabilizer(self, z: Floats, out: Floats) -> None:
        """Write eps s_j, given outputs of which a zero is a positive one.

        It is eps with the sign bit of z, in two passes that take half the time of `np.copysign`,
        or less.
        """
        whole, sign = SIGN_BITS[z.itemsize]
        bits = out.view(whole)
        np.bitwise_and(z.view(whole), sign, out=bits)
        np.bitwise_or(bits, z.dtype.type(self.eps).view(whole), out=bits)
