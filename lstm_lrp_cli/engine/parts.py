"""Values in two parts: what the relevant inputs make of them by themselves, and the rest.

Contextual decomposition: Murdoch, Liu and Yu 2018, "Beyond Word Importance: Contextual
Decomposition to Extract Interactions from LSTMs". The parts, there beta and gamma, sum to the
value of the ordinary forward pass. The conventions for layers that are no LSTM are this project's
own (docs/mathematics.md).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from msgspec import Struct, field

from lstm_lrp_cli.model import Booleans, Floats, Integers
from lstm_lrp_cli.model.recurrent import ActivationName
from .activations import ACTIVATIONS
from .arrays import Packing

NO_STEPS: Booleans = np.zeros(0, dtype=bool)


class Parts(Struct, frozen=True, eq=False):
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


class PartedValue(Struct, frozen=True, eq=False):
    """What a node gives of copies of sequences, in parts.

    Parameters
    ----------
    parts : Parts
        Of shape (rows, units) by step, else (copies, units).
    packing : Packing or None
        The copies' steps; None where there is one vector a sequence.
    relevant_steps : ndarray of bool, shape (rows,)
        By step: the rows that are of steps which are relevant as a whole. Else none, shape (0,).
    """

    parts: Parts
    packing: Packing | None = None
    relevant_steps: Booleans = field(default_factory=lambda: NO_STEPS)

    def with_parts(self, parts: Parts) -> PartedValue:
        """Other parts at the same steps."""
        return PartedValue(parts, self.packing, self.relevant_steps)


class PartedInput(Struct, frozen=True, eq=False):
    """What the model is given of copies: of most rows nothing is relevant, or all.

    Parameters
    ----------
    features : ndarray, shape (originals, features)
        Of the rows that copies are of, each once.
    places : ndarray of int, shape (rows,)
        Where among them the row is that each is a copy of.
    relevant : ndarray of bool, shape (rows,) or (rows, features)
    packing : Packing or None
    """

    features: Floats
    places: Integers
    relevant: Booleans
    packing: Packing | None

    @property
    def entries(self) -> Booleans:
        """The relevant entries, shape (rows, features), or (rows, 1) of whole steps."""
        return self.relevant if self.relevant.ndim > 1 else self.relevant[:, np.newaxis]

    @property
    def parts(self) -> Parts:
        copied = self.features[self.places]
        return Parts(copied * self.entries, copied * ~self.entries)

    @property
    def relevant_steps(self) -> Booleans:
        if self.packing is None:
            return NO_STEPS
        return self.relevant if self.relevant.ndim == 1 else np.zeros(len(self.places), dtype=bool)

    def with_parts(self, parts: Parts) -> PartedValue:
        """Other parts at the same steps."""
        return PartedValue(parts, self.packing, self.relevant_steps)


class BiasedParts(Struct, frozen=True, eq=False):
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


def activated(function: Callable[[Floats], Floats], parts: Parts) -> Parts:
    """Split an activation between the two terms of its argument, of shape (n, units).

    What a term adds to the activation depends on whether the other stands there already: the two
    orders are averaged. What an argument of 0 gives is irrelevant.
    """
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


def merely_whole(value: Floats) -> Parts:
    """A value that is not parted: all of it is irrelevant."""
    return Parts(np.zeros_like(value), value)


# What a layer is fed with.
Parted = PartedValue | PartedInput
