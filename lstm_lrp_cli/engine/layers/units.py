"""Layers that work on the units of each step, or vector: normalization, choice, leaky units."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from msgspec import Struct

from lstm_lrp_cli.engine.arrays import Copies, Packing
from lstm_lrp_cli.engine.parts import Parted, PartedValue, Parts, activated
from lstm_lrp_cli.engine.records import NOTHING_LOST, Record, Shares, Value
from lstm_lrp_cli.engine.rules import LrpRule
from lstm_lrp_cli.model import Floats, Integers
from lstm_lrp_cli.model.layers import LeakyRelu, Normalize, Select, UnitNorm, UnitSum
from .steps import step_totals

# What the norm of units is taken for at least, as Keras has it.
LEAST_NORM = 1e-6


class Cells(Struct, frozen=True, eq=False):
    """The units of which one mean and one deviation are: of a step, or of a group at all steps.

    Parameters
    ----------
    groups : int
        Into how many the units of a step are split.
    packing : Packing or None
        Of the steps that are taken together; None where each row is taken by itself.
    """

    groups: int
    packing: Packing | None

    def sizes(self, values: Floats) -> Integers:
        """How many units are in each, shape (cells, 1)."""
        units = values.shape[1] // self.groups
        steps = np.ones(len(values), np.intp) if self.packing is None else self.packing.lengths
        sizes: Integers = np.maximum(steps[:, np.newaxis] * units, 1)
        return sizes

    def means(self, values: Floats) -> Floats:
        """The mean of all units of each, shape (cells, groups)."""
        return (self.totals(values) / self.sizes(values)).astype(values.dtype)

    def totals(self, values: Floats) -> Floats:
        """The sum of all units of each, shape (cells, groups)."""
        shape = (len(values), self.groups, values.shape[1] // self.groups)
        totals: Floats = values.reshape(shape).sum(axis=2)
        return totals if self.packing is None else step_totals(totals, self.packing)

    def spread(self, amounts: Floats, units: int) -> Floats:
        """Give each unit, shape (rows, units), what its cell has; one column serves for many."""
        by_row = amounts if self.packing is None else amounts[self.packing.sequence]
        return by_row if self.groups == 1 else np.repeat(by_row, units // self.groups, axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class NormalizeRecord(Record):
    """A linear map where the deviation is held constant (Ali et al. 2022).

    That is, in LRP: "XAI for Transformers: Better Explanations through Conservative Propagation".
    The gradient is the true one.

    Parameters
    ----------
    deviation : ndarray, shape (cells, groups)
    """

    layer: Normalize
    cells: Cells
    inputs: Floats
    deviation: Floats
    outputs: Floats
    steps: Packing | None

    @classmethod
    def of(cls, layer: Normalize, sources: Sequence[Value]) -> "NormalizeRecord":
        [source] = sources
        inputs = source.array
        grouped = layer.groups is not None
        cells = Cells(layer.groups or 1, source.packing if grouped else None)
        centred = _centred(cells, inputs)
        variance = cells.means(np.square(centred))
        deviation = np.sqrt(variance + inputs.dtype.type(layer.epsilon))
        scaled = centred / cells.spread(deviation, inputs.shape[1])
        outputs = scaled * layer.factors + layer.offsets
        return cls(layer, cells, inputs, deviation, outputs, source.packing)

    def relevance(self, relevance: Floats, rule: LrpRule) -> tuple[Sequence[Floats | None], Shares]:
        values, absorbed = rule.unit_messages(relevance, self.outputs)
        of_biases = self.layer.offsets * values
        total = self.cells.totals(of_biases + absorbed)
        share = rule.shared(total, self.cells.sizes(values)).astype(values.dtype)
        down = self.inputs * self._linear_back(values)
        down += self.cells.spread(share, values.shape[1])
        biases = (1.0 - rule.bias_factor) * of_biases.sum(axis=1, dtype=np.float64)
        return [down], Shares.lost(biases, rule.kept(absorbed), self.steps)

    def _linear_back(self, amounts: Floats) -> Floats:
        """What each input gets of the outputs' amounts by the weights of the linear map."""
        deviation = self.cells.spread(self.deviation, amounts.shape[1])
        return _centred(self.cells, amounts * self.layer.factors) / deviation

    def gradient(self, gradient: Floats) -> Sequence[Floats]:
        cells, units = self.cells, gradient.shape[1]
        deviation = cells.spread(self.deviation, units)
        normal = _centred(cells, self.inputs) / deviation
        by_deviation = cells.means(gradient * self.layer.factors * normal)
        return [
            self._linear_back(gradient) - normal * cells.spread(by_deviation, units) / deviation
        ]

    def parted(self, sources: Sequence[Parted], copies: Copies) -> PartedValue:
        """The deviation is that of the whole value, and offsets are irrelevant."""
        [source], units = sources, self.outputs.shape[1]
        if self.cells.packing is None and self.steps is not None:
            cells, deviation = self.cells, self.deviation[copies.of(self.steps).rows]
        else:
            cells = Cells(self.cells.groups, source.packing)
            deviation = self.deviation[copies.sequences]
        weights = self.layer.factors / cells.spread(deviation, units)
        parts = source.parts.each(lambda part: _centred(cells, part) * weights)
        return source.with_parts(Parts(parts.relevant, parts.irrelevant + self.layer.offsets))


