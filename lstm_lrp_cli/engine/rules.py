"""The epsilon rule, by which relevance passes through every linear map.

For z_j = sum_i w_ij a_i + b_j, connected to N lower units in all (Bach et al. 2015, "On Pixel-Wise
Explanations"; with the bias factor delta of Arras et al. 2017):

    R_i = sum_j (w_ij a_i + delta (b_j + eps s_j) / N) / (z_j + eps s_j) R_j

with s_j = 1 where z_j >= 0, else -1. It factors: one message R_j / (z_j + eps s_j) a unit, and a
share that is the same for each of the N lower units. What delta leaves of bias and stabilizer is
absorbed, and goes to the ledger.
"""

from dataclasses import dataclass

import numpy as np

from lstm_lrp_cli.model.arrays import Floats, Integers


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
class EpsilonRule:
    """The epsilon rule with its two constants.

    Parameters
    ----------
    eps : float
        The stabilizer, greater than 0.
    bias_factor : float
        delta: 0 lets biases and stabilizers absorb their part, 1 redistributes all of it.
    """

    eps: float = 1e-3
    bias_factor: float = 0.0

    def stabilizer(self, z: Floats) -> Floats:
        """eps s_j, of the shape and precision of z."""
        return np.where(z >= 0, z.dtype.type(self.eps), z.dtype.type(-self.eps))

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
        stabilizer = self.stabilizer(z)
        values = relevance / (z + stabilizer)
        stabilizers = (stabilizer * values).sum(axis=1, dtype=np.float64)
        biases = (
            np.zeros(len(values)) if bias is None else (bias * values).sum(axis=1, dtype=np.float64)
        )
        share = (self.bias_factor * (biases + stabilizers) / lower).astype(z.dtype)
        kept = 1.0 - self.bias_factor
        return Messages(values, share[:, np.newaxis], kept * biases, kept * stabilizers)
