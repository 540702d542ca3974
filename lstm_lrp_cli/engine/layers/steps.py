"""Layers that work on the steps of a sequence: flattening, reversing, and attention weights."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lstm_lrp_cli.engine.packing import Packing
from lstm_lrp_cli.engine.records import Shares
from lstm_lrp_cli.engine.rules import LrpRule
from lstm_lrp_cli.model.arrays import Floats, Integers
from lstm_lrp_cli.model.layers import Flatten


@dataclass(frozen=True, slots=True, eq=False)
class FlattenRecord:
    """Every unit of every step keeps its own relevance."""

    packing: Packing
    outputs: Floats

    def relevance(self, relevance: Floats, rule: LrpRule) -> tuple[Sequence[Floats | None], Shares]:
        return self.gradient(relevance), Shares.none(self.packing.batch)

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
    batch: int

    def relevance(self, relevance: Floats, rule: LrpRule) -> tuple[Sequence[Floats | None], Shares]:
        return self.gradient(relevance), Shares.none(self.batch)

    def gradient(self, gradient: Floats) -> Sequence[Floats]:
        return [gradient[self.order]]


@dataclass(frozen=True, slots=True, eq=False)
class StepSoftmaxRecord:
    """A softmax over steps, an activation, passes relevance unchanged (Bach et al. 2015)."""

    packing: Packing
    outputs: Floats

    def relevance(self, relevance: Floats, rule: LrpRule) -> tuple[Sequence[Floats | None], Shares]:
        return [relevance], Shares.none(self.packing.batch)

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
    return OrderRecord(packing.reverse, inputs[packing.reverse], packing.batch)


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
