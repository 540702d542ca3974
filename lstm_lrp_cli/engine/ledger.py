"""The ledger: where the score of every explained sequence went."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np
from msgspec import Struct

from lstm_lrp_cli.model.arrays import Floats

# What rounding may leave unaccounted for, relative to Ledger.scale.
TOLERANCES: dict[np.dtype[Any], float] = {np.dtype(np.float64): 1e-10, np.dtype(np.float32): 1e-3}


# What stands beside the shares where a ledger is written.
NO_SHARES = ("score", "residual", "stabilizers_size")


class Ledger(Struct, frozen=True, gc=False):
    """One score, and the shares that it went into. Each share is computed for itself.

    Parameters
    ----------
    score : float
        The explained score.
    shares : dict
        What went where, by the names that the method has for it.
    stabilizers_size : float or None
        What stabilizers absorbed by size: the sum over all units of absolute values. It is no
        share. None where the method has no stabilizers.
    """

    score: float
    shares: dict[str, float]
    stabilizers_size: float | None = None

    def __getitem__(self, name: str) -> float:
        return self.shares[name]

    @property
    def residual(self) -> float:
        """What no share accounts for."""
        return self.score - sum(self.shares.values())

    @property
    def scale(self) -> float:
        """What the residual is measured against: the score or, if larger, the shares' sizes."""
        return max(abs(self.score), sum(map(abs, self.shares.values())))

    @property
    def relative_residual(self) -> float:
        return abs(self.residual) / self.scale if self.residual else 0.0

    def __add__(self, other: Ledger) -> Ledger:
        """The ledger of two scores together, which has the shares of both."""
        names = {**self.shares, **other.shares}
        sizes = [one.stabilizers_size for one in (self, other) if one.stabilizers_size is not None]
        return Ledger(
            self.score + other.score,
            {name: self.shares.get(name, 0.0) + other.shares.get(name, 0.0) for name in names},
            sum(sizes) if sizes else None,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Ledgers:
    """The ledgers of a batch.

    Parameters
    ----------
    score : ndarray, shape (batch,)
        In float64.
    shares : dict of ndarray, each of shape (batch,)
        In float64.
    stabilizers_size : ndarray, shape (batch,), or None
        In float64; None where the method has no stabilizers.
    """

    score: Floats
    shares: dict[str, Floats]
    stabilizers_size: Floats | None = None

    def __iter__(self) -> Iterator[Ledger]:
        """The ledger of each sequence."""
        amounts = zip(*(share.tolist() for share in self.shares.values()), strict=True)
        shares = map(dict, map(zip, repeat(tuple(self.shares)), amounts))
        sizes = repeat(None) if self.stabilizers_size is None else self.stabilizers_size.tolist()
        return map(Ledger, self.score.tolist(), shares, sizes)


def relative_residuals(amounts: Floats) -> Floats:
    """The relative residual of many ledgers, as `Ledger` has it.

    Parameters
    ----------
    amounts : ndarray, shape (ledgers, 1 + shares)
        The score of each, and its shares.
    """
    score, shares = amounts[:, 0], amounts[:, 1:]
    residuals = np.abs(score - shares.sum(axis=1))
    scales = np.maximum(np.abs(score), np.abs(shares).sum(axis=1))
    relative = np.zeros(len(amounts))
    np.divide(residuals, scales, out=relative, where=residuals != 0)
    return relative
