"""Several values made one: the two directions of an LSTM, and joins in a model's graph."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lstm_lrp_cli.engine.arrays import Packing
from lstm_lrp_cli.engine.records import NOTHING_LOST, Shares
from lstm_lrp_cli.engine.rules import LrpRule, split_product
from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.layers import MergeName


@dataclass(frozen=True, slots=True, eq=False)
class MergeRecord:
    """Several parts made one.

    Parameters
    ----------
    packing : Packing or None
        Of parts with a row a step; None where they have one a sequence.
    """

    kind: MergeName
    parts: Sequence[Floats]
    outputs: Floats
    packing: Packing | None

    def relevance(self, relevance: Floats, rule: LrpRule) -> tuple[Sequence[Floats | None], Shares]:
        """Split the relevance of the outputs among the parts.

        A sum or mean is a linear map fed by all parts' units. In a product no factor is a gate, so
        each gets the same; where the first one is, the rule for gates says what it gets.
        """
        parts, count = self.parts, len(self.parts)
        if count == 1:
            return [relevance], NOTHING_LOST
        match self.kind:
            case "concat":
                return _apart(relevance, parts), NOTHING_LOST
            case "sum" | "mean":
                messages = rule.messages(
                    relevance, self.outputs, None, count * self.outputs.shape[1]
                )
                values = messages.values * (1.0 if self.kind == "sum" else 1.0 / count)
                down = [part * values + messages.share for part in parts]
                return down, Shares.absorbed(messages, self.packing)
            case "product":
                return [relevance * (1.0 / count)] * count, NOTHING_LOST
            case "gate":
                return self._of_gate(relevance, rule)

    def _of_gate(self, relevance: Floats, rule: LrpRule) -> tuple[Sequence[Floats | None], Shares]:
        """Split that of a gate times a signal; a gate of one unit gets it of all units."""
        gate, signal = self.parts
        split = split_product(gate, signal, relevance, rule)
        of_gate, shares = split.gate, NOTHING_LOST
        if of_gate is not None and of_gate.shape != gate.shape:
            of_gate = of_gate.sum(axis=1, keepdims=True)
        if split.stabilizers is not None:
            shares = Shares.lost(np.zeros(len(relevance)), split.stabilizers, self.packing)
        return [of_gate, split.signal], shares

    def gradient(self, gradient: Floats) -> Sequence[Floats]:
        parts, kind = self.parts, self.kind
        match kind:
            case "concat":
                return _apart(gradient, parts)
            case "sum":
                return [gradient] * len(parts)
            case "mean":
                return [gradient * gradient.dtype.type(1.0 / len(parts))] * len(parts)
            case "product" | "gate":
                return [
                    _of_factor(part, merge(kind, [gradient, *parts[:k], *parts[k + 1 :]]))
                    for k, part in enumerate(parts)
                ]


def run(kind: MergeName, parts: Sequence[Floats], packing: Packing | None) -> MergeRecord:
    """Merge one or more arrays of shape (n, units), as `MergeRecord` has them."""
    return MergeRecord(kind, parts, merge(kind, parts), packing)


def concatenated(parts: Sequence[Floats]) -> Floats:
    """Arrays of shape (n, units) side by side; one alone is not copied."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def merge(kind: MergeName, parts: Sequence[Floats]) -> Floats:
    """Merge one or more arrays of shape (n, units)."""
    if len(parts) == 1:
        return parts[0]
    match kind:
        case "concat":
            return concatenated(parts)
        case "sum":
            return _sum(parts)
        case "mean":
            share = 1.0 / len(parts)
            return _sum([part * part.dtype.type(share) for part in parts])
        case "product" | "gate":
            product = parts[0] * parts[1]
            for part in parts[2:]:
                product = product * part
            return product


def _of_factor(factor: Floats, gradient: Floats) -> Floats:
    """The gradient of a factor, which may be one number for all units of the product."""
    if factor.shape == gradient.shape:
        return gradient
    total: Floats = gradient.sum(axis=1, keepdims=True)
    return total


def _apart(values: Floats, parts: Sequence[Floats]) -> Sequence[Floats]:
    """Values of concatenated parts, each part's own."""
    return np.split(values, np.cumsum([part.shape[1] for part in parts])[:-1], axis=1)


def _sum(parts: Sequence[Floats]) -> Floats:
    total = parts[0] + parts[1]
    for part in parts[2:]:
        total = total + part
    return total
