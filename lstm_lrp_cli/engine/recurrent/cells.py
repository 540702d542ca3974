"""What the forward pass of a cell of any kind records."""

import numpy as np
from msgspec import Struct

from lstm_lrp_cli.engine.arrays import Packing
from lstm_lrp_cli.model import Floats, Integers
from lstm_lrp_cli.model.recurrent import Recurrent, RecurrentCell
from .inputs import CellInput
from .states import HIDDEN, CellStates, state_sizes


class Reading(Struct, frozen=True, eq=False):
    """What a cell is to read, and from which states on.

    Parameters
    ----------
    cell : RecurrentCell
    packing : Packing
    inputs : CellInput
        In the order in which the cell reads them.
    begun : CellStates
        The states with which sequences begin.
    idle : CellStates
        What a sequence without steps gives.
    keeps_gates : bool
        Whether the gates' activations are to be kept.
    """

    cell: RecurrentCell
    packing: Packing
    inputs: CellInput
    begun: CellStates
    idle: CellStates
    keeps_gates: bool = False


class CellRecord(Struct, frozen=True, eq=False):
    """One cell's forward pass; its rows are in the order in which the cell reads them.

    Parameters
    ----------
    h : ndarray, shape (rows, outputs)
        The hidden state after each step.
    """

    layer: Recurrent
    reading: Reading
    h: Floats

    @property
    def packing(self) -> Packing:
        return self.reading.packing

    @property
    def inputs(self) -> CellInput:
        return self.reading.inputs

    @property
    def begun(self) -> CellStates:
        return self.reading.begun

    def states(self, kind: int, rows: Integers | slice = slice(None)) -> Floats:
        """The states of a kind after some of the steps, shape (n, units)."""
        assert kind == HIDDEN  # all that most cells have
        return self.h[rows]

    @property
    def ended(self) -> CellStates:
        """The states after each sequence's last step, those of all written out."""
        kinds = range(len(state_sizes(self.reading.cell)))
        return CellStates(*(self.at_end(kind, self.begun) for kind in kinds))

    def at_end(self, kind: int, otherwise: CellStates) -> Floats:
        """The states of a kind after the last steps, shape (batch, units).

        Parameters
        ----------
        otherwise : CellStates
            Of sequences without steps.
        """
        packing = self.packing
        last = self.states(kind, packing.last)
        ended = np.zeros((packing.batch, last.shape[1]), dtype=last.dtype)
        idle = otherwise.kinds[kind]
        if idle is not None:
            ended[:] = idle
        ended[: packing.started] = last
        return ended

    def hidden_before(self, step: int, slices: list[slice]) -> Floats | None:
        """The hidden state with which the sequences of a step begin it; None where it is zero."""
        n = slices[step].stop - slices[step].start
        if step == 0:
            return None if self.begun.hidden is None else self.begun.hidden[:n]
        start = slices[step - 1].start
        return self.h[start : start + n]


def before(states: Floats, begun: Floats | None, packing: Packing) -> Floats:
    """The state with which each step begins, of those in which steps end, shape (rows, units)."""
    found = np.empty_like(states)
    found[: packing.started] = 0.0 if begun is None else begun[: packing.started]
    found[packing.started :] = states[packing.previous]
    return found
