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


@dataclass(frozen=True, slots=True, eq=False)
class BiasedParts:
    """A value in parts, of which what a bias gives alone is neither relevant nor irrelevant.

    Parameters
    ----------
    relevant, irrelevant : ndarray, of the value's shape
    of_bias : ndarray, shape (units,)
    """

    relevant: Floats
    irrelevant: Floats
    of_bias: Floats

    @property
    def whole(self) -> Floats:
        return self.relevant + self.irrelevant + self.of_bias


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
) -> BiasedParts:
    """Split an activation between the two terms of its argument and a bias.

    The bias stands there first; what the terms add to its activation is averaged over their orders.

    Parameters
    ----------
    parts : Parts
        Of shape (n, units).
    bias, of_bias : ndarray, shape (units,)
        The bias, and its activation.
    """
    function = ACTIVATIONS[kind]
    relevant, irrelevant = function(parts.relevant + bias), function(parts.irrelevant + bias)
    whole = function(parts.whole + bias)
    return BiasedParts(
        0.5 * ((relevant - of_bias) + (whole - irrelevant)),
        0.5 * ((irrelevant - of_bias) + (whole - relevant)),
        of_bias,
    )


def product(one: Parts, other: Parts) -> Parts:
    """A product unit by unit: relevant is what the relevant parts of both factors make."""
    return Parts(
        one.relevant * other.relevant,
        one.relevant * other.irrelevant + one.irrelevant * other.whole,
    )
