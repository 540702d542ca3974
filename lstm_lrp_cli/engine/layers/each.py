"""A graph for each of the sequences that a sequence is made of (TimeDistributed)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_lrp_cli.engine import graph
from lstm_lrp_cli.engine.arrays import Copies, Packing
from lstm_lrp_cli.engine.parts import Parted, PartedValue
from lstm_lrp_cli.engine.records import Record, Shares, Value, WrongSteps, check_steps
from lstm_lrp_cli.engine.rules import LrpRule
from lstm_lrp_cli.model import Floats, Integers
from lstm_lrp_cli.model.layers import MODEL_INPUT, Each, Layer
from .steps import packing_of

# Runs one layer of the inner graph.
RunLayer = Callable[[Layer, Sequence[Value]], Record]


@dataclass(frozen=True, slots=True, eq=False)
class EachRecord(Record):
    """The inner graph's records, over all inner sequences of a batch at once.

    Parameters
    ----------
    packing : Packing
        Of the steps of the inputs.
    sequences : Packing
        With one step an inner sequence; its rows are the inner sequences, in their order.
    inner : Value
        What the inner graph is given.
    records : sequence of Record
        Of the inner graph, one a node.
    made : Packing or None
        The steps that the inner graph makes of its sequences, all of as many; None of one vector.
    """

    layer: Each
    packing: Packing
    sequences: Packing
    inner: Value
    records: Sequence[Record]
    made: Packing | None
    outputs: Floats
    steps: Packing

    @classmethod
    def of(cls, layer: Each, sources: Sequence[Value], run: RunLayer) -> "EachRecord":
        """Run the inner graph on every so many steps.

        Raises
        ------
        WrongSteps
            The steps of a sequence are no multiple of those, or those not what a layer takes.
        """
        [source] = sources
        packing = packing_of(source)
        counts = -(-packing.lengths // layer.steps)
        does = f"takes {layer.steps} at a time (each), so here {{}}"
        check_steps(packing, counts * layer.steps, does)
        sequences = Packing(counts)
        inner = _inner(layer, source.array, packing, sequences)
        values: dict[int, Value] = {MODEL_INPUT: inner}
        try:
            records = graph.run_nodes(
                layer.nodes, values, lambda place, read: run(layer.nodes[place].layer, read)
            )
        except WrongSteps as wrong:
            outer = sequences.sequence[wrong.sequence] if sequences.rows else 0
            raise WrongSteps(int(outer), wrong.found, wrong.expected, wrong.does) from None
        given = values[layer.output]
        steps = _outer_steps(given.packing, inner, packing, sequences)
        if not sequences.rows:  # nothing is left of the one that stood for none
            outputs = given.array[:0]
        elif given.packing is None:
            outputs = given.array
        else:
            outputs = _unfolded(given.array, steps, sequences)
        return cls(layer, packing, sequences, inner, records, given.packing, outputs, steps)

    @property
    def inner_rows(self) -> Integers:
        """The row of the inputs that each row of the inner graph's input is."""
        return _folded(self.packing, self.sequences)

    def at_outer_steps(self, inner: NDArray[Any]) -> NDArray[Any]:
        """A value of each step that the inner graph makes, at the steps of the outputs."""
        return _unfolded(inner, self.steps, self.sequences)

    def relevance(self, relevance: Floats, rule: LrpRule) -> tuple[Sequence[Floats | None], Shares]:
        shares = Shares.none(len(self._inner_lengths))

        def pass_down(place: int, amount: Floats) -> Sequence[Floats | None]:
            nonlocal shares
            down, kept = self.records[place].relevance(amount, rule)
            shares += kept
            return down

        down = self._passed(relevance, pass_down)
        total = self.sequences.total
        if not self.sequences.rows:
            return down, Shares.none(self.sequences.batch)
        of_padding = np.broadcast_to(shares.padding, shares.biases.shape)
        outer = Shares(
            total(shares.initial_state),
            total(shares.biases),
            self.sequences.totals(shares.stabilizers),
            total(of_padding),
        )
        return down, outer

    def gradient(self, gradient: Floats) -> Sequence[Floats]:
        return self._passed(gradient, lambda place, amount: self.records[place].gradient(amount))

    @property
    def _inner_lengths(self) -> Integers:
        assert self.inner.packing is not None
        return self.inner.packing.lengths

    def _passed(
        self, amounts: Floats, pass_down: Callable[[int, Floats], Sequence[Floats | None]]
    ) -> list[Floats]:
        """Pass amounts of the outputs through the inner graph to the inputs."""
        units = self.inner.array.shape[1]
        down = np.zeros((self.packing.rows, units), dtype=amounts.dtype)
        if self.sequences.rows:
            inner = amounts
            if self.made is not None:
                inner = amounts[_folded(self.steps, self.sequences)]
            given = [(self.layer.output, inner)]
            arrived = graph.pass_amounts(self.layer.nodes, given, pass_down)
            if MODEL_INPUT in arrived:
                down[self.inner_rows] = arrived[MODEL_INPUT]
        return [down]

    def parted(self, sources: Sequence[Parted], copies: Copies) -> PartedValue:
        [source] = sources
        steps, of_sequences = copies.of(self.steps).packing, copies.of(self.sequences)
        sequences = of_sequences.packing
        if not sequences.rows:
            none = np.zeros((0, self.outputs.shape[1]), dtype=self.outputs.dtype)
            return PartedValue(source.parts.each(lambda part: none), steps)
        inner_copies = Copies(np.arange(sequences.rows), of_sequences.rows)
        assert self.inner.packing is not None
        rows = _folded(copies.of(self.packing).packing, sequences)
        inner = PartedValue(
            source.parts.each(lambda part: part[rows]),
            inner_copies.of(self.inner.packing).packing,
            source.relevant_steps[rows],
        )
        values: dict[int, Parted] = {MODEL_INPUT: inner}
        graph.part_nodes(self.layer.nodes, self.records, values, inner_copies)
        given = values[self.layer.output]
        if given.packing is None:
            return PartedValue(given.parts, steps, np.zeros(steps.rows, dtype=bool))
        back = np.argsort(_folded(steps, sequences))
        return PartedValue(
            given.parts.each(lambda part: part[back]), steps, given.relevant_steps[back]
        )


