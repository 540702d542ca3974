"""Values in two parts, and what activations and joins make of them.

The parts are what comes of the relevant inputs, and all the rest: beta and gamma of W. J. Murdoch,
P. J. Liu and B. Yu 2018, "Beyond Word Importance: Contextual Decomposition to Extract Interactions
from LSTMs".
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from plain_activations import activate
from plain_joins import join, largest

from lstm_lrp_cli.model import Floats


class Parts(NamedTuple):
    """A value in two parts."""

    relevant: Floats
    irrelevant: Floats

    @property
    def whole(self) -> Floats:
        return self.relevant + self.irrelevant


class Thirds(NamedTuple):
    """An activation in three parts, of which one is the bias's."""

    relevant: Floats
    irrelevant: Floats
    bias: Floats


def activated(function: Callable[[Floats], Floats], parts: Parts) -> Parts:
    """The effect of each part, on average over being added first and second.

    What the activation makes of nothing, s(0), is irrelevant.
    """
    beta, gamma = parts
    s_0 = function(np.zeros(beta.shape))
    s_beta, s_gamma, s = function(beta), function(gamma), function(parts.whole)
    return Parts(((s_beta - s_0) + (s - s_gamma)) / 2, ((s_gamma - s_0) + (s - s_beta)) / 2 + s_0)


def activated_with_bias(kind: str, parts: Parts, bias: Floats) -> Thirds:
    """The same with a bias, which is always added first."""
    beta, gamma = parts
    s_b = activate(kind, bias)
    s_beta, s_gamma = activate(kind, beta + bias), activate(kind, gamma + bias)
    s = activate(kind, parts.whole + bias)
    return Thirds(((s_beta - s_b) + (s - s_gamma)) / 2, ((s_gamma - s_b) + (s - s_beta)) / 2, s_b)


def joined(kind: str, sources: list[Parts]) -> Parts:
    if len(sources) == 1:
        return sources[0]
    if kind == "gate":
        gate, signal = sources
        return Parts(gate.whole * signal.relevant, gate.whole * signal.irrelevant)
    if kind == "product":
        relevant, irrelevant = sources[0]
        for factor in sources[1:]:  # relevant is only what is so in every factor
            irrelevant = irrelevant * factor.whole + relevant * factor.irrelevant
            relevant = relevant * factor.relevant
        return Parts(relevant, irrelevant)
    if kind == "max":
        return of_largest(sources)
    return Parts(
        join(kind, [source.relevant for source in sources]),
        join(kind, [source.irrelevant for source in sources]),
    )


def of_largest(sources: list[Parts]) -> Parts:
    """Unit by unit the parts of what has the largest whole value, of equal ones the first."""
    winner = largest([source.whole for source in sources])
    found = Parts(np.zeros(winner.shape), np.zeros(winner.shape))
    for at in np.ndindex(*winner.shape):
        found.relevant[at] = sources[winner[at]].relevant[at]
        found.irrelevant[at] = sources[winner[at]].irrelevant[at]
    return found


def stacked(each: list[Parts], shape: tuple[int, ...]) -> Parts:
    return Parts(
        np.array([parts.relevant for parts in each]).reshape(shape),
        np.array([parts.irrelevant for parts in each]).reshape(shape),
    )
