"""The ledger: where the score of every explained sequence went."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lstm_lrp_cli.model.arrays import Floats

# What rounding may leave unaccounted for, relative to Ledger.scale.
TOLERANCES = {np.dtype(np.float64): 1e-10, np.dtype(np.float32): 1e-3}


@dataclass(frozen=True, slots=True)
class Ledger:
    """One score, and the shares that it went into. Each share is computed for itself.

    Parameters
    ----------
    score : float
        The explained score.
    tokens : float
        Relevance of all tokens or steps.
    initial_state : float
        Relevance of the initial hidden and cell states.
    biases, stabilizers : float
        Absorbed by biases, and by stabilizers.
    padding : float
        Relevance of padding steps.
    """

    score: float
    tokens: float
    initial_state: float
    biases: float
    stabilizers: float
    padding: float

    @property
    def shares(self) -> tuple[float, ...]:
        return (self.tokens, self.initial_state, self.biases, self.stabilizers, self.padding)

    @property
    def residual(self) -> float:
        """What no share accounts for."""
        return self.score - sum(self.shares)

    @property
    def scale(self) -> float:
        """What the residual is measured against: the score or, if larger, the shares' sizes."""
        return max(abs(self.score), sum(map(abs, self.shares)))

    @property
    def relative_residual(self) -> float:
        return abs(self.residual) / self.scale if self.residual else 0.0

    def __add__(self, other: Ledger) -> Ledger:
        """The ledger of two scores together."""
        return Ledger(
            self.score + other.score,
            self.tokens + other.tokens,
            self.initial_state + other.initial_state,
            self.biases + other.biases,
            self.stabilizers + other.stabilizers,
            self.padding + other.padding,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Ledgers:
    """The ledgers of a batch: the fields of `Ledger`, each of shape (batch,), in float64."""

    score: Floats
    tokens: Floats
    initial_state: Floats
    biases: Floats
    stabilizers: Floats
    padding: Floats

    def __getitem__(self, index: int) -> Ledger:
        return Ledger(
            float(self.score[index]),
            float(self.tokens[index]),
            float(self.initial_state[index]),
            float(self.biases[index]),
            float(self.stabilizers[index]),
            float(self.padding[index]),
        )
