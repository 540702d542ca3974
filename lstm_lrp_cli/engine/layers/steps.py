"""Layers that work on the steps of a sequence: pooling, flattening, order, attention weights."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lstm_lrp_cli.engine.arrays import Copies, Packing
from lstm_lrp_cli.engine.parts import Parted, PartedValue, merely_whole
from lstm_lrp_cli.engine.records import NOTHING_LOST, Record, Shares, Value, check_steps, packing_of
from lstm_lrp_cli.engine.rules import LrpRule
from lstm_lrp_cli.model import Floats, Integers
from lstm_lrp_cli.model.layers import Flatten, Pool, Reverse, StepSoftmax


@dataclass(frozen=True, slots=True, eq=False)
class SumRecord(Record):
    """A weighted sum over steps: a linear map, fed by all units of all steps.

    Parameters
    ----------
    weights : ndarray, shape (batch, 1)
        What every step of a sequence is weighed with: 1, or one over its length.
    """

    packing: Packing
    inputs: Floats
    weights: Floats
    outputs: Floats
    steps = None

    def relevance(self, relevance: Floats, rule: LrpRule) -> tuple[Sequence[Floats | None], Shares]:
        started = self.packing.started
        feeding = self.packing.lengths[:started] * self.outputs.shape[1]
        messages = rule.messages(relevance[:started], self.outputs[:started], None, feeding)
        sequence = self.packing.sequence
        spread = self.weights[:started] * messages.values
        down = self.inputs * spread[sequence] + messages.share[sequence]
        absorbed = Shares.absorbed(messages, None).extended(self.packing.batch)
        return [down], absorbed + Shares.unstarted(relevance, self.packing)

    def gradient(self, gradient: Floats) -> Sequence[Floats]:
        return [(self.weights * gradient)[self.packing.sequence]]

    def parted(self, sources: Sequence[Parted], copies: Copies) -> PartedValue:
        copied, weights = copies.of(self.packing), self.weights[copies.sequences]

        def pooled(part: Floats) -> Floats:
            return step_totals(part, copied.packing) * weights

        return PartedValue(sources[0].parts.each(pooled))


@dataclass(frozen=True, slots=True, eq=False)
class MaxRecord(Record):
    """The winning step of every unit gets all of the unit's relevance.

    Parameters
    ----------
    winners : ndarray of int, shape (started, units)
        The row of the first step at which a unit is largest.
    """

    packing: Packing
    winners: Integers
    outputs: Floats
    steps = None

    def relevance(self, relevance: Floats, rule: LrpRule) -> tuple[Sequence[Floats | None], Shares]:
        return self.gradient(relevance), Shares.unstarted(relevance, self.packing)

    def gradient(self, gradient: Floats) -> Sequence[Floats]:
        units = self.outputs.shape[1]
        down = np.zeros((self.packing.rows, units), dtype=gradient.dtype)
        down[self.winners, np.arange(units)] = gradient[: self.packing.started]
        return [down]

    def parted(self, sources: Sequence[Parted], copies: Copies) -> PartedValue:
        """A maximum's parts are those of the step that has the largest whole value."""
        packing = copies.of(self.packing).packing
        winners = self.winners[copies.sequences[: packing.started]]
        steps = self.packing.step[winners]
        at = packing.offsets[steps] + np.arange(packing.started)[:, np.newaxis]

        def picked(part: Floats) -> Floats:
            outputs = np.zeros((packing.batch, part.shape[1]), dtype=part.dtype)
            outputs[: packing.started] = np.take_along_axis(part, at, axis=0)
            return outputs

        return PartedValue(sources[0].parts.each(picked))


