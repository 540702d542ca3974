"""One LSTM cell over copies of sequences, in parts.

Contextual decomposition: Murdoch, Liu and Yu 2018, "Beyond Word Importance: Contextual
Decomposition to Extract Interactions from LSTMs".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lstm_lrp_cli.engine.activations import ACTIVATIONS
from lstm_lrp_cli.engine.arrays import CopiedSteps, Packing
from lstm_lrp_cli.engine.parts import BiasedParts, Parts, activated, activated_with_bias
from lstm_lrp_cli.engine.recurrent.inputs import from_left
from lstm_lrp_cli.model import CANDIDATE, FORGET, INPUT, OUTPUT, Booleans, Floats, Integers
from lstm_lrp_cli.model.recurrent import ActivationName, LstmCell
from .cell import CellRecord


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

    def __init__(self, cell: LstmCell, parts: Parts) -> None:
        self._weights = from_left(cell.input)
        self._parts = parts
        self.has_relevant = np.asarray(parts.relevant.any(axis=1))

    def add_products(self, rows: Integers, z: Floats) -> None:
        """Add W x of both parts at some rows to z, shape (2, 4, n, hidden)."""
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
        self, cell: LstmCell, features: Floats, originals: Integers, relevant: Booleans
    ) -> None:
        weights = from_left(cell.input)
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


@dataclass(frozen=True, slots=True, eq=False)
class Late:
    """The steps of copies from their first one with a relevant part on.

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
    def of(cls, packing: Packing, has_relevant: Booleans) -> Late:
        """The late steps, given which rows have a relevant part, both in the reading order."""
        starts = packing.lengths.copy()
        begun = np.flatnonzero(has_relevant)
        np.minimum.at(starts, packing.sequence[begun], packing.step[begun])
        lengths = packing.lengths - starts
        order = np.argsort(-lengths, kind="stable")
        order = order[lengths[order] > 0]
        starts, late = starts[order], Packing(lengths[order])
        rows = packing.offsets[starts[late.sequence] + late.step] + order[late.sequence]
        return cls(order, starts, late, rows)


@dataclass(frozen=True, slots=True, eq=False)
class CellRun:
    """A cell's hidden states in parts.

    Parameters
    ----------
    record : CellRecord
        The originals' forward pass.
    copies : CopiedSteps
    late : Late
    hidden : ndarray, shape (2, late rows, outputs)
        The relevant and the irrelevant part at the late steps.
    """

    record: CellRecord
    copies: CopiedSteps
    late: Late
    hidden: Floats

    def at_steps(self) -> Parts:
        """Of every step, shape (rows, outputs), in the reading order."""
        irrelevant = self.record.h[self.copies.rows]
        relevant = np.zeros_like(irrelevant)
        relevant[self.late.rows], irrelevant[self.late.rows] = self.hidden
        return Parts(relevant, irrelevant)

    def at_end(self) -> Parts:
        """Of the last step, shape (copies, outputs)."""
        packing, cell = self.copies.packing, self.record.cell
        irrelevant = np.zeros((packing.batch, cell.output_size), dtype=self.hidden.dtype)
        if cell.initial_hidden is not None:
            irrelevant += cell.initial_hidden
        relevant = np.zeros_like(irrelevant)
        irrelevant[: packing.started] = self.record.h[self.copies.rows[packing.last]]
        relevant[self.late.copies], irrelevant[self.late.copies] = self.hidden[
            :, self.late.packing.last
        ]
        return Parts(relevant, irrelevant)


def run(
    record: CellRecord, copies: CopiedSteps, inputs: CellParts, relevant_steps: Booleans
) -> CellRun:
    """Run a cell over copies of sequences.

    Parameters
    ----------
    record : CellRecord
        The originals' forward pass.
    copies : CopiedSteps
    inputs : CellParts
        What the copies' cells read.
    relevant_steps : ndarray of bool, shape (rows,)
        The rows, in the reading order, at which what biases alone give to the cell state is
        relevant.
    """
    layer, cell = record.layer, record.cell
    late = Late.of(copies.packing, inputs.has_relevant | relevant_steps)
    recurrent = from_left(cell.recurrent)
    kinds: dict[int, ActivationName] = {
        INPUT: layer.gate_activation,
        FORGET: layer.gate_activation,
        CANDIDATE: layer.activation,
    }
    of_biases = {gate: ACTIVATIONS[kind](cell.bias[gate]) for gate, kind in kinds.items()}
    hidden = np.empty((2, late.packing.rows, cell.output_size), dtype=record.h.dtype)
    before, c = _states_before(record, copies, late)
    for at in late.packing.slices():
        rows, n = late.rows[at], at.stop - at.start
        z = before[:, np.newaxis, :n] @ recurrent
        inputs.add_products(rows, z)
        i, f, g = (
            activated_with_bias(kind, Parts(*z[:, gate]), cell.bias[gate], of_biases[gate])
            for gate, kind in kinds.items()
        )
        o = ACTIVATIONS[layer.gate_activation](z[0, OUTPUT] + z[1, OUTPUT] + cell.bias[OUTPUT])
        kept = _kept(f, Parts(c.relevant[:n], c.irrelevant[:n]))
        written = _written(i, g, relevant_steps[rows, np.newaxis])
        c = Parts(kept.relevant + written.relevant, kept.irrelevant + written.irrelevant)
        signal = activated(ACTIVATIONS[layer.activation], c)
        before = hidden[:, at]
        for part, of_signal in zip(before, (signal.relevant, signal.irrelevant), strict=True):
            m = o * of_signal
            part[...] = m if cell.projection is None else m @ cell.projection.T
    return CellRun(record, copies, late, hidden)


def _kept(f: BiasedParts, c: Parts) -> Parts:
    """f * c: relevant is what the relevant part of f and its bias keep of that of c."""
    return Parts(
        (f.relevant + f.of_bias) * c.relevant, f.irrelevant * c.relevant + f.whole * c.irrelevant
    )


def _written(i: BiasedParts, g: BiasedParts, is_relevant: Booleans) -> Parts:
    """i * g, of which what the biases alone give is relevant at some rows, (n, 1)."""
    by_biases = i.of_bias * g.of_bias
    relevant = i.relevant * (g.relevant + g.of_bias) + i.of_bias * g.relevant
    irrelevant = i.irrelevant * g.whole + (i.relevant + i.of_bias) * g.irrelevant
    return Parts(
        relevant + np.where(is_relevant, by_biases, 0.0),
        irrelevant + np.where(is_relevant, 0.0, by_biases),
    )


def _states_before(record: CellRecord, copies: CopiedSteps, late: Late) -> tuple[Floats, Parts]:
    """The states with which copies begin late; all of them is irrelevant.

    Returns
    -------
    hidden : ndarray, shape (2, late, outputs)
    cell : Parts
        Of shape (late, hidden).
    """
    cell, dtype = record.cell, record.h.dtype
    hidden = np.zeros((2, len(late.copies), cell.output_size), dtype=dtype)
    state = np.zeros((len(late.copies), cell.hidden_size), dtype=dtype)
    begun = record.begun.of(copies.sequences[late.copies])
    if begun.hidden is not None:
        hidden[1] = begun.hidden
    if begun.cell is not None:
        state[...] = begun.cell
    later = np.flatnonzero(late.starts)
    offsets = record.packing.offsets[late.starts[later] - 1]
    rows = offsets + copies.sequences[late.copies[later]]
    hidden[1, later] = record.h[rows]
    state[later] = record.ig[rows] + record.fc[rows]
    return hidden, Parts(np.zeros_like(state), state)
