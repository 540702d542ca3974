"""Layers that work on the units of each step, or vector: dense layers, scaling, activations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lstm_lrp_cli.engine.activations import ACTIVATIONS, pull_back
from lstm_lrp_cli.engine.arrays import Copies, Packing
from lstm_lrp_cli.engine.records import NOTHING_LOST, Record, Shares, Value
from lstm_lrp_cli.engine.rules import LrpRule
from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.layers import Activation, Dense, Scale

if TYPE_CHECKING:
    from lstm_lrp_cli.engine.parts import Parted, PartedValue


@dataclass(frozen=True, slots=True, eq=False)
class DenseRecord(Record):
    """A linear map of values with a row a step (`steps` is theirs), or one a sequence (None)."""

    layer: Dense
    inputs: Floats
    outputs: Floats
    steps: Packing | None

    @classmethod
    def of(cls, layer: Dense, sources: Sequence[Value]) -> DenseRecord:
        [source] = sources
        inputs = source.array
        return cls(layer, inputs, _dense(layer, inputs), source.packing)

    def relevance(self, relevance: Floats, rule: LrpRule) -> tuple[Sequence[Floats | None], Shares]:
        weights = self.layer.weights
        messages = rule.messages(relevance, self.outputs, self.layer.bias, weights.shape[1])
        down = self.inputs * (messages.values @ weights) + messages.share
        return [down], Shares.absorbed(messages, self.steps)

    def gradient(self, gradient: Floats) -> Sequence[Floats]:
        return [gradient @ self.layer.weights]

    def parted(self, sources: Sequence[Parted], copies: Copies) -> PartedValue:
        from lstm_lrp_cli.engine.parts import Parts

        parts = sources[0].parts
        irrelevant = _dense(self.layer, parts.irrelevant)
        return sources[0].with_parts(Parts(parts.relevant @ self.layer.weights.T, irrelevant))


def _dense(layer: Dense, inputs: Floats) -> Floats:
    outputs: Floats = inputs @ layer.weights.T
    if layer.bias is not None:
        outputs += layer.bias
    return outputs


@dataclass(frozen=True, slots=True, eq=False)
class ScaleRecord(Record):
    """A linear map in which each output is fed by one unit alone, so N = 1."""

    layer: Scale
    inputs: Floats
    outputs: Floats
    steps: Packing | None

    @classmethod
    def of(cls, layer: Scale, sources: Sequence[Value]) -> ScaleRecord:
        [source] = sources
        outputs = source.array * layer.factors + layer.offsets
        return cls(layer, source.array, outputs, source.packing)

    def relevance(self, relevance: Floats, rule: LrpRule) -> tuple[Sequence[Floats | None], Shares]:
        values, absorbed = rule.unit_messages(relevance, self.outputs)
        of_biases = self.layer.offsets * values
        handed_on = rule.shared(of_biases + absorbed, 1)
        down = values * (self.inputs * self.layer.factors) + handed_on
        biases = (1.0 - rule.bias_factor) * of_biases.sum(axis=1, dtype=np.float64)
        kept = Shares.lost(biases, rule.kept(absorbed), self.steps)
        return [down.astype(relevance.dtype)], kept

    def gradient(self, gradient: Floats) -> Sequence[Floats]:
        return [gradient * self.layer.factors]

    def parted(self, sources: Sequence[Parted], copies: Copies) -> PartedValue:
        from lstm_lrp_cli.engine.parts import Parts

        parts, factors = sources[0].parts, self.layer.factors
        irrelevant = parts.irrelevant * factors + self.layer.offsets
        return sources[0].with_parts(Parts(parts.relevant * factors, irrelevant))


@dataclass(frozen=True, slots=True, eq=False)
class ActivationRecord(Record):
    """An activation passes relevance unchanged (Bach et al. 2015)."""

    layer: Activation
    inputs: Floats
    outputs: Floats
    steps: Packing | None

    @classmethod
    def of(cls, layer: Activation, sources: Sequence[Value]) -> ActivationRecord:
        [source] = sources
        return cls(layer, source.array, ACTIVATIONS[layer.kind](source.array), source.packing)

    def relevance(self, relevance: Floats, rule: LrpRule) -> tuple[Sequence[Floats | None], Shares]:
        return [relevance], NOTHING_LOST

    def gradient(self, gradient: Floats) -> Sequence[Floats]:
        down = np.empty_like(gradient)
        pull_back(self.layer.kind, self.inputs, self.outputs, gradient, down)
        return [down]

    def parted(self, sources: Sequence[Parted], copies: Copies) -> PartedValue:
        from lstm_lrp_cli.engine.parts import activated

        parts = activated(ACTIVATIONS[self.layer.kind], sources[0].parts)
        return sources[0].with_parts(parts)
