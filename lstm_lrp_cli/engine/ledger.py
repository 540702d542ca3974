"""The ledger: where the score of every explained sequence went."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

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

    def __iter__(self) -> Iterator[Ledger]:
        """The ledger of each sequence."""
        columns = (getattr(self, field.name).tolist() for field in fields(Ledger))
        return map(Ledger, *columns)


def relative_residuals(amounts: Floats) -> Floats:
    """The relative residual of many ledgers, as `Ledger` has it.

    Parameters
    ----------
    amounts : ndarray, shape (ledgers, 6)
        The fields of each.
    """
    score, shares = amounts[:, 0], amounts[:, 1:]
    residuals = np.abs(score - shares.sum(axis=1))
    scales = np.maximum(np.abs(score), np.abs(shares).sum(axis=1))
    relative = np.zeros(len(amounts))
    np.divide(residuals, scales, out=relative, where=residuals != 0)
    return relative
