"""One LSTM cell over a packed batch, in parts: contextual decomposition (Murdoch et al. 2018).

The input and forget gate and the cell candidate are split in three: what the relevant part of
their pre-activation adds, what the irrelevant part adds, and what the bias gives alone. Of a
product of two, relevant is what the relevant parts make, with each other or with a bias. The
output gate is not split.

Before the first step with a relevant part, the irrelevant part is the ordinary forward pass. So
each sequence begins at that step, with the ordinary pass's states.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from lstm_lrp_cli.engine.activations import ACTIVATIONS
from lstm_lrp_cli.engine.cell import CellRecord
from lstm_lrp_cli.engine.cell_input import in_reading_order
from lstm_lrp_cli.engine.cell_weights import from_left
from lstm_lrp_cli.engine.packing import Packing
from lstm_lrp_cli.engine.parts import Parts, activated, activated_with_bias
from lstm_lrp_cli.model.arrays import Booleans, Floats, Integers
from lstm_lrp_cli.model.gates import CANDIDATE, FORGET, INPUT, OUTPUT
from lstm_lrp_cli.model.layers import Lstm, LstmCell


class CellParts(Protocol):
    """The inputs of a packed batch in parts, in the order in which a cell reads them."""

    @property
    def begun(self) -> Booleans:
        """The rows that have a relevant part, or count as relevant steps, shape (rows,)."""
        ...

    def add_products(self, rows: Integers, z: Floats) -> None:
        """Add W x of both parts at some rows to z, shape (2, 4, n, hidden)."""
        ...


class ComputedParts:
    """Inputs that a layer below gives.

    Parameters
    ----------
    parts : Parts
        Of shape (rows, inputs).
    steps : ndarray of bool, shape (rows,)
        The relevant steps.
    """

    def __init__(self, cell: LstmCell, parts: Parts, steps: Booleans, packing: Packing) -> None:
        self._weights = from_left(cell.input)
        self._parts = parts.each(lambda part: in_reading_order(cell, part, packing))
        self._steps = in_reading_order(cell, steps, packing)

    @property
    def begun(self) -> Booleans:
        begun: Booleans = self._steps | self._parts.relevant.any(axis=1)
        return begun

    def add_products(self, rows: Integers, z: Floats) -> None:
        z[0] += self._parts.relevant[rows] @ self._weights
        z[1] += self._parts.irrelevant[rows] @ self._weights


class InputParts:
    """A model's input, of which few rows are relevant: W x is computed once for all copies.

    Parameters
    ----------
    features : ndarray, shape (original rows, inputs)
    original : ndarray of int, shape (rows,)
        The row that each row is a copy of.
    relevant : ndarray of bool, shape (rows,) or (rows, inputs)
        The relevant rows or entries.
    packing, copied : Packing
        Of the originals, and of the copies.
    """

    def __init__(
        self,
        cell: LstmCell,
        features: Floats,
        original: Integers,
        relevant: Booleans,
        packing: Packing,
        copied: Packing,
    ) -> None:
        weights = from_left(cell.input)
        features = in_reading_order(cell, features, packing)
        relevant = in_reading_order(cell, relevant.reshape(len(original), -1), copied)
        self.begun: Booleans = relevant.any(axis=1)
        self._original = original
        self._products = features @ weights
        marked = np.flatnonzero(self.begun)
        self._place = np.zeros(len(original), dtype=np.intp)
        self._place[marked] = np.arange(len(marked))
        of_marked, entries = features[original[marked]], relevant[marked]
        self._relevant = np.where(entries, of_marked, 0.0).astype(features.dtype) @ weights
        self._irrelevant = np.where(entries, 0.0, of_marked).astype(features.dtype) @ weights

    def add_products(self, rows: Integers, z: Floats) -> None:
        products = self._products[:, self._original[rows]]
        marked = np.flatnonzero(self.begun[rows])
        if len(marked):
            places = self._place[rows[marked]]
            z[0][:, marked] += self._relevant[:, places]
            products[:, marked] = self._irrelevant[:, places]
        z[1] += products
