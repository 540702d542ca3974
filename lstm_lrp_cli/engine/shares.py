"""Relevance that a layer does not pass to its inputs, by where it went."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lstm_lrp_cli.engine.packing import Packing
from lstm_lrp_cli.engine.rules import Messages
from lstm_lrp_cli.model.arrays import Floats


@dataclass(frozen=True, slots=True, eq=False)
class Shares:
    """What each sequence's relevance lost on its way, in float64.

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
    def absorbed(cls, messages: Messages, steps: Packing | None) -> Shares:
        """What a linear map absorbed, at every step where `steps` is given, else once."""
        return cls.lost(messages.biases, messages.stabilizers, steps)

    @classmethod
    def lost(cls, biases: Floats, stabilizers: Floats, steps: Packing | None) -> Shares:
        """What biases and stabilizers absorbed, at every step where `steps` is given, else once."""
        if steps is not None:
            biases, stabilizers = steps.total(biases), steps.totals(stabilizers)
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
