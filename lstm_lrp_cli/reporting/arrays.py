"""Explanations side by side as arrays, which is what files of columns are made of."""

from __future__ import annotations

from collections.abc import Sequence as Several
from itertools import chain

import numpy as np

from lstm_lrp_cli.model.arrays import Floats, Integers
from lstm_lrp_cli.reporting.writer import Layout
from lstm_lrp_cli.sequences.explanation import Explanation


def numbers_of(explanations: Several[Explanation]) -> Integers:
    """The number of each explanation's sequence."""
    return np.array([each.sequence.number for each in explanations], dtype=np.int64)


def lengths_of(explanations: Several[Explanation]) -> Integers:
    """How many steps each has."""
    return np.array([len(each.sequence.inputs) for each in explanations], dtype=np.int64)


def relevance_of(explanations: Several[Explanation], layout: Layout) -> Floats:
    """Of all steps, shape (steps,); where every value is told, (steps, features)."""
    whole = layout.whole
    shape = (0, layout.model.input_size) if whole else (0,)
    return np.concatenate(
        [np.zeros(shape, dtype=layout.model.dtype)]
        + [each.relevance if whole else each.relevance_of_steps for each in explanations]
    )


def values_of(explanations: Several[Explanation], layout: Layout) -> Floats:
    """The values of all steps of numeric series, shape (steps, features)."""
    nothing = np.zeros((0, layout.model.input_size), dtype=layout.model.dtype)
    return np.concatenate([nothing, *(each.sequence.inputs for each in explanations)])


def tokens_of(explanations: Several[Explanation]) -> list[str]:
    """All tokens."""
    return list(chain.from_iterable(each.sequence.tokens or () for each in explanations))


def starts(lengths: Integers) -> Integers:
    """Where each of several pieces begins, and where the last ends, shape (pieces + 1,)."""
    found = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=found[1:])
    return found


def amount_names(layout: Layout) -> list[str]:
    """What ledgers hold: the shares of all methods, each once, in the order of the methods."""
    nothing = [method.promise.nothing for method in layout.methods if method.promise is not None]
    shares = dict.fromkeys(chain.from_iterable(ledger.shares for ledger in nothing))
    sized = any(ledger.stabilizers_size is not None for ledger in nothing)
    return ["score", *shares, "residual", *(["stabilizers_size"] if sized else [])]
