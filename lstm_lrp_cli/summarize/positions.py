"""Relevance by position in the sequence, and by part of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lstm_lrp_cli.model import Floats, Integers
from .summary import PARTS, POSITIONS, ByPosition, PositionFigures


class Positions:
    """Counts relevance by position, as more and more sequences come."""

    def __init__(self) -> None:
        self._from_start = _Bins(POSITIONS + 1)
        self._tenths = _Bins(PARTS)

    @property
    def steps(self) -> int:
        """How many tokens or steps there are in all."""
        return int(self._tenths.counts.sum())

    @property
    def total(self) -> float:
        """The sum of all relevance."""
        return float(self._tenths.totals.sum())

    def add(self, sequences: Sequence[Floats]) -> None:
        """Add the relevance of each step of several sequences."""
        lengths = np.array(list(map(len, sequences)), dtype=np.intp)
        amounts = np.concatenate(sequences)
        ends = np.cumsum(lengths)
        positions = np.arange(len(amounts)) - np.repeat(ends - lengths, lengths)
        self._from_start.add(np.minimum(positions, POSITIONS), amounts)
        self._tenths.add(PARTS * positions // np.repeat(lengths, lengths), amounts)

    def merge(self, other: Positions) -> None:
        """Add all that another counted."""
        self._from_start.merge(other._from_start)
        self._tenths.merge(other._tenths)

    def figures(self) -> ByPosition:
        """What was counted so far."""
        found = self._from_start.figures()
        beyond = found.pop() if found and found[-1].position == POSITIONS else None
        return ByPosition(found, beyond, self._tenths.figures())


class _Bins:
    """Amounts that fall into bins."""

    def __init__(self, size: int) -> None:
        self.counts: NDArray[np.int64] = np.zeros(size, dtype=np.int64)
        self.totals: NDArray[np.float64] = np.zeros(size)
        self._sizes: NDArray[np.float64] = np.zeros(size)

    def add(self, bins: Integers, amounts: Floats) -> None:
        size = len(self.counts)
        self.counts += np.bincount(bins, minlength=size)
        self.totals += np.bincount(bins, amounts, size)
        self._sizes += np.bincount(bins, np.abs(amounts), size)

    def merge(self, other: _Bins) -> None:
        self.counts += other.counts
        self.totals += other.totals
        self._sizes += other._sizes

    def figures(self) -> list[PositionFigures]:
        """Those of the bins into which something fell."""
        there = np.flatnonzero(self.counts)
        counts = self.counts[there]
        columns = (there, counts, self.totals[there] / counts, self._sizes[there] / counts)
        return list(map(PositionFigures, *(column.tolist() for column in columns)))