@dataclass(frozen=True, slots=True, eq=False)
class PickRecord(Record):
    """One step of each sequence, which gets all relevance.

    Parameters
    ----------
    picked : ndarray of int, shape (started,)
        The row of the step.
    """

    packing: Packing
    picked: Integers
    outputs: Floats
    steps = None

    def relevance(self, relevance: Floats, rule: LrpRule) -> tuple[Sequence[Floats | None], Shares]:
        return self.gradient(relevance), Shares.unstarted(relevance, self.packing)

    def gradient(self, gradient: Floats) -> Sequence[Floats]:
        down = np.zeros((self.packing.rows, self.outputs.shape[1]), dtype=gradient.dtype)
        down[self.picked] = gradient[: self.packing.started]
        return [down]

    def parted(self, sources: Sequence[Parted], copies: Copies) -> PartedValue:
        copied = copies.of(self.packing)
        started = copied.packing.started
        at = copied.places(self.picked[copies.sequences[:started]])

        def picked(part: Floats) -> Floats:
            outputs = np.zeros((copied.packing.batch, part.shape[1]), dtype=part.dtype)
            outputs[:started] = part[at]
            return outputs

        return PartedValue(sources[0].parts.each(picked))


def pool(layer: Pool, sources: Sequence[Value]) -> SumRecord | MaxRecord | PickRecord:
    """Pool values of shape (rows, units) to (batch, units). A sequence without steps pools to 0."""
    inputs, packing = sources[0].array, packing_of(sources[0])
    match layer.kind:
        case "sum":
            return _pool_sum(inputs, packing, np.ones(packing.batch))
        case "mean":
            return _pool_sum(inputs, packing, 1.0 / np.maximum(packing.lengths, 1))
        case "max":
            return _pool_max(inputs, packing)
        case "first":
            return _pool_step(inputs, packing, np.arange(packing.started))
        case "last":
            return _pool_step(inputs, packing, packing.last)


def _pool_sum(inputs: Floats, packing: Packing, weights: Floats) -> SumRecord:
    weights = weights.astype(inputs.dtype)[:, np.newaxis]
    return SumRecord(packing, inputs, weights, step_totals(inputs, packing) * weights)


def step_totals(values: Floats, packing: Packing) -> Floats:
    """The sum over the steps of each sequence, unit by unit, shape (batch, units)."""
    totals = np.zeros((packing.batch, values.shape[1]), dtype=values.dtype)
    if packing.started:
        ordered = values[packing.by_sequence]
        totals[: packing.started] = np.add.reduceat(ordered, packing.boundaries, axis=0)
    return totals


def _pool_max(inputs: Floats, packing: Packing) -> MaxRecord:
    outputs = np.zeros((packing.batch, inputs.shape[1]), dtype=inputs.dtype)
    winners = np.zeros((packing.started, inputs.shape[1]), dtype=np.intp)
    for rows in reversed(list(packing.slices())):
        step = inputs[rows]
        running = len(step)
        ends_here = packing.lengths[:running, np.newaxis] == packing.step[rows.start] + 1
        wins = (step >= outputs[:running]) | ends_here
        np.copyto(outputs[:running], step, where=wins)
        np.copyto(winners[:running], np.arange(rows.start, rows.stop)[:, np.newaxis], where=wins)
    return MaxRecord(packing, winners, outputs)


def _pool_step(inputs: Floats, packing: Packing, rows: Integers) -> PickRecord:
    outputs = np.zeros((packing.batch, inputs.shape[1]), dtype=inputs.dtype)
    outputs[: packing.started] = inputs[rows]
    return PickRecord(packing, rows, outputs)


