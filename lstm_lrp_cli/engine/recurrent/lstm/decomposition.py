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
from lstm_lrp_cli.engine.recurrent.parted import CellParts, PartedStates, PartedSteps
from lstm_lrp_cli.engine.recurrent.states import at_end
from lstm_lrp_cli.model import CANDIDATE, FORGET, INPUT, OUTPUT, Booleans, Floats, Integers
from lstm_lrp_cli.model.recurrent import ActivationName
from .cell import CellRecord


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

    def filled(
        self, irrelevant: Floats, late: Floats, begun: Parts, packing: Packing
    ) -> PartedSteps:
        """A state at all steps, of which those that are not late are irrelevant as a whole.

        Parameters
        ----------
        irrelevant : ndarray, shape (rows, units)
            The whole state, which is lost.
        late : ndarray, shape (2, late rows, units)
            The relevant and the irrelevant part at the late steps.
        begun : Parts
            Of the state with which copies begin, shape (copies, units).
        """
        relevant = np.zeros_like(irrelevant)
        relevant[self.rows], irrelevant[self.rows] = late
        last = packing.last
        ends = Parts(
            at_end(relevant[last], begun.relevant, packing.batch),
            at_end(irrelevant[last], begun.irrelevant, packing.batch),
        )
        return PartedSteps(Parts(relevant, irrelevant), ends)


def run(
    record: CellRecord,
    copies: CopiedSteps,
    inputs: CellParts,
    relevant_steps: Booleans,
    begun: PartedStates | None,
) -> tuple[PartedSteps, PartedSteps | None]:
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
    begun : PartedStates or None
        The states with which copies begin; None where all of them is irrelevant.

    Returns
    -------
    PartedSteps
        The hidden state.
    PartedSteps or None
        The cell state, where the layer gives it.
    """
    layer, cell, packing = record.layer, record.cell, copies.packing
    has_relevant = inputs.has_relevant | relevant_steps
    if begun is not None:
        has_relevant[: packing.started] = True  # so each begins with its first step
    late = Late.of(packing, has_relevant)
    recurrent = from_left(cell.recurrent)
    kinds: dict[int, ActivationName] = {
        INPUT: layer.gate_activation,
        FORGET: layer.gate_activation,
        CANDIDATE: layer.activation,
    }
    of_biases = {gate: ACTIVATIONS[kind](cell.bias[gate]) for gate, kind in kinds.items()}
    hidden = np.empty((2, late.packing.rows, cell.output_size), dtype=record.h.dtype)
    states = np.empty((2, late.packing.rows, cell.hidden_size), dtype=record.h.dtype)
    before, c = _states_before(record, copies, late, begun)
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
        states[:, at] = c.relevant, c.irrelevant
        signal = activated(ACTIVATIONS[layer.activation], c)
        before = hidden[:, at]
        for part, of_signal in zip(before, (signal.relevant, signal.irrelevant), strict=True):
            m = o * of_signal
            part[...] = m if cell.projection is None else m @ cell.projection.T
    first = begun or PartedStates.irrelevant(cell, record.begun.of(copies.sequences), packing.batch)
    found = late.filled(record.h[copies.rows], hidden, first.hidden, packing)
    if not layer.gives_cell:
        return found, None
    assert first.cell is not None
    c_of_all = record.ig[copies.rows] + record.fc[copies.rows]
    return found, late.filled(c_of_all, states, first.cell, packing)


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


def _states_before(
    record: CellRecord, copies: CopiedSteps, late: Late, begun: PartedStates | None
) -> tuple[Floats, Parts]:
    """The states with which copies begin late.

    Returns
    -------
    hidden : ndarray, shape (2, late, outputs)
    cell : Parts
        Of shape (late, hidden).
    """
    cell, dtype = record.cell, record.h.dtype
    if begun is not None:
        assert begun.cell is not None
        hidden = np.stack([begun.hidden.relevant, begun.hidden.irrelevant])[:, late.copies]
        return hidden, begun.cell.each(lambda part: part[late.copies])
    hidden = np.zeros((2, len(late.copies), cell.output_size), dtype=dtype)
    state = np.zeros((len(late.copies), cell.hidden_size), dtype=dtype)
    first = record.begun.of(copies.sequences[late.copies])
    if first.hidden is not None:
        hidden[1] = first.hidden
    if first.cell is not None:
        state[...] = first.cell
    later = np.flatnonzero(late.starts)
    offsets = record.packing.offsets[late.starts[later] - 1]
    rows = offsets + copies.sequences[late.copies[later]]
    hidden[1, later] = record.h[rows]
    state[later] = record.ig[rows] + record.fc[rows]
    return hidden, Parts(np.zeros_like(state), state)
