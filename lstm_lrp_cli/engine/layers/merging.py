"""Several values made one: the two directions of an LSTM, and joins in a model's graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from lstm_lrp_cli.engine.arrays import Copies, Packing
from lstm_lrp_cli.engine.records import NOTHING_LOST, Record, Shares, Value, check_steps
from lstm_lrp_cli.engine.rules import LrpRule, split_product
from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.layers import Merge, MergeName

if TYPE_CHECKING:
    from lstm_lrp_cli.engine.parts import Parted, PartedValue, Parts


@dataclass(frozen=True, slots=True, eq=False)
class MergeRecord(Record):
    """Several parts made one, each with a row a step (`steps` is theirs), or one a sequence."""

    kind: MergeName
    parts: Sequence[Floats]
    outputs: Floats
    steps: Packing | None

    @classmethod
    def of(cls, layer: Merge, sources: Sequence[Value]) -> MergeRecord:
        """Merge what several nodes give.

        Raises
        ------
        WrongSteps
            They have different numbers of steps.
        """
        steps = sources[0].packing
        for other in sources[1:]:
            if steps is not None and other.packing is not steps:
                assert other.packing is not None  # which the building of models holds
                check_steps(other.packing, steps.lengths, "merges them with {} of another value")
        return run(layer.kind, [source.array for source in sources], steps)

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
            case "sum" | "mean" | "difference":
                messages = rule.messages(
                    relevance, self.outputs, None, count * self.outputs.shape[1]
                )
                values = messages.values * (1.0 / count if self.kind == "mean" else 1.0)
                down = [part * values + messages.share for part in parts]
                if self.kind == "difference":
                    down[1] = messages.share - parts[1] * values
                return down, Shares.absorbed(messages, self.steps)
            case "max":
                return self._to_winners(relevance), NOTHING_LOST
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
            shares = Shares.lost(np.zeros(len(relevance)), split.stabilizers, self.steps)
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
            case "difference":
                return [gradient, -gradient]
            case "max":
                return self._to_winners(gradient)
            case "product" | "gate":
                return [
                    _of_factor(part, merge(kind, [gradient, *parts[:k], *parts[k + 1 :]]))
                    for k, part in enumerate(parts)
                ]

    def _to_winners(self, amounts: Floats) -> Sequence[Floats]:
        """All of a unit's amount to the first of the largest parts."""
        winners = np.argmax(self.parts, axis=0)
        return [np.where(winners == k, amounts, 0.0) for k in range(len(self.parts))]

    def parted(self, sources: Sequence[Parted], copies: Copies) -> PartedValue:
        from lstm_lrp_cli.engine.parts import PartedValue

        steps = sources[0].packing
        marked = np.logical_or.reduce([each.relevant_steps for each in sources])
        return PartedValue(merged_parts(self.kind, [each.parts for each in sources]), steps, marked)


def merged_parts(kind: MergeName, parts: Sequence[Parts]) -> Parts:
    """Merge one or more values of shape (n, units). A gate multiplies both parts of its signal."""
    from lstm_lrp_cli.engine.parts import Parts, product

    match kind:
        case "gate":
            gate, signal = parts[0].whole, parts[1]
            return signal.each(lambda part: gate * part)
        case "product":
            return reduce(product, parts)
        case "max":
            winners = np.argmax([part.whole for part in parts], axis=0)[np.newaxis]

            def picked(several: list[Floats]) -> Floats:
                chosen: Floats = np.take_along_axis(np.stack(several), winners, axis=0)[0]
                return chosen

            return Parts(
                picked([part.relevant for part in parts]),
                picked([part.irrelevant for part in parts]),
            )
        case _:
            return Parts(
                merge(kind, [part.relevant for part in parts]),
                merge(kind, [part.irrelevant for part in parts]),
            )


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
        case "difference":
            return parts[0] - parts[1]
        case "max":
            largest: Floats = np.maximum.reduce(parts)
            return largest
        case "product" | "gate":
            multiplied = parts[0] * parts[1]
            for part in parts[2:]:
                multiplied = multiplied * part
            return multiplied


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
