"""Copies of the sequences of a packed batch, for methods that run a sequence many times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lstm_lrp_cli.engine.packing import Packing
from lstm_lrp_cli.engine.relevance import Chosen
from lstm_lrp_cli.model.arrays import Integers


@dataclass(frozen=True, slots=True, eq=False)
class Copies:
    """Some copies of sequences, packed. A copy has all steps of its sequence.

    Parameters
    ----------
    originals : Packing
        What the copies are of.
    numbers : ndarray of int, shape (copies,)
        Where each copy stands among all that were asked for.
    sequences : ndarray of int, shape (copies,)
        The sequence that each is a copy of.
    packing : Packing
        The copies' own.
    """

    originals: Packing
    numbers: Integers
    sequences: Integers
    packing: Packing

    @property
    def rows(self) -> Integers:
        """The row that each row is a copy of, shape (rows,): to gather inputs with."""
        starts: Integers = self.originals.offsets[self.packing.step]
        return starts + self.sequences[self.packing.sequence]

    def places(self, rows: Integers) -> Integers:
        """Where a row of the original, one a copy, stands in the copy, shape (copies,).

        Parameters
        ----------
        rows : ndarray of int, shape (copies,)
            Each of the sequence that the copy is of; -1 for no row, which stays so.
        """
        there = rows >= 0
        places = np.full(len(rows), -1, dtype=np.intp)
        steps = self.originals.step[rows[there]]
        places[there] = self.packing.offsets[steps] + np.flatnonzero(there)
        return places

    def chosen(self, chosen: Chosen) -> Chosen:
        """The scores of the copies that are chosen of the originals."""
        rows = None if chosen.rows is None else self.places(chosen.rows[self.sequences])
        return chosen.among(self.sequences, rows)


def copies(packing: Packing, sequences: Integers, most_rows: int) -> Iterator[Copies]:
    """Copy sequences of a batch, a bounded number of rows at a time.

    Parameters
    ----------
    packing : Packing
    sequences : ndarray of int, shape (copies,)
        The sequence that each is a copy of, in any order. With `packing.sequence`, there is a copy
        for every row, and its number is the row.
    most_rows : int
        How many rows are copied at a time; a single copy may have more.
    """
    order = np.argsort(sequences, kind="stable")  # from the longest to the shortest
    lengths = packing.lengths[sequences[order]]
    ends = np.cumsum(lengths)
    start = 0
    while start < len(order):
        before = ends[start] - lengths[start]
        stop = max(int(np.searchsorted(ends, before + most_rows, side="right")), start + 1)
        numbers = order[start:stop]
        yield Copies(packing, numbers, sequences[numbers], Packing(lengths[start:stop]))
        start = stop
