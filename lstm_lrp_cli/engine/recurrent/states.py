"""The states of recurrent layers' cells between two steps, and between two sequences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from lstm_lrp_cli.engine.arrays import Packing
from lstm_lrp_cli.model import Floats, Integers
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.model.recurrent import LstmCell, Recurrent, RecurrentCell


@dataclass(frozen=True, slots=True, eq=False)
class CellStates:
    """The states of one cell between two steps, of several sequences.

    Parameters
    ----------
    hidden : ndarray, shape (sequences, outputs), or None
    cell : ndarray, shape (sequences, hidden), or None
        None is zero.
    """

    hidden: Floats | None = None
    cell: Floats | None = None

    @classmethod
    def initial(cls, cell: RecurrentCell, sequences: int) -> CellStates:
        """Those with which a model's sequences begin where nothing is carried to them."""
        hidden = cell.initial_hidden
        state = cell.initial_cell if isinstance(cell, LstmCell) else None
        return cls(
            None if hidden is None else np.broadcast_to(hidden, (sequences, len(hidden))),
            None if state is None else np.broadcast_to(state, (sequences, len(state))),
        )

    def of(self, sequences: Integers) -> CellStates:
        """Those of some of the sequences, in that order."""
        return CellStates(
            None if self.hidden is None else self.hidden[sequences],
            None if self.cell is None else self.cell[sequences],
        )


@dataclass(frozen=True, slots=True, eq=False)
class States:
    """The states of all stateful LSTMs between two sequences, of several that run side by side.

    Parameters
    ----------
    cells : dict
        By the LSTM's place in the model, the states of its cells. Empty of a stateless model.
    """

    cells: Mapping[int, Sequence[CellStates]] = field(default_factory=dict)

    @classmethod
    def initial(cls, model: Model) -> States:
        """Those with which one sequence begins where nothing is carried to it, all written out."""
        return cls(
            {
                place: [_written_out(cell, model) for cell in node.layer.cells]
                for place, node in enumerate(model.nodes)
                if isinstance(node.layer, Recurrent) and node.layer.stateful
            }
        )

    @classmethod
    def joined(cls, several: Sequence[States]) -> States:
        """Those of the sequences of several, one after the other, all written out."""

        def joined(cells: Sequence[CellStates]) -> CellStates:
            hidden = [each.hidden for each in cells if each.hidden is not None]
            states = [each.cell for each in cells if each.cell is not None]
            return CellStates(np.concatenate(hidden), np.concatenate(states) if states else None)

        return cls(
            {
                place: list(map(joined, zip(*(each.cells[place] for each in several), strict=True)))
                for place in several[0].cells
            }
        )

    def of(self, sequences: Integers) -> States:
        """Those of some of the sequences, in that order."""
        return States(
            {place: [cell.of(sequences) for cell in cells] for place, cells in self.cells.items()}
        )


# Of a stateless model, whose sequences all begin with its initial states.
NOTHING_CARRIED = States()


def _written_out(cell: RecurrentCell, model: Model) -> CellStates:
    hidden = np.zeros((1, cell.output_size), model.dtype)
    if cell.initial_hidden is not None:
        hidden[:] = cell.initial_hidden
    if not isinstance(cell, LstmCell):
        return CellStates(hidden)
    state = np.zeros((1, cell.hidden_size), model.dtype)
    if cell.initial_cell is not None:
        state[:] = cell.initial_cell
    return CellStates(hidden, state)


def split_states(layer: Recurrent, states: Floats) -> list[CellStates]:
    """The states of each cell in those of a node, shape (batch, units), side by side."""
    found, start = [], 0
    for cell in layer.cells:
        stop = start + cell.output_size
        hidden, state = states[:, start:stop], None
        if isinstance(cell, LstmCell):
            state = states[:, stop : stop + cell.hidden_size]
            stop += cell.hidden_size
        found.append(CellStates(hidden, state))
        start = stop
    return found


def joined_states(cells: Sequence[CellStates]) -> Floats:
    """The same side by side, where all are written out."""
    parts = [part for each in cells for part in (each.hidden, each.cell) if part is not None]
    return np.concatenate(parts, axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class Upper:
    """What a cell's states are given from above: relevance, or a gradient.

    Parameters
    ----------
    at_end : ndarray, shape (batch, outputs), or None
        Of the hidden state after a sequence's last step, if there is none of every step.
    at_steps : ndarray, shape (rows, outputs), or None
        In the order in which the cell reads.
    cell_at_end : ndarray, shape (batch, hidden), or None
    cell_at_steps : ndarray, shape (rows, hidden), or None
        The same of the cell state, where that is an output.
    """

    at_end: Floats | None
    at_steps: Floats | None
    cell_at_end: Floats | None = None
    cell_at_steps: Floats | None = None


def before_steps(states: Floats, begun: Floats | None, packing: Packing) -> Floats:
    """The state with which each step begins, of those in which steps end, shape (rows, units)."""
    before = np.empty_like(states)
    before[: packing.started] = 0.0 if begun is None else begun[: packing.started]
    before[packing.started :] = states[packing.previous]
    return before


def at_end(last: Floats, begun: Floats | None, batch: int) -> Floats:
    """A state after the last steps, shape (batch, units).

    Parameters
    ----------
    last : ndarray, shape (started, units)
        Of sequences with steps.
    begun : ndarray, shape (batch, units) or (units,), or None
        Of those without; None is zero.
    """
    ended = np.zeros((batch, last.shape[1]), dtype=last.dtype)
    if begun is not None:
        ended[:] = begun
    ended[: len(last)] = last
    return ended
