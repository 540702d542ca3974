"""What every layer leaves of its forward pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from lstm_lrp_cli.model.arrays import Floats
from .packing import Packing
from .rules import LrpRule, Messages

# How finely relevance is told: of every feature, or of steps, each summed over its features.
Reach = Literal["features", "steps"]


class Record(Protocol):
    """The forward pass of one layer over one batch, from which scores can be explained.

    A layer's values are of shape (rows, units) while the model still works step by step, and
    (batch, units) once a sequence has become one vector.
    """

    @property
    def outputs(self) -> Floats: ...

    def relevance(self, relevance: Floats, rule: LrpRule) -> tuple[Sequence[Floats | None], Shares]:
        """Pass relevance from the layer's outputs to its sources.

        Parameters
        ----------
        relevance : ndarray, of the shape of the outputs
        rule : LrpRule

        Returns
        -------
        sequence of ndarray or None
            For each source, of its shape; None where it gets nothing, as a gate.
        Shares
            What did not reach the sources.
        """
        ...

    def gradient(self, gradient: Floats) -> Sequence[Floats]:
        """Pass a score's gradient with respect to the layer's outputs to its sources.

        Parameters
        ----------
        gradient : ndarray, of the shape of the outputs

        Returns
        -------
        sequence of ndarray
            For each source, of its shape.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Shares:
    """What each sequence's relevance lost on its way, in float64. They add up.

    Parameters
    ----------
    initial_state : ndarray, shape (batch,)
        Passed to the initial hidden and cell states, or to the pool of a sequence without steps.
    biases : ndarray, shape (batch,)
        Absorbed by biases.
    stabilizers : ndarray, shape (2, batch)
        Absorbed by stabilizers, and the same by size: the sum of the units' absolute values.
    """

    initial_state: Floats
    biases: Floats
    stabilizers: Floats

    @classmethod
    def none(cls, batch: int) -> Shares:
        return cls(np.zeros(batch), np.zeros(batch), np.zeros((2, batch)))

    @classmethod
    def absorbed(cls, messages: Messages, packing: Packing | None) -> Shares:
        """What a linear map absorbed: at every step where a packing is given, else once."""
        return cls.lost(messages.biases, messages.stabilizers, packing)

    @classmethod
    def lost(cls, biases: Floats, stabilizers: Floats, packing: Packing | None) -> Shares:
        """What biases and stabilizers absorbed: at every step, as `absorbed` has it, or once."""
        if packing is not None:
            biases, stabilizers = packing.total(biases), packing.totals(stabilizers)
        return cls(np.zeros(len(biases)), biases, stabilizers)

    @classmethod
    def unstarted(cls, relevance: Floats, packing: Packing) -> Shares:
        """The relevance of sequences without steps, given that of all, shape (batch, units)."""
        lost = relevance.sum(axis=1, dtype=np.float64)
        lost[: packing.started] = 0.0
        return cls(lost, np.zeros(packing.batch), np.zeros((2, packing.batch)))

    def extended(self, batch: int) -> Shares:
        """The same shares with zeros for the further sequences of a batch."""
        missing = (0, batch - len(self.biases))
        return Shares(
            np.pad(self.initial_state, missing),
            np.pad(self.biases, missing),
            np.pad(self.stabilizers, ((0, 0), missing)),
        )

    def __add__(self, other: Shares) -> Shares:
        return Shares(
            self.initial_state + other.initial_state,
            self.biases + other.biases,
            self.stabilizers + other.stabilizers,
        )


# Of a layer that passes on all that it gets, whatever the batch.
NOTHING_LOST = Shares.none(1)
