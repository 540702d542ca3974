"""What a cell reads of copies of sequences, in parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lstm_lrp_cli.engine.arrays import Packing
from lstm_lrp_cli.engine.parts import Parted, PartedInput, Parts, merely_whole
from lstm_lrp_cli.model import Booleans, Floats, Integers
from lstm_lrp_cli.model.recurrent import LstmCell, Recurrent, RecurrentCell
from .inputs import from_left, in_reading_order, stacked
from .states import CellStates, at_end, split_states


class ComputedParts:
    """Inputs that a layer below gives.

    Parameters
    ----------
    parts : Parts
        Of shape (rows, inputs), in the reading order.

    Attributes
    ----------
    has_relevant : ndarray of bool, shape (rows,)
        The rows that have a relevant part.
    """

    def __init__(self, cell: RecurrentCell, parts: Parts) -> None:
        self._weights = from_left(stacked(cell)[0])
        self._parts = parts
        self.has_relevant = np.asarray(parts.relevant.any(axis=1))

    def add_products(self, rows: Integers, z: Floats) -> None:
        """Add W x of both parts at some rows to z, shape (2, gates, n, hidden)."""
        z[0] += self._parts.relevant[rows] @ self._weights
        z[1] += self._parts.irrelevant[rows] @ self._weights


class InputParts:
    """A model's input, of which few rows are relevant: W x is computed once for all copies.

    Parameters
    ----------
    features : ndarray, shape (originals, inputs)
        Of the rows that copies are of, each once.
    originals : ndarray of int, shape (rows,)
        Where among them the row is that each is a copy of, in the reading order.
    relevant : ndarray of bool, shape (rows, 1) or (rows, inputs)
        The relevant rows or entries, in the reading order.
    """

    def __init__(
        self, cell: RecurrentCell, features: Floats, originals: Integers, relevant: Booleans
    ) -> None:
        weights = from_left(stacked(cell)[0])
        self._originals = originals
        self._products = features @ weights
        self.has_relevant = np.asarray(relevant.any(axis=1))
        marked = np.flatnonzero(self.has_relevant)
        self._place = np.zeros(len(originals), dtype=np.intp)
        self._place[marked] = np.arange(len(marked))
        of_marked, entries = features[originals[marked]], relevant[marked]
        self._relevant = (of_marked * entries) @ weights
        self._irrelevant = (of_marked * ~entries) @ weights

    def add_products(self, rows: Integers, z: Floats) -> None:
        products = self._products[:, self._originals[rows]]
        marked = np.flatnonzero(self.has_relevant[rows])
        if len(marked):
            places = self._place[rows[marked]]
            z[0][:, marked] += self._relevant[:, places]
            products[:, marked] = self._irrelevant[:, places]
        z[1] += products


# What a cell reads, in parts and in its reading order.
CellParts = ComputedParts | InputParts


def read_parts(cell: RecurrentCell, source: Parted, packing: Packing) -> CellParts:
    """What a cell reads of copies, in parts, in its reading order."""
    if isinstance(source, PartedInput):
        return InputParts(
            cell,
            source.features,
            in_reading_order(cell, source.places, packing),
            in_reading_order(cell, source.entries, packing),
        )
    return ComputedParts(cell, in_order(cell, source.parts, packing))


def in_order(cell: RecurrentCell, parts: Parts, packing: Packing) -> Parts:
    """Bring parts from the sequences' order to that in which a cell reads them, or back."""
    return parts.each(lambda part: in_reading_order(cell, part, packing))


@dataclass(frozen=True, slots=True, eq=False)
class PartedStates:
    """The states with which copies begin, in parts.

    Parameters
    ----------
    hidden : Parts
        Of shape (copies, outputs).
    cell : Parts or None
        Of shape (copies, hidden); None where there is none.
    """

    hidden: Parts
    cell: Parts | None = None

    @classmethod
    def irrelevant(cls, cell: RecurrentCell, begun: CellStates, copies: int) -> PartedStates:
        """The states with which the copies begin, where nothing of them is relevant."""

        def whole(state: Floats | None, units: int) -> Parts:
            value = np.zeros((copies, units), dtype=cell.input.dtype)
            if state is not None:
                value[:] = state
            return merely_whole(value)

        state = whole(begun.cell, cell.hidden_size) if isinstance(cell, LstmCell) else None
        return cls(whole(begun.hidden, cell.output_size), state)

    @classmethod
    def split(cls, layer: Recurrent, states: Parts) -> list[PartedStates]:
        """Those of each cell, in what a node gives."""
        relevant, irrelevant = (
            split_states(layer, part) for part in (states.relevant, states.irrelevant)
        )
        found = []
        for one, other in zip(relevant, irrelevant, strict=True):
            assert one.hidden is not None
            assert other.hidden is not None
            cell = None
            if one.cell is not None and other.cell is not None:
                cell = Parts(one.cell, other.cell)
            found.append(cls(Parts(one.hidden, other.hidden), cell))
        return found


@dataclass(frozen=True, slots=True, eq=False)
class PartedSteps:
    """A state of a cell in parts.

    Parameters
    ----------
    at_steps : Parts
        Of every step, shape (rows, units), in the reading order.
    at_end : Parts
        Of the last step, shape (copies, units).
    """

    at_steps: Parts
    at_end: Parts

    @classmethod
    def of(cls, packing: Packing, hidden: Floats, begun: PartedStates) -> PartedSteps:
        """Those of hidden states of both parts, shape (2, rows, units)."""
        ends = [
            at_end(part[packing.last], first, packing.batch)
            for part, first in zip(
                hidden, (begun.hidden.relevant, begun.hidden.irrelevant), strict=True
            )
        ]
        return cls(Parts(*hidden), Parts(*ends))
