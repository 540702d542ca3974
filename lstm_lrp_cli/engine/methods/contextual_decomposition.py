"""Contextual decomposition: the part of the score that comes of some tokens by themselves.

Murdoch, Liu and Yu 2018, "Beyond Word Importance: Contextual Decomposition to Extract Interactions
from LSTMs". Each token is decomposed alone, or a span of them as one.
"""

from collections.abc import Callable
from collections.abc import Sequence as Several
from dataclasses import dataclass
from typing import Any

import numpy as np

from lstm_lrp_cli.engine.arrays import Copies, copies
from lstm_lrp_cli.engine.backward import Chosen, Relevance
from lstm_lrp_cli.engine.decomposition import decompose
from lstm_lrp_cli.engine.forward import Given, Trace
from lstm_lrp_cli.engine.parts import Parts
from lstm_lrp_cli.engine.perturbation import explained_rows, most_rows
from lstm_lrp_cli.engine.records import TOLERANCES, Ledgers, Reach, relative_residuals
from lstm_lrp_cli.model import Booleans, Floats, Integers
from .groups import in_span, own_steps
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
        marked = [_Marked(trace, k, each, reach) for k, each in enumerate(rows)]
        found = [each.decomposed(chosen) for each in marked]
        # A sequence without anything to mark is decomposed too: all of its score is irrelevant.
        sequences = [each.sequences for each in marked]
        rest = np.setdiff1d(np.arange(trace.batch), np.concatenate(sequences))
        unmarked = _decomposed(trace, chosen, rest, lambda some: [None] * len(trace.given))
        relevance = [each.relevance(parts) for each, parts in zip(marked, found, strict=True)]
        ledgers = _ledgers(trace, chosen, np.concatenate([*sequences, rest]), [*found, unmarked])
        return Relevance(relevance, ledgers)


def _of_span(trace: Trace, chosen: Chosen, span: slice) -> Relevance:
    """Decompose each sequence once. The relevance of the span is the same for each of its steps."""
    within = [_in_span(span, given) for given in trace.given]
    sequences = np.arange(trace.batch)

    def relevant(some: Copies) -> list[Booleans | None]:
        pairs = zip(within, trace.given, strict=True)
        return [marked[some.of(given.packing).rows] for marked, given in pairs]

    parts = _decomposed(trace, chosen, sequences, relevant)
    counts = [
        np.bincount(given.packing.sequence[marked], minlength=trace.batch)
        for marked, given in zip(within, trace.given, strict=True)
    ]
    shared = parts.relevant / np.maximum(np.sum(counts, axis=0), 1)
    relevance = [
        np.where(marked, shared[given.packing.sequence], 0.0).astype(trace.model.dtype)
        for marked, given in zip(within, trace.given, strict=True)
    ]
    return Relevance(relevance, _ledgers(trace, chosen, sequences, [parts]))


def _in_span(span: slice, given: Given) -> Booleans:
    """The rows of the steps of an input from one to another of each sequence, shape (rows,)."""
    rows, steps, lengths = own_steps(given)
    within = np.zeros(given.packing.rows, dtype=bool)
    within[rows] = in_span(span, steps, lengths)
    return within


class _Marked:
    """Copies in each of which one row of an input is marked, or one feature of it.

    Parameters
    ----------
    number : int
        Of the input.
    rows : ndarray of int, shape (rows to mark,)

    Attributes
    ----------
    sequences : ndarray of int, shape (copies,)
        The sequence that each is a copy of.
    """

    def __init__(self, trace: Trace, number: int, rows: Integers, reach: Reach) -> None:
        self._trace, self._number, self._rows = trace, number, rows
        self._given = trace.given[number]
        self._width = self._given.features if reach == "features" else None
        self._marked = rows if self._width is None else np.repeat(rows, self._width)
        self.sequences: Integers = self._given.packing.sequence[self._marked]

    def decomposed(self, chosen: Chosen) -> Parts:
        """The parts of the chosen scores of all copies, shape (copies,)."""
        return _decomposed(self._trace, chosen, self.sequences, self._relevant)

    def relevance(self, parts: Parts) -> Floats:
        """What is relevant of the scores, as relevance of the input's rows, or their features."""
        shape = (self._given.packing.rows, *(() if self._width is None else (self._width,)))
        relevance = np.zeros(shape, dtype=self._trace.model.dtype)
        relevance[self._rows] = parts.relevant.reshape(-1, *shape[1:])
        return relevance

    def _relevant(self, some: Copies) -> list[Booleans | None]:
        copied = some.of(self._given.packing)
        at = copied.places(self._marked[some.numbers])
        if self._width is None:
            entries = np.zeros(copied.packing.rows, dtype=bool)
            entries[at] = True
        else:
            entries = np.zeros((copied.packing.rows, self._width), dtype=bool)
            entries[at, some.numbers % self._width] = True
        relevant: list[Booleans | None] = [None] * len(self._trace.given)
        relevant[self._number] = entries
        return relevant


def _decomposed(
    trace: Trace,
    chosen: Chosen,
    sequences: Integers,
    relevant: Callable[[Copies], Several[Booleans | None]],
) -> Parts:
    """Decompose the chosen scores of many copies of sequences.

    Parameters
    ----------
    sequences : ndarray of int, shape (copies,)
        The sequence that each is a copy of.
    relevant : callable
        What is relevant of each input of some of the copies.

    Returns
    -------
    Parts
        Of shape (copies,), in float64.
    """
    parts = Parts(*np.zeros((2, len(sequences))))
    for some in copies(trace.packings, sequences, most_rows(trace.model)):
        scores = decompose(trace, some, relevant(some))
        of_copies = chosen.of_copies(some, trace.steps)
        parts.relevant[some.numbers] = of_copies.of(scores.relevant)
        parts.irrelevant[some.numbers] = of_copies.of(scores.irrelevant)
    return parts


def _ledgers(trace: Trace, chosen: Chosen, sequences: Integers, several: Several[Parts]) -> Ledgers:
    """The ledger of each sequence's decomposition that comes least near to the score."""
    score = chosen.of(trace.scores)
    relevant = np.concatenate([parts.relevant for parts in several])
    irrelevant = np.concatenate([parts.irrelevant for parts in several])
    amounts = np.stack([score[sequences], relevant, irrelevant], axis=1)
    sizes = chosen.sizes(trace.scores)
    against = 0.0 if sizes is None else sizes[sequences]
    order = np.lexsort((relative_residuals(amounts, against), sequences))
    _, following = np.unique(sequences[order[::-1]], return_index=True)
    least = order[::-1][following]
    shares = {"relevant": relevant[least], "irrelevant": irrelevant[least]}
    return Ledgers(score, shares, scores_size=sizes)
