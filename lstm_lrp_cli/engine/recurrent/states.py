"""The states of cells: those in which they begin and end, and what is theirs of a score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from msgspec import Struct, field

from lstm_lrp_cli.engine.arrays import aligned_empty
from lstm_lrp_cli.model import Floats, Integers
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.model.recurrent import LstmCell, Recurrent, RecurrentCell

# The kinds of state, as they stand one behind the other.
HIDDEN, CELL = range(2)


class CellStates(Struct, frozen=True, eq=False):
    """The states of one cell between two steps, of several sequences.

    Parameters
    ----------
    hidden : ndarray, shape (sequences, outputs), or None
    cell : ndarray, shape (sequences, hidden), or None
        None is zero; of a cell that is no LSTM's there is none.
    """

    hidden: Floats | None = None
    cell: Floats | None = None

    @classmethod
    def initial(cls, cell: RecurrentCell, sequences: int) -> CellStates:
        """Those with which a model's sequences begin where nothing is carried to them."""
        hidden, state = _initial(cell)
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

    @property
    def kinds(self) -> tuple[Floats | None, Floats | None]:
        """Those of each kind: HIDDEN, CELL."""
        return self.hidden, self.cell

    @property
    def written_out(self) -> list[Floats]:
        """Those that there are."""
        return [state for state in self.kinds if state is not None]


def apart(layer: Recurrent, states: Floats) -> list[CellStates]:
    """The states of a layer's cells, of which a node gives all side by side.

    Parameters
    ----------
    states : ndarray, shape (sequences, states)
    """
    found, start = [], 0
    for cell in layer.cells:
        sizes = state_sizes(cell)
        ends = [start + sum(sizes[: k + 1]) for k in range(len(sizes))]
        kinds = [states[:, end - size : end] for end, size in zip(ends, sizes, strict=True)]
        found.append(CellStates(*kinds))
        start = ends[-1]
    return found


def side_by_side(states: Sequence[CellStates]) -> Floats:
    """The same of several cells as one array again, shape (sequences, states)."""
    return np.concatenate([kind for each in states for kind in each.written_out], axis=1)


def state_sizes(cell: RecurrentCell) -> tuple[int, ...]:
    """The units of each kind of state that a cell has: the hidden one, and the cell state."""
    if isinstance(cell, LstmCell):
        return cell.output_size, cell.hidden_size
    return (cell.output_size,)


def _initial(cell: RecurrentCell) -> tuple[Floats | None, Floats | None]:
    return cell.initial_hidden, cell.initial_cell if isinstance(cell, LstmCell) else None


class StateAmounts(Struct, frozen=True, eq=False):
    """What the layers above give to a cell's states: relevance, or a gradient.

    Parameters
    ----------
    hidden : ndarray, shape (batch, outputs), or (rows, outputs) by step
        Of the states after the last steps, or of those of every step in the reading order.
    cell : ndarray, shape (batch, hidden) or (rows, hidden), or None
        None where nothing above knows of the cell states.
    by_step : bool
    """

    hidden: Floats
    cell: Floats | None
    by_step: bool

    @property
    def of_steps(self) -> tuple[Floats | None, Floats | None]:
        """Those of every step, of both states; None where there are none."""
        return (self.hidden, self.cell) if self.by_step else (None, None)

    def after_last(self, batch: int, cell: RecurrentCell) -> tuple[Floats, ...]:
        """New arrays of those after the last steps, one a state: where a way back begins.

        They are of the model's precision, whatever those above are of.
        """
        found = []
        for size, amounts in zip(state_sizes(cell), (self.hidden, self.cell), strict=False):
            array = aligned_empty((batch, size), cell.input.dtype)
            array[:] = 0.0 if self.by_step or amounts is None else amounts
            found.append(array)
        return tuple(found)


class States(Struct, frozen=True, eq=False):
    """The states of all stateful layers between two sequences, of several that run side by side.

    Parameters
    ----------
    cells : dict
        By the layer's place in the model, the states of its cells. Empty of a stateless model.
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
            kinds = zip(*(each.written_out for each in cells), strict=True)
            return CellStates(*map(np.concatenate, kinds))

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
    initial = zip(_initial(cell), state_sizes(cell), strict=False)
    return CellStates(
        *(
            np.zeros((1, size), model.dtype) if state is None else state[np.newaxis]
            for state, size in initial
        )
    )