@dataclass(frozen=True, slots=True, eq=False)
class FlattenRecord(Record):
    """Every unit of every step keeps its own relevance."""

    packing: Packing
    outputs: Floats
    steps = None

    @classmethod
    def of(cls, layer: Flatten, sources: Sequence[Value]) -> "FlattenRecord":
        """Lay the steps of each sequence, shape (rows, units), side by side, (batch, steps units).

        Raises
        ------
        WrongSteps
            A sequence has another number of steps than the layer takes.
        """
        packing = packing_of(sources[0])
        check_steps(packing, layer.steps, "lays just {} side by side (flatten)")
        return cls(packing, _side_by_side(sources[0].array, packing))

    def relevance(self, relevance: Floats, rule: LrpRule) -> tuple[Sequence[Floats | None], Shares]:
        return self.gradient(relevance), NOTHING_LOST

    def gradient(self, gradient: Floats) -> Sequence[Floats]:
        return [self.packing.pack(gradient.reshape(self.packing.rows, -1))]

    def parted(self, sources: Sequence[Parted], copies: Copies) -> PartedValue:
        packing = copies.of(self.packing).packing
        return PartedValue(sources[0].parts.each(lambda part: _side_by_side(part, packing)))


def _side_by_side(values: Floats, packing: Packing) -> Floats:
    return values[packing.by_sequence].reshape(packing.batch, -1)


@dataclass(frozen=True, slots=True, eq=False)
class OrderRecord(Record):
    """Steps in another order, which is its own reverse: each keeps its relevance.

    Parameters
    ----------
    order : ndarray of int, shape (rows,)
    """

    order: Integers
    outputs: Floats
    steps: Packing

    @classmethod
    def of(cls, layer: Reverse, sources: Sequence[Value]) -> "OrderRecord":
        """Turn the steps of each sequence round."""
        packing = packing_of(sources[0])
        return cls(packing.reverse, sources[0].array[packing.reverse], packing)

    def relevance(self, relevance: Floats, rule: LrpRule) -> tuple[Sequence[Floats | None], Shares]:
        return self.gradient(relevance), NOTHING_LOST

    def gradient(self, gradient: Floats) -> Sequence[Floats]:
        return [gradient[self.order]]

    def parted(self, sources: Sequence[Parted], copies: Copies) -> PartedValue:
        source, packing = sources[0], copies.of(self.steps).packing
        parts = source.parts.each(lambda part: part[packing.reverse])
        return PartedValue(parts, packing, source.relevant_steps[packing.reverse])


@dataclass(frozen=True, slots=True, eq=False)
class StepSoftmaxRecord(Record):
    """A softmax over steps, an activation, passes relevance unchanged (Bach et al. 2015)."""

    outputs: Floats
    steps: Packing

    @classmethod
    def of(cls, layer: StepSoftmax, sources: Sequence[Value]) -> "StepSoftmaxRecord":
        """A softmax over the steps of each sequence, for each unit of (rows, units)."""
        inputs, packing = sources[0].array, packing_of(sources[0])
        outputs = np.empty_like(inputs)
        if packing.started:
            ordered = inputs[packing.by_sequence]
            spans = packing.lengths[: packing.started]
            largest = np.maximum.reduceat(ordered, packing.boundaries, axis=0)
            powers = np.exp(ordered - np.repeat(largest, spans, axis=0))
            totals = np.add.reduceat(powers, packing.boundaries, axis=0)
            outputs[packing.by_sequence] = powers / np.repeat(totals, spans, axis=0)
        return cls(outputs, packing)

    def relevance(self, relevance: Floats, rule: LrpRule) -> tuple[Sequence[Floats | None], Shares]:
        return [relevance], NOTHING_LOST

    def gradient(self, gradient: Floats) -> Sequence[Floats]:
        weighted = gradient * self.outputs
        return [weighted - self.outputs * step_totals(weighted, self.steps)[self.steps.sequence]]

    def parted(self, sources: Sequence[Parted], copies: Copies) -> PartedValue:
        """Weights are not parted."""
        return sources[0].with_parts(merely_whole(self.outputs[copies.of(self.steps).rows]))

    def attention(self, sequence: int) -> Floats:
        """The weights in one sequence: one query of each unit, shape (units, 1, steps)."""
        steps = np.arange(self.steps.lengths[sequence])
        return self.outputs[self.steps.offsets[steps] + sequence].T[:, np.newaxis]
