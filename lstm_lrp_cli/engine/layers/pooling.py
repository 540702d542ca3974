"""Pooling over the steps of a sequence."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lstm_lrp_cli.engine.packing import Packing
from lstm_lrp_cli.engine.records import Shares
from lstm_lrp_cli.engine.rules import LrpRule
from lstm_lrp_cli.model.arrays import Floats, Integers
from lstm_lrp_cli.model.layers import Pool


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


def run(layer: Pool, inputs: Floats, packing: Packing) -> SumRecord | MaxRecord | PickRecord:
    """Pool values of shape (rows, units) to (batch, units). A sequence without steps pools to 0."""
    match layer.kind:
        case "sum":
            return _sum(inputs, packing, np.ones(packing.batch))
        case "mean":
            return _sum(inputs, packing, 1.0 / np.maximum(packing.lengths, 1))
        case "max":
            return _max(inputs, packing)
        case "first":
            return _pick(inputs, packing, np.arange(packing.started))
        case "last":
            return _pick(inputs, packing, packing.last)


def _sum(inputs: Floats, packing: Packing, weights: Floats) -> SumRecord:
    weights = weights.astype(inputs.dtype)[:, np.newaxis]
    outputs = np.zeros((packing.batch, inputs.shape[1]), dtype=inputs.dtype)
    if packing.started:
        ordered = inputs[packing.by_sequence]
        outputs[: packing.started] = np.add.reduceat(ordered, packing.boundaries, axis=0)
    return SumRecord(packing, inputs, weights, outputs * weights)


def _max(inputs: Floats, packing: Packing) -> MaxRecord:
    outputs = np.zeros((packing.batch, inputs.shape[1]), dtype=inputs.dtype)
    winners = np.zeros((packing.started, inputs.shape[1]), dtype=np.intp)
    for rows in reversed(list(packing.steps())):
        step = inputs[rows]
        running = len(step)
        ends_here = packing.lengths[:running, np.newaxis] == packing.step[rows.start] + 1
        wins = (step >= outputs[:running]) | ends_here
        np.copyto(outputs[:running], step, where=wins)
        np.copyto(winners[:running], np.arange(rows.start, rows.stop)[:, np.newaxis], where=wins)
    return MaxRecord(packing, winners, outputs)


def _pick(inputs: Floats, packing: Packing, rows: Integers) -> PickRecord:
    outputs = np.zeros((packing.batch, inputs.shape[1]), dtype=inputs.dtype)
    outputs[: packing.started] = inputs[rows]
    return PickRecord(packing, rows, outputs)
