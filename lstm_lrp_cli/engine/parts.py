"""Values in two parts: what the relevant inputs make of them by themselves, and the rest.

Contextual decomposition: Murdoch, Liu and Yu 2018, "Beyond Word Importance: Contextual
Decomposition to Extract Interactions from LSTMs". The parts, there beta and gamma, sum to the
value of the ordinary forward pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lstm_lrp_cli.engine.activations import ACTIVATIONS
from lstm_lrp_cli.model.arrays import Floats
from lstm_lrp_cli.model.layers import ActivationName


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """A value, as the sum of its relevant and its irrelevant part.

    Parameters
    ----------
    relevant, irrelevant : ndarray, of the value's shape
    """

    relevant: Floats
    irrelevant: Floats

    @property
    def whole(self) -> Floats:
        return self.relevant + self.irrelevant

    def each(self, linear: Callable[[Floats], Floats]) -> Parts:
        """What a linear map without a bias makes of both parts."""
        return Parts(linear(self.relevant), linear(self.irrelevant))


def activated(kind: ActivationName, parts: Parts) -> Parts:
    """Split an activation between the two terms of its argument, of shape (n, units).

    What a term adds to the activation depends on whether the other stands there already: the two
    orders are averaged. What an argument of 0 gives is irrelevant.
    """
    function = ACTIVATIONS[kind]
    of_zero = function(np.zeros_like(parts.relevant[:1]))
    relevant, irrelevant = function(parts.relevant), function(parts.irrelevant)
    whole = function(parts.whole)
    return Parts(
        0.5 * ((relevant - of_zero) + (whole - irrelevant)),
        0.5 * ((irrelevant + of_zero) + (whole - relevant)),
    )


def activated_with_bias(
    kind: ActivationName, parts: Parts, bias: Floats, of_bias: Floats
) -> Parts:
    """Split an activation between the two terms that are added to a bias in its argument.

    The bias always comes first; the two terms are averaged over their orders, and their parts sum
    to what they add to the activation of the bias.

    Parameters
    ----------
    parts : Parts
        Of shape (..., units).
    bias, of_bias : ndarray
        The bias and its activation, which broadcast to the parts.
    """
    function = ACTIVATIONS[kind]
    relevant, irrelevant = function(parts.relevant + bias), function(parts.irrelevant + bias)
    whole = function(parts.whole + bias)
    return Parts(
        0.5 * ((relevant - of_bias) + (whole - irrelevant)),
        0.5 * ((irrelevant - of_bias) + (whole - relevant)),
    )


def product(one: Parts, other: Parts) -> Parts:
    """A product unit by unit: relevant is what the relevant parts of both factors make."""
    return Parts(
        one.relevant * other.relevant,
        one.relevant * other.irrelevant + one.irrelevant * other.whole,
    )