def _inner(layer: Each, array: Floats, packing: Packing, sequences: Packing) -> Value:
    """What the inner graph is given; one sequence of zeros where there is none."""
    if sequences.rows:
        array = array[_folded(packing, sequences)]
    else:
        array = np.zeros((layer.steps, array.shape[1]), dtype=array.dtype)
    lengths = np.full(max(sequences.rows, 1), layer.steps, dtype=np.intp)
    return Value(array, Packing(lengths))


def _outer_steps(
    made: Packing | None, inner: Value, packing: Packing, sequences: Packing
) -> Packing:
    """The steps of all that the inner graph makes of a sequence's sequences."""
    if made is None:
        return sequences
    if made is inner.packing:
        return packing
    return Packing(sequences.lengths * made.lengths[0])


def _folded(packing: Packing, sequences: Packing) -> Integers:
    """The row of each step of each inner sequence among those of the outer ones, shape (rows,).

    Parameters
    ----------
    packing : Packing
        Of the outer sequences' steps, of which each inner sequence has as many.
    sequences : Packing
        With one step an inner sequence.
    """
    each = packing.rows // sequences.rows
    first = sequences.step * each
    steps = first + np.arange(each)[:, np.newaxis]
    rows: Integers = packing.offsets[steps] + sequences.sequence
    return rows.reshape(-1)


def _unfolded(values: NDArray[Any], steps: Packing, sequences: Packing) -> NDArray[Any]:
    """What the inner graph gives by step, at the outer sequences' steps."""
    outer = np.empty_like(values)
    outer[_folded(steps, sequences)] = values
    return outer
