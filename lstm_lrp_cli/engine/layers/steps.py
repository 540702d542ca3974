"""Layers that work on the steps of a sequence: pooling, flattening, order, attention weights."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lstm_lrp_cli.engine.arrays import Packing
from lstm_lrp_cli.engine.records import NOTHING_LOST, Shares
from lstm_lrp_cli.engine.rules import LrpRule
from lstm_lrp_cli.model import Floats, Integers
from lstm_lrp_cli.model.layers import Flatten, Pool


@dataclass(frozen=True, slots=True, eq=False)
class SumRecord:
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


@dataclass(frozen=True, slots=True, eq=False)
class MaxRecord:
    """The winning step of every unit gets all of the unit's relevance.

    Parameters
    ----------
    winners : ndarray of int, shape (started, units)
        The row of the first step at which a unit is largest.
    """

    packing: Packing
    winners: Integers
    outputs: Floats

    def relevance(self, relevance: Floats, rule: LrpRule) -> tuple[Sequence[Floats | None], Shares]:
        return self.gradient(relevance), Shares.unstarted(relevance, self.packing)

    def gradient(self, gradient: Floats) -> Sequence[Floats]:
        units = self.outputs.shape[1]
        down = np.zeros((self.packing.rows, units), dtype=gradient.dtype)
        down[self.winners, np.arange(units)] = gradient[: self.packing.started]
        return [down]


@dataclass(frozen=True, slots=True, eq=False)
class PickRecord:
    """One step of each sequence, which gets all relevance.

    Parameters
    ----------
    picked : ndarray of int, shape (started,)
        The row of the step.
    """

    packing: Packing
    picked: Integers
    outputs: Floats

    def relevance(self, relevance: Floats, rule: LrpRule) -> tuple[Sequence[Floats | None], Shares]:
        return self.gradient(relevance), Shares.unstarted(relevance, self.packing)

    def gradient(self, gradient: Floats) -> Sequence[Floats]:
        down = np.zeros((self.packing.rows, self.outputs.shape[1]), dtype=gradient.dtype)
        down[self.picked] = gradient[: self.packing.started]
        return [down]


def pool(layer: Pool, inputs: Floats, packing: Packing) -> SumRecord | MaxRecord | PickRecord:
    """Pool values of shape (rows, units) to (batch, units). A sequence without steps pools to 0."""
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
    outputs = np.zeros((packing.batch, inputs.shape[1]), dtype=inputs.dtype)
    if packing.started:
        ordered = inputs[packing.by_sequence]
        outputs[: packing.started] = np.add.reduceat(ordered, packing.boundaries, axis=0)
    return SumRecord(packing, inputs, weights, outputs * weights)


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
class FlattenRecord:
    """Every unit of every step keeps its own relevance."""

    packing: Packing
    outputs: Floats

    def relevance(self, relevance: Floats, rule: LrpRule) -> tuple[Sequence[Floats | None], Shares]:
        return self.gradient(relevance), NOTHING_LOST

    def gradient(self, gradient: Floats) -> Sequence[Floats]:
        return [self.packing.pack(gradient.reshape(self.packing.rows, -1))]


@dataclass(frozen=True, slots=True, eq=False)
class OrderRecord:
    """Steps in another order, which is its own reverse: each keeps its relevance.

    Parameters
    ----------
    order : ndarray of int, shape (rows,)
    """

    order: Integers
    outputs: Floats

    def relevance(self, relevance: Floats, rule: LrpRule) -> tuple[Sequence[Floats | None], Shares]:
        return self.gradient(relevance), NOTHING_LOST

    def gradient(self, gradient: Floats) -> Sequence[Floats]:
        return [gradient[self.order]]


@dataclass(frozen=True, slots=True, eq=False)
class StepSoftmaxRecord:
    """A softmax over steps, an activation, passes relevance unchanged (Bach et al. 2015)."""

    packing: Packing
    outputs: Floats

    def relevance(self, relevance: Floats, rule: LrpRule) -> tuple[Sequence[Floats | None], Shares]:
        return [relevance], NOTHING_LOST

    def gradient(self, gradient: Floats) -> Sequence[Floats]:
        weighted = gradient * self.outputs
        return [weighted - self.outputs * _totals(weighted, self.packing)]


def flatten(layer: Flatten, inputs: Floats, packing: Packing) -> FlattenRecord:
    """Lay the steps of each sequence, shape (rows, units), side by side, (batch, steps units).

    Raises
    ------
    ValueError
        A sequence has another number of steps than the layer takes.
    """
    if np.any(packing.lengths != layer.steps):
        raise ValueError(f"every sequence must have {layer.steps} steps to be flattened")
    return FlattenRecord(packing, inputs[packing.by_sequence].reshape(packing.batch, -1))


def reverse(inputs: Floats, packing: Packing) -> OrderRecord:
    """Turn the steps of each sequence round."""
    return OrderRecord(packing.reverse, inputs[packing.reverse])


def softmax(inputs: Floats, packing: Packing) -> StepSoftmaxRecord:
    """A softmax over the steps of each sequence, for each unit of (rows, units)."""
    outputs = np.empty_like(inputs)
    if packing.started:
        ordered = inputs[packing.by_sequence]
        spans = packing.lengths[: packing.started]
        largest = np.maximum.reduceat(ordered, packing.boundaries, axis=0)
        powers = np.exp(ordered - np.repeat(largest, spans, axis=0))
        totals = np.add.reduceat(powers, packing.boundaries, axis=0)
        outputs[packing.by_sequence] = powers / np.repeat(totals, spans, axis=0)
    return StepSoftmaxRecord(packing, outputs)


def _totals(values: Floats, packing: Packing) -> Floats:
    """The sum over a sequence's steps, unit by unit, for each of its rows, shape (rows, units)."""
    if not packing.started:
        return values
    ordered = values[packing.by_sequence]
    return np.add.reduceat(ordered, packing.boundaries, axis=0)[packing.sequence]
