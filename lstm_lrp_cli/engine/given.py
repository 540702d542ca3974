"""Steps as they were given, of which some have no row: a mask skips them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lstm_lrp_cli.engine.packing import Packing
from lstm_lrp_cli.model.arrays import Booleans, Integers


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """The steps of a batch's sequences as they were given.

    Parameters
    ----------
    lengths : ndarray of int, shape (batch,)
        How many steps each sequence was given.
    places : ndarray of int, shape (rows - padding,)
        Where each row that is not padding, in the order of sequences, stands among all steps that
        were given.
    """

    lengths: Integers
    places: Integers

    @classmethod
    def all_of(cls, packing: Packing, padding: Booleans | None) -> Given:
        """Steps that all have a row."""
        lengths = packing.lengths
        if padding is not None:
            lengths = lengths - np.bincount(packing.sequence[padding], minlength=packing.batch)
        return cls(lengths, np.arange(lengths.sum()))

    def within(self, span: slice, packing: Packing, padding: Booleans | None) -> Booleans:
        """The rows of the steps from one to another of each sequence, shape (rows,).

        Parameters
        ----------
        span : slice
            As Python has it: from 0, from -1 backwards, and cut to what there is.
        packing : Packing
        padding : ndarray of bool, shape (rows,), or None
            The rows that are padding.
        """
        rows = packing.by_sequence
        if padding is not None:
            rows = rows[~padding[rows]]
        sequence = packing.sequence[rows]
        steps = self.places - (np.cumsum(self.lengths) - self.lengths)[sequence]
        start = 0 if span.start is None else self._from_start(span.start)[sequence]
        stop = (
            self.lengths[sequence] if span.stop is None else self._from_start(span.stop)[sequence]
        )
        within = np.zeros(packing.rows, dtype=bool)
        within[rows] = (steps >= start) & (steps < stop)
        return within

    def _from_start(self, bound: int) -> Integers:
        """A bound of a span, which may count from the end, in each sequence, shape (batch,)."""
        return np.full_like(self.lengths, bound) if bound >= 0 else self.lengths + bound
