"""The states in which LSTMs begin and end a sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from lstm_lrp_cli.model.arrays import Floats, Integers
from lstm_lrp_cli.model.layers import Lstm, LstmCell
from lstm_lrp_cli.model.model import Model


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
    def initial(cls, cell: LstmCell, sequences: int) -> CellStates:
        """Those with which a model's sequences begin where nothing is carried to them."""
        hidden, state = cell.initial_hidden, cell.initial_cell
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
                if isinstance(node.layer, Lstm) and node.layer.stateful
            }
        )

    @classmethod
    def joined(cls, several: Sequence[States]) -> States:
        """Those of the sequences of several, one after the other, all written out."""

        def joined(cells: Sequence[CellStates]) -> CellStates:
            return CellStates(
                np.concatenate([each.hidden for each in cells if each.hidden is not None]),
                np.concatenate([each.cell for each in cells if each.cell is not None]),
            )

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


def _written_out(cell: LstmCell, model: Model) -> CellStates:
    hidden, state = cell.initial_hidden, cell.initial_cell
    return CellStates(
        np.zeros((1, cell.output_size), model.dtype) if hidden is None else hidden[np.newaxis],
        np.zeros((1, cell.hidden_size), model.dtype) if state is None else state[np.newaxis],
    )
