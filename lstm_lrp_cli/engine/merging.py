"""Merging the outputs of a bidirectional LSTM's two directions."""

from collections.abc import Sequence

import numpy as np

from lstm_lrp_cli.engine.packing import Packing
from lstm_lrp_cli.engine.rules import EpsilonRule
from lstm_lrp_cli.engine.shares import Shares
from lstm_lrp_cli.model.arrays import Floats
from lstm_lrp_cli.model.layers import MergeName


def merge(kind: MergeName, parts: Sequence[Floats]) -> Floats:
    """Merge one or two arrays of shape (n, hidden)."""
    if len(parts) == 1:
        return parts[0]
    match kind:
        case "concat":
            return np.concatenate(parts, axis=1)
        case "sum":
            return parts[0] + parts[1]
        case "mean":
            return parts[0] * 0.5 + parts[1] * 0.5
        case "product":
            return parts[0] * parts[1]


def split(
    kind: MergeName,
    parts: Sequence[Floats],
    merged: Floats,
    relevance: Floats,
    steps: Packing | None,
    batch: int,
    rule: EpsilonRule,
) -> tuple[Sequence[Floats], Shares]:
    """Split the relevance of merged outputs among the parts.

    A sum or mean is a linear map fed by both directions' units. In a product neither factor is a
    gate, so each gets half.
    """
    if len(parts) == 1:
        return [relevance], Shares.none(batch)
    match kind:
        case "concat":
            return np.split(relevance, 2, axis=1), Shares.none(batch)
        case "sum" | "mean":
            messages = rule.messages(relevance, merged, None, 2 * merged.shape[1])
            values = messages.values * (1.0 if kind == "sum" else 0.5)
            down = [part * values + messages.share for part in parts]
            return down, Shares.absorbed(messages, steps)
        case "product":
            return [relevance * 0.5, relevance * 0.5], Shares.none(batch)