def _centred(cells: Cells, values: Floats) -> Floats:
    """Values less the mean of their cell."""
    return values - cells.spread(cells.means(values), values.shape[1])


@dataclass(frozen=True, slots=True, eq=False)
class SelectRecord(Record):
    """Some of the units, which keep their relevance; the others get nothing."""

    layer: Select
    units: int
    outputs: Floats
    steps: Packing | None

    @classmethod
    def of(cls, layer: Select, sources: Sequence[Value]) -> "SelectRecord":
        [source] = sources
        units = source.array.shape[1]
        return cls(layer, units, _selected(layer, source.array), source.packing)

    def relevance(self, relevance: Floats, rule: LrpRule) -> tuple[Sequence[Floats | None], Shares]:
        return self.gradient(relevance), NOTHING_LOST

    def gradient(self, gradient: Floats) -> Sequence[Floats]:
        down = np.zeros((len(gradient), self.units), dtype=gradient.dtype)
        down[:, self.layer.start : self.layer.stop] = gradient
        return [down]

    def parted(self, sources: Sequence[Parted], copies: Copies) -> PartedValue:
        parts = sources[0].parts.each(lambda part: _selected(self.layer, part))
        return sources[0].with_parts(parts)


def _selected(layer: Select, values: Floats) -> Floats:
    return np.ascontiguousarray(values[:, layer.start : layer.stop])


@dataclass(frozen=True, slots=True, eq=False)
class LeakyReluRecord(Record):
    """An activation, which passes relevance unchanged (Bach et al. 2015)."""

    layer: LeakyRelu
    inputs: Floats
    outputs: Floats
    steps: Packing | None

    @classmethod
    def of(cls, layer: LeakyRelu, sources: Sequence[Value]) -> "LeakyReluRecord":
        [source] = sources
        return cls(layer, source.array, _leaky(layer, source.array), source.packing)

    def relevance(self, relevance: Floats, rule: LrpRule) -> tuple[Sequence[Floats | None], Shares]:
        return [relevance], NOTHING_LOST

    def gradient(self, gradient: Floats) -> Sequence[Floats]:
        return [np.where(self.inputs > 0, gradient, gradient * self.layer.slopes)]

    def parted(self, sources: Sequence[Parted], copies: Copies) -> PartedValue:
        parts = activated(lambda part: _leaky(self.layer, part), sources[0].parts)
        return sources[0].with_parts(parts)


def _leaky(layer: LeakyRelu, values: Floats) -> Floats:
    return np.where(values > 0, values, values * layer.slopes)


@dataclass(frozen=True, slots=True, eq=False)
class UnitNormRecord(Record):
    """Units divided by their norm: a linear map of each alone, N = 1, the norm held constant.

    As a deviation is (Ali et al. 2022, "XAI for Transformers"). The gradient is the true one.
    """

    norms: Floats
    outputs: Floats
    steps: Packing | None

    @classmethod
    def of(cls, layer: UnitNorm, sources: Sequence[Value]) -> "UnitNormRecord":
        [source] = sources
        norms = _norms(source.array)
        return cls(norms, source.array / norms, source.packing)

    def relevance(self, relevance: Floats, rule: LrpRule) -> tuple[Sequence[Floats | None], Shares]:
        values, absorbed = rule.unit_messages(relevance, self.outputs)
        down = values * self.outputs + rule.shared(absorbed, 1)
        kept = Shares.lost(np.zeros(len(values)), rule.kept(absorbed), self.steps)
        return [down.astype(relevance.dtype)], kept

    def gradient(self, gradient: Floats) -> Sequence[Floats]:
        along = (gradient * self.outputs).sum(axis=1, keepdims=True)
        moves = self.norms > LEAST_NORM
        return [(gradient - np.where(moves, along, 0.0) * self.outputs) / self.norms]

    def parted(self, sources: Sequence[Parted], copies: Copies) -> PartedValue:
        norms = _norms(sources[0].parts.whole)
        return sources[0].with_parts(sources[0].parts.each(lambda part: part / norms))


def _norms(units: Floats) -> Floats:
    """The norm of each row, shape (rows, 1)."""
    found = np.sqrt(np.square(units).sum(axis=1, keepdims=True))
    norms: Floats = np.maximum(found, units.dtype.type(LEAST_NORM))
    return norms


@dataclass(frozen=True, slots=True, eq=False)
class UnitSumRecord(Record):
    """The sum of all units: a linear map."""

    inputs: Floats
    outputs: Floats
    steps: Packing | None

    @classmethod
    def of(cls, layer: UnitSum, sources: Sequence[Value]) -> "UnitSumRecord":
        [source] = sources
        return cls(source.array, source.array.sum(axis=1, keepdims=True), source.packing)

    def relevance(self, relevance: Floats, rule: LrpRule) -> tuple[Sequence[Floats | None], Shares]:
        messages = rule.messages(relevance, self.outputs, None, self.inputs.shape[1])
        down = self.inputs * messages.values + messages.share
        return [down], Shares.absorbed(messages, self.steps)

    def gradient(self, gradient: Floats) -> Sequence[Floats]:
        return [np.repeat(gradient, self.inputs.shape[1], axis=1)]

    def parted(self, sources: Sequence[Parted], copies: Copies) -> PartedValue:
        summed = sources[0].parts.each(lambda part: part.sum(axis=1, keepdims=True))
        return sources[0].with_parts(summed)
