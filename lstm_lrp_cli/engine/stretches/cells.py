"""One cell over a long sequence, of which only the states between stretches are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from msgspec import Struct, field

from lstm_lrp_cli.engine.records import Shares
from lstm_lrp_cli.engine.recurrent import run_cell
from lstm_lrp_cli.engine.recurrent.cells import CellRecord, Reading
from lstm_lrp_cli.engine.recurrent.inputs import CellInput, in_reading_order
from lstm_lrp_cli.engine.recurrent.states import CellStates, StateAmounts, state_sizes
from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.recurrent import Recurrent, RecurrentCell
from .rows import Collected, Grid

# Passes what a stretch's states have to what the cell reads in it, in the reading order, and to the
# states with which it begins; told whether anything comes before it.
PassStretch = Callable[[CellRecord, StateAmounts, bool], tuple[Floats, CellStates, Shares]]


class StretchedCell(Struct, eq=False):
    """One cell's forward pass; what it records of a stretch is made again where it is asked for.

    Parameters
    ----------
    read : callable
        What the cell reads in a stretch, by the number of the stretch.
    begun, idle : CellStates
        As `Reading` has them.
    gives : tuple of int
        The kinds of its states that other layers are given.
    """

    layer: Recurrent
    cell: RecurrentCell
    grid: Grid
    read: Callable[[int], CellInput]
    begun: CellStates
    idle: CellStates
    keeps_gates: bool
    gives: tuple[int, ...]
    # What other layers are given, by kind, in the sequence's order.
    _given: dict[int, Collected] = field(default_factory=dict)
    # With which states stretches begin, in the order in which they are read; what was run last.
    _begins: list[CellStates] = field(default_factory=list)
    _last: tuple[int, CellRecord] | None = None

    def __post_init__(self) -> None:
        self._begins.append(self.begun)
        for kind in self.gives:
            units = state_sizes(self.cell)[kind]
            self._given[kind] = Collected(self.grid, (units,), self.cell.input.dtype)

    def record(self, stretch: int) -> CellRecord:
        """What the cell records of a stretch, which is run with those before it if need be."""
        return self._run(self._order(stretch))

    def states(self, kind: int, stretch: int) -> Floats:
        """What other layers are given of the states of a stretch, in the sequence's order."""
        if self._order(stretch) >= len(self._begins) - 1:
            self._run(self._order(stretch))
        found = self._given[kind].amounts.of(stretch)
        assert found is not None
        return found

    @property
    def ended(self) -> CellStates:
        """The states after the last step."""
        if len(self._begins) <= self.grid.count:
            self._run(self.grid.count - 1)
        return self._begins[-1]

    def backwards(self) -> Iterator[tuple[int, bool]]:
        """The stretches from the one read last, and whether any is read before each."""
        for place in range(self.grid.count - 1, -1, -1):
            yield self._order(place), place > 0

    def pass_back(
        self,
        above: Callable[[int], StateAmounts | None],
        last: StateAmounts | None,
        pass_stretch: PassStretch,
        into: Collected,
    ) -> tuple[CellStates, list[Shares]]:
        """Pass amounts of the states back to the inputs, stretch by stretch.

        Parameters
        ----------
        above : callable
            What layers above give to the states of a stretch, in the reading order.
        last : StateAmounts or None
            What they give to those after the last step.
        into : Collected
            Takes what the inputs get, in their order.

        Returns
        -------
        CellStates
            What the states with which the sequence begins get.
        list of Shares
            What did not reach either, of each stretch.
        """
        later, lost = last, list[Shares]()
        for stretch, has_before in self.backwards():
            given = _together(above(stretch), later)
            if given is None:
                continue
            read, begun, kept = pass_stretch(self.record(stretch), given, has_before)
            into.take(stretch, in_reading_order(self.cell, read, self.grid.packing_of(stretch)))
            lost.append(kept)
            assert begun.hidden is not None
            later = StateAmounts(begun.hidden, begun.cell, by_step=False)
        found = later.after_last(1, self.cell) if later is not None else self._nothing()
        return CellStates(*found), lost

    def _nothing(self) -> list[Floats]:
        return [np.zeros((1, size), self.cell.input.dtype) for size in state_sizes(self.cell)]

    def _order(self, number: int) -> int:
        """The stretch that is read at a place, or the place at which a stretch is read."""
        return self.grid.count - 1 - number if self.cell.backward else number

    def _run(self, place: int) -> CellRecord:
        if self._last is None or self._last[0] != place:
            for before in range(len(self._begins) - 1, place):
                self._run_one(before)
            self._run_one(place)
        assert self._last is not None
        return self._last[1]

    # As the whole forward pass is run: what overflows shows in the scores.
    @np.errstate(over="ignore", invalid="ignore", divide="ignore")
    def _run_one(self, place: int) -> None:
        self._last = None  # its memory is used again
        stretch = self._order(place)
        reading = Reading(
            self.cell,
            self.grid.packing_of(stretch),
            self.read(stretch),
            self._begins[place],
            self.idle,
            self.keeps_gates,
        )
        record = run_cell(self.layer, reading)
        if place + 1 == len(self._begins):
            self._begins.append(record.ended)
            for kind, given in self._given.items():
                given.take(
                    stretch, in_reading_order(self.cell, record.states(kind), reading.packing)
                )
        self._last = place, record


def _together(of_steps: StateAmounts | None, later: StateAmounts | None) -> StateAmounts | None:
    """What the layers above give to a stretch, with what the next stretch gives to its end."""
    if of_steps is None or later is None:
        return later if of_steps is None else of_steps
    hidden = _with_last(of_steps.hidden, later.hidden)
    of_cell = of_steps.cell
    if later.cell is not None:
        if of_cell is None:
            of_cell = np.zeros((len(hidden), later.cell.shape[1]), later.cell.dtype)
        of_cell = _with_last(of_cell, later.cell)
    return StateAmounts(hidden, of_cell, by_step=True)


def _with_last(amounts: Floats, more: Floats) -> Floats:
    """Amounts of every step, with more, shape (1, units), at the last one."""
    found = amounts.copy()
    found[-1] += more[0]
    return found
