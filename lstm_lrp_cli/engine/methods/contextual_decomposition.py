"""Contextual decomposition: the part of the score that comes of some tokens by themselves.

Murdoch, Liu and Yu 2018, "Beyond Word Importance: Contextual Decomposition to Extract Interactions
from LSTMs". Each token is decomposed alone, or a span of them as one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lstm_lrp_cli.engine.backward import Chosen, Relevance
from lstm_lrp_cli.engine.decomposition import decompose
from lstm_lrp_cli.engine.decomposition.cell import Parts
from lstm_lrp_cli.engine.forward import Trace
from lstm_lrp_cli.engine.perturbation import Copies, copies, explained_rows, most_rows
from lstm_lrp_cli.engine.records import TOLERANCES, Ledgers, Reach, relative_residuals
from lstm_lrp_cli.model import Booleans, Integers
from .method import Method, Promise

EXACTNESS = Promise(
    "exact", ("relevant", "irrelevant"), TOLERANCES, {np.dtype(np.float32): "try --dtype float64"}
)


@dataclass(frozen=True, slots=True)
class ContextualDecomposition(Method):
    """The relevant part of the score.

    The ledger of a sequence is of the one decomposition whose parts come least near to the score.

    Parameters
    ----------
    span : slice or None
        The tokens, of those that the model is run on, that are relevant together; None is each
        alone.
    """

    span: slice | None = None
    name: str = "contextual-decomposition"
    promise = EXACTNESS

    @property
    def runs_often(self) -> bool:
        return self.span is None

    @property
    def whole_steps(self) -> bool:
        return self.span is not None

    @property
    def settings(self) -> dict[str, Any]:
        if self.span is None:
            return {}
        start, stop = (
            "" if bound is None else bound for bound in (self.span.start, self.span.stop)
        )
        return {"span": f"{start}:{stop}"}

    def explain(self, trace: Trace, chosen: Chosen, reach: Reach) -> Relevance:
        if self.span is not None:
            return _of_span(trace, chosen, self.span)
        rows = explained_rows(trace, chosen)
        if reach == "steps":
            return _of_steps(trace, chosen, rows)
        return _of_features(trace, chosen, rows)


def _of_span(trace: Trace, chosen: Chosen, span: slice) -> Relevance:
    """Decompose each sequence once. The relevance of the span is the same for each of its steps."""
    packing = trace.packing
    within = _in_span(span, trace)
    sequences = np.arange(packing.batch)
    parts = _decomposed(trace, chosen, sequences, lambda some: within[some.rows])
    lengths = np.bincount(packing.sequence[within], minlength=packing.batch)
    shared = parts.relevant / np.maximum(lengths, 1)
    inputs = np.where(within, shared[packing.sequence], 0.0).astype(trace.model.dtype)
    return Relevance(inputs, _ledgers(trace, chosen, sequences, parts))


def _in_span(span: slice, trace: Trace) -> Booleans:
    """The rows of the steps from one to another of each sequence, shape (rows,).

    Parameters
    ----------
    span : slice
        As Python has it: from 0, from -1 backwards, and cut to what there is, without padding.
    """
    packing = trace.packing
    rows = packing.by_sequence
    if trace.padding is not None:
        rows = rows[~trace.padding[rows]]
    sequence = packing.sequence[rows]
    lengths = np.bincount(sequence, minlength=packing.batch)
    steps = np.arange(len(rows)) - (np.cumsum(lengths) - lengths)[sequence]

    def bound(number: int) -> Integers:
        return np.full_like(lengths, number) if number >= 0 else lengths + number

    start = 0 if span.start is None else bound(span.start)[sequence]
    stop = lengths[sequence] if span.stop is None else bound(span.stop)[sequence]
    within = np.zeros(packing.rows, dtype=bool)
    within[rows] = (steps >= start) & (steps < stop)
    return within


def _of_steps(trace: Trace, chosen: Chosen, rows: Integers) -> Relevance:
    """Decompose each sequence once for each of some of its rows."""
    sequences, marked = _with_unmarked(trace, rows)

    def relevant(some: Copies) -> Booleans:
        at = some.places(marked[some.numbers])
        entries = np.zeros(some.packing.rows, dtype=bool)
        entries[at[at >= 0]] = True
        return entries

    parts = _decomposed(trace, chosen, sequences, relevant)
    inputs = np.zeros(trace.packing.rows, dtype=trace.model.dtype)
    inputs[rows] = parts.relevant[: len(rows)]
    return Relevance(inputs, _ledgers(trace, chosen, sequences, parts))


def _of_features(trace: Trace, chosen: Chosen, rows: Integers) -> Relevance:
    """Decompose each sequence once for each feature of some of its rows."""
    width = trace.features
    sequences, marked = _with_unmarked(trace, np.repeat(rows, width))

    def relevant(some: Copies) -> Booleans:
        at = some.places(marked[some.numbers])
        entries = np.zeros((some.packing.rows, width), dtype=bool)
        entries[at[at >= 0], some.numbers[at >= 0] % width] = True
        return entries

    parts = _decomposed(trace, chosen, sequences, relevant)
    inputs = np.zeros((trace.packing.rows, width), dtype=trace.model.dtype)
    inputs[rows] = parts.relevant[: len(rows) * width].reshape(-1, width)
    return Relevance(inputs, _ledgers(trace, chosen, sequences, parts))


def _with_unmarked(trace: Trace, rows: Integers) -> tuple[Integers, Integers]:
    """What is decomposed where one row is marked at a time: the sequences, and their marked rows.

    A sequence without a row to mark comes last, with -1: all of its score is irrelevant.
    """
    sequences = trace.packing.sequence[rows]
    unmarked = np.setdiff1d(np.arange(trace.packing.batch), sequences)
    return np.append(sequences, unmarked), np.append(rows, np.full_like(unmarked, -1))


def _decomposed(
    trace: Trace, chosen: Chosen, sequences: Integers, relevant: Callable[[Copies], Booleans]
) -> Parts:
    """Decompose the chosen scores of many copies of sequences.

    Parameters
    ----------
    sequences : ndarray of int, shape (copies,)
        The sequence that each is a copy of.
    relevant : callable
        What is relevant of some of the copies.

    Returns
    -------
    Parts
        Of shape (copies,), in float64.
    """
    parts = Parts(*np.zeros((2, len(sequences))))
    for some in copies(trace.packing, sequences, most_rows(trace.model)):
        scores, of_copies = decompose(trace, some, relevant(some)), some.chosen(chosen)
        parts.relevant[some.numbers] = of_copies.of(scores.relevant)
        parts.irrelevant[some.numbers] = of_copies.of(scores.irrelevant)
    return parts


def _ledgers(trace: Trace, chosen: Chosen, sequences: Integers, parts: Parts) -> Ledgers:
    """The ledger of each sequence's decomposition that comes least near to the score."""
    score = chosen.of(trace.scores)
    amounts = np.stack([score[sequences], parts.relevant, parts.irrelevant], axis=1)
    order = np.lexsort((relative_residuals(amounts), sequences))
    _, following = np.unique(sequences[order[::-1]], return_index=True)
    least = order[::-1][following]
    return Ledgers(
        score, {"relevant": parts.relevant[least], "irrelevant": parts.irrelevant[least]}
    )
