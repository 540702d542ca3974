"""Cells of every kind over copies of sequences, in parts: what they read, and their states.

Contextual decomposition: Murdoch, Liu and Yu 2018, "Beyond Word Importance: Contextual
Decomposition to Extract Interactions from LSTMs".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from msgspec import Struct

from lstm_lrp_cli.engine.arrays import CopiedSteps, Packing
from lstm_lrp_cli.engine.layers.merging import merged_parts
from lstm_lrp_cli.engine.parts import (
    BiasedParts,
    Parted,
    PartedInput,
    PartedValue,
    Parts,
    merely_whole,
)
from lstm_lrp_cli.model import Booleans, Floats, Integers
from lstm_lrp_cli.model.recurrent import Recurrent, RecurrentCell
from .cells import CellRecord
from .inputs import in_reading_order
from .states import CellStates, apart, state_sizes
from .weights import Maps, from_left


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
        self._weights = from_left(Maps.of(cell).input)
        self._parts = parts
        self.has_relevant = np.asarray(parts.relevant.any(axis=1))

    def add_products(self, rows: Integers, z: Floats) -> None:
        """Add W x of both parts at some rows to z, shape (2, maps, n, hidden)."""
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
        weights = from_left(Maps.of(cell).input)
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


class BegunParts(Struct, frozen=True, eq=False):
    """The states with which copies begin, in parts, of each kind that the cell has.

    Parameters
    ----------
    begun : sequence of Parts, each of shape (copies, units)
    idle : sequence of Parts
        What copies without steps give, likewise.
    are_parted : bool
        Whether any of the states may be relevant.
    """

    begun: Sequence[Parts]
    idle: Sequence[Parts]
    are_parted: bool = False

    @classmethod
    def of_record(cls, record: CellRecord, copies: CopiedSteps) -> BegunParts:
        """The states of the originals, of which nothing is relevant."""

        def whole(states: CellStates) -> list[Parts]:
            found = []
            of_copies = states.of(copies.sequences).kinds
            for size, state in zip(state_sizes(record.reading.cell), of_copies, strict=False):
                zeros = np.zeros((len(copies.sequences), size), dtype=record.h.dtype)
                found.append(merely_whole(zeros if state is None else state))
            return found

        return cls(whole(record.begun), whole(record.reading.idle))

    @classmethod
    def given(cls, relevant: CellStates, irrelevant: CellStates) -> BegunParts:
        """Those that a node gives."""
        pairs = zip(relevant.written_out, irrelevant.written_out, strict=True)
        parts = [Parts(*pair) for pair in pairs]
        return cls(parts, parts, are_parted=True)

    @property
    def has_relevant(self) -> Booleans | bool:
        """The copies that begin with a relevant part, shape (copies,)."""
        if not self.are_parted:
            return False
        found: Booleans = np.logical_or.reduce([p.relevant.any(axis=1) for p in self.begun])
        return found


class Late(Struct, frozen=True, eq=False):
    """The steps of copies from the first one on at which something is relevant.

    Parameters
    ----------
    copies : ndarray of int, shape (late,)
        The copies that have such a step, from the one with most steps from there on.
    starts : ndarray of int, shape (late,)
        That first step.
    packing : Packing
        Of the steps from there on.
    rows : ndarray of int, shape (late rows,)
        Where they stand among all rows of the copies.
    """

    copies: Integers
    starts: Integers
    packing: Packing
    rows: Integers

    @classmethod
    def of(cls, packing: Packing, has_relevant: Booleans, begins_so: Booleans | bool) -> Late:
        """The late steps, given what is relevant.

        Parameters
        ----------
        packing : Packing
            Of the copies.
        has_relevant : ndarray of bool, shape (rows,)
            The rows that have a relevant part, in the reading order.
        begins_so : ndarray of bool, shape (copies,), or bool
            The copies whose states have one before the first step.
        """
        starts = np.where(begins_so, 0, packing.lengths)
        begun = np.flatnonzero(has_relevant)
        np.minimum.at(starts, packing.sequence[begun], packing.step[begun])
        lengths = packing.lengths - starts
        order = np.argsort(-lengths, kind="stable")
        order = order[lengths[order] > 0]
        starts, late = starts[order], Packing(lengths[order])
        rows = packing.offsets[starts[late.sequence] + late.step] + order[late.sequence]
        return cls(order, starts, late, rows)

    def before(
        self, record: CellRecord, copies: CopiedSteps, begun: BegunParts, kind: int
    ) -> Floats:
        """The states of a kind before the late steps, shape (2, late, units).

        Of those behind the first step all is irrelevant.
        """
        parts = begun.begun[kind]
        states = np.stack([parts.relevant[self.copies], parts.irrelevant[self.copies]])
        later = np.flatnonzero(self.starts)
        offsets = record.packing.offsets[self.starts[later] - 1]
        rows = offsets + copies.sequences[self.copies[later]]
        states[0, later] = 0.0
        states[1, later] = record.states(kind, rows)
        return states


class StateRun(Struct, frozen=True, eq=False):
    """A cell's states of one kind, in parts.

    Parameters
    ----------
    record : CellRecord
        The originals' forward pass.
    copies : CopiedSteps
    late : Late
    idle : Parts
        Of copies without steps; of shape (copies, units).
    kind : int
    states : ndarray, shape (2, late rows, units)
        The relevant and the irrelevant part at the late steps.
    """

    record: CellRecord
    copies: CopiedSteps
    late: Late
    idle: Parts
    kind: int
    states: Floats

    def at_steps(self) -> Parts:
        """Of every step, shape (rows, units), in the reading order."""
        irrelevant = self.record.states(self.kind, self.copies.rows)
        relevant = np.zeros_like(irrelevant)
        relevant[self.late.rows], irrelevant[self.late.rows] = self.states
        return Parts(relevant, irrelevant)

    def at_end(self) -> Parts:
        """Of the last step, shape (copies, units)."""
        packing, late = self.copies.packing, self.late
        relevant, irrelevant = self.idle.relevant.copy(), self.idle.irrelevant.copy()
        relevant[: packing.started] = 0.0
        last = self.copies.rows[packing.last]
        irrelevant[: packing.started] = self.record.states(self.kind, last)
        relevant[late.copies], irrelevant[late.copies] = self.states[:, late.packing.last]
        return Parts(relevant, irrelevant)


def with_bias(biased: BiasedParts, is_relevant: Booleans) -> Parts:
    """What the bias gives alone is relevant at some rows, (n, 1)."""
    return Parts(
        biased.relevant + np.where(is_relevant, biased.of_bias, 0.0),
        biased.irrelevant + np.where(is_relevant, 0.0, biased.of_bias),
    )


def parted(
    layer: Recurrent,
    cells: Sequence[CellRecord],
    run: Callable[[Any, CopiedSteps, CellParts, Booleans, BegunParts], list[StateRun]],
    sources: Sequence[Parted],
    copied: CopiedSteps,
) -> PartedValue:
    """Run a recurrent layer on parts, over copies of the sequences.

    Parameters
    ----------
    cells : sequence of CellRecord
        Those of its forward pass.
    run : callable
        Runs a cell on parts.
    sources : sequence of PartedValue or PartedInput
        What it reads, and, where another node gives them, the states that it begins in.
    """
    returns_last = layer.returns == "last"
    source = sources[0]
    marked = source.relevant_steps
    hidden, of_cells = [], []
    for each, begun in zip(cells, _begun_parts(layer, cells, sources, copied), strict=True):
        cell = each.reading.cell
        read = _read_parts(cell, source, copied.packing)
        at = in_reading_order(cell, marked, copied.packing)
        first, *rest = (
            one.at_end() if returns_last else _in_order(cell, one.at_steps(), copied.packing)
            for one in run(each, copied, read, at, begun)
        )
        hidden.append(first)
        of_cells += rest
    merged = merged_parts(layer.merge, hidden)
    if of_cells:
        merged = merged_parts("concat", [merged, *of_cells])
    if returns_last:
        return PartedValue(merged)
    return PartedValue(merged, copied.packing, marked)


def _begun_parts(
    layer: Recurrent, cells: Sequence[CellRecord], sources: Sequence[Parted], copied: CopiedSteps
) -> list[BegunParts]:
    if len(sources) == 1:
        return [BegunParts.of_record(record, copied) for record in cells]
    parts = sources[1].parts
    pairs = zip(apart(layer, parts.relevant), apart(layer, parts.irrelevant), strict=True)
    return [BegunParts.given(*pair) for pair in pairs]


def _read_parts(cell: RecurrentCell, source: Parted, packing: Packing) -> CellParts:
    """What a cell reads of copies, in parts, in its reading order."""
    if isinstance(source, PartedInput):
        return InputParts(
            cell,
            source.features,
            in_reading_order(cell, source.places, packing),
            in_reading_order(cell, source.entries, packing),
        )
    return ComputedParts(cell, _in_order(cell, source.parts, packing))


def _in_order(cell: RecurrentCell, parts: Parts, packing: Packing) -> Parts:
    """Bring parts from the sequences' order to that in which a cell reads them, or back."""
    return parts.each(lambda part: in_reading_order(cell, part, packing))
