"""Dense layers, scaling and activations."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lstm_lrp_cli.engine.activations import ACTIVATIONS, pull_back
from lstm_lrp_cli.engine.arrays import Packing
from lstm_lrp_cli.engine.records import NOTHING_LOST, Shares
from lstm_lrp_cli.engine.rules import LrpRule
from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.layers import Activation, Dense, Scale
from lstm_lrp_cli.model.recurrent import ActivationName


@dataclass(frozen=True, slots=True, eq=False)
class DenseRecord:
    """A linear map of values with a row a step (`packing` is theirs), or one a sequence (None)."""

    layer: Dense
    inputs: Floats
    outputs: Floats
    packing: Packing | None

    def relevance(self, relevance: Floats, rule: LrpRule) -> tuple[Sequence[Floats | None], Shares]:
        weights = self.layer.weights
        messages = rule.messages(relevance, self.outputs, self.layer.bias, weights.shape[1])
        down = self.inputs * (messages.values @ weights) + messages.share
        return [down], Shares.absorbed(messages, self.packing)

    def gradient(self, gradient: Floats) -> Sequence[Floats]:
        return [gradient @ self.layer.weights]


@dataclass(frozen=True, slots=True, eq=False)
class ScaleRecord:
    """A linear map in which each output is fed by one unit alone, so N = 1."""

    layer: Scale
    inputs: Floats
    outputs: Floats
    packing: Packing | None

    def relevance(self, relevance: Floats, rule: LrpRule) -> tuple[Sequence[Floats | None], Shares]:
        values, absorbed = rule.unit_messages(relevance, self.outputs)
        of_biases = self.layer.offsets * values
        handed_on = rule.shared(of_biases + absorbed, 1)
        down = values * (self.inputs * self.layer.factors) + handed_on
        biases = (1.0 - rule.bias_factor) * of_biases.sum(axis=1, dtype=np.float64)
        kept = Shares.lost(biases, rule.kept(absorbed), self.packing)
        return [down.astype(relevance.dtype)], kept

    def gradient(self, gradient: Floats) -> Sequence[Floats]:
        return [gradient * self.layer.factors]


@dataclass(frozen=True, slots=True, eq=False)
class ActivationRecord:
    """An activation passes relevance unchanged (Bach et al. 2015)."""

    kind: ActivationName
    inputs: Floats
    outputs: Floats

    def relevance(self, relevance: Floats, rule: LrpRule) -> tuple[Sequence[Floats | None], Shares]:
        return [relevance], NOTHING_LOST

    def gradient(self, gradient: Floats) -> Sequence[Floats]:
        down = np.empty_like(gradient)
        pull_back(self.kind, self.inputs, self.outputs, gradient, down)
        return [down]


def run(layer: Dense, inputs: Floats, packing: Packing | None) -> DenseRecord:
    """Apply a dense layer to values of shape (n, inputs)."""
    outputs = inputs @ layer.weights.T
    if layer.bias is not None:
        outputs += layer.bias
    return DenseRecord(layer, inputs, outputs, packing)


def scale(layer: Scale, inputs: Floats, packing: Packing | None) -> ScaleRecord:
    """Scale and shift every unit of values of shape (n, units)."""
    return ScaleRecord(layer, inputs, inputs * layer.factors + layer.offsets, packing)


def activate(layer: Activation, inputs: Floats) -> ActivationRecord:
    """Apply an activation to values of shape (n, units)."""
    return ActivationRecord(layer.kind, inputs, ACTIVATIONS[layer.kind](inputs))
