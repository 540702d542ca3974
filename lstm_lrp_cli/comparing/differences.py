"""How far numbers are from each other, and how often correlations are how high."""

from __future__ import annotations

import numpy as np

from lstm_lrp_cli.comparing.comparison import Correlations, Differences
from lstm_lrp_cli.model.arrays import Floats, Integers

# To how many decimals correlations are counted, which takes the same memory for any number.
DECIMALS = 4
# As they are told, and in hundredths.
QUANTILES = {"5 %": 5, "25 %": 25, "50 %": 50, "75 %": 75, "95 %": 95}


class DifferenceCount:
    """Counts differences as numbers come."""

    def __init__(self) -> None:
        self._compared = 0
        self._total = self._largest = self._relative = 0.0
        self._sequence: int | None = None

    def add(self, a: Floats, b: Floats, sequence: Integers) -> None:
        """Count numbers of sequences.

        Parameters
        ----------
        a, b : ndarray, shape (n,)
        sequence : ndarray of int, shape (n,)
            The number of each one's sequence.
        """
        if not len(a):
            return
        apart = np.abs(b - a)
        worst = int(apart.argmax())
        if apart[worst] > self._largest:
            self._largest, self._sequence = float(apart[worst]), int(sequence[worst])
        relative = float((apart / np.maximum(1.0, np.abs(a))).max())
        self._relative = max(self._relative, relative)
        self._total += float(apart.sum())
        self._compared += len(a)

    def figures(self) -> Differences:
        return Differences(
            self._compared,
            self._total / max(self._compared, 1),
            self._largest,
            self._relative,
            self._sequence,
        )


class CorrelationCount:
    """Counts correlations as they come."""

    def __init__(self) -> None:
        self._one = 10**DECIMALS
        self._counts = np.zeros(2 * self._one + 1, dtype=np.int64)
        self._total = 0.0

    def add(self, correlations: Floats) -> None:
        """Count those that are numbers."""
        found = np.clip(correlations[~np.isnan(correlations)], -1.0, 1.0)
        places = np.rint(found * self._one).astype(np.intp) + self._one
        self._counts += np.bincount(places, minlength=len(self._counts))
        self._total += float(found.sum())

    def figures(self) -> Correlations:
        count = int(self._counts.sum())
        if not count:
            return Correlations(0, None, {})
        below = np.cumsum(self._counts)
        # The lowest that at least so many hundredths are no higher than.
        places = np.searchsorted(100 * below, np.array(list(QUANTILES.values())) * count)
        values = (places - self._one) / self._one
        quantiles = dict(zip(QUANTILES, values.tolist(), strict=True))
        return Correlations(count, self._total / count, quantiles)
