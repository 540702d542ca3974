"""What a score loses as sequences are changed, each change in a copy of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from lstm_lrp_cli.model import Floats, Integers
from lstm_lrp_cli.model.layers import Embedding
from lstm_lrp_cli.model.model import Model
from .arrays import Packing
from .backward import Chosen
from .forward import Runner, Trace, row_bytes

# The copies that are run at a time take about so much memory.
COPIES_BYTES = 64 * 2**20


def explained_rows(trace: Trace, chosen: Chosen) -> Integers:
    """The rows that are not padding, of sequences that have a chosen score."""
    padding = trace.padding
    explained = np.ones(trace.packing.rows, dtype=bool) if padding is None else ~padding
    if chosen.rows is not None:
        explained &= chosen.rows[trace.packing.sequence] >= 0
    return np.flatnonzero(explained)


def losses(
    trace: Trace, chosen: Chosen, rows: Integers, changed: Callable[[Copies], Trace]
) -> Floats:
    """What the chosen score loses by each of many changes, shape (changes,), in float64.

    Parameters
    ----------
    rows : ndarray of int, shape (changes,)
        The row at which each changes its sequence.
    changed : callable
        Runs copies with their changes, whose numbers are those of the changes.
    """
    sequences = trace.packing.sequence[rows]
    lost = chosen.of(trace.scores)[sequences]
    for some in copies(trace.packing, sequences, most_rows(trace.model)):
        lost[some.numbers] -= some.chosen(chosen).of(changed(some).scores)
    return lost


def erased_scores(
    trace: Trace, sequences: Integers, ranks: Integers, first: Integers, stop: Integers
) -> Floats:
    """The scores of copies in which some steps are zeros, shape (copies, classes).

    Parameters
    ----------
    trace : Trace
        Of a model with one vector of scores a sequence.
    sequences : ndarray of int, shape (copies,)
        The sequence that each is a copy of.
    ranks : ndarray of int, shape (rows,)
        Where each row comes in an order of its sequence's rows, from 0; -1 for a row that stays.
    first, stop : ndarray of int, shape (copies,)
        From which rank and up to which one rows are erased in each copy.
    """
    nothing = np.zeros((1, trace.features), dtype=trace.model.dtype)
    scores = np.empty((len(sequences), trace.scores.shape[1]), dtype=trace.scores.dtype)
    for some in copies(trace.packing, sequences, most_rows(trace.model)):
        copy = some.numbers[some.packing.sequence]
        rank = ranks[some.rows]
        places = np.flatnonzero((rank >= first[copy]) & (rank < stop[copy]))
        scores[some.numbers] = run_replaced(trace, some, places, nothing).scores
    return scores


def run_replaced(trace: Trace, some: Copies, places: Integers, features: Floats) -> Trace:
    """Run copies with some of their rows replaced.

    Parameters
    ----------
    places : ndarray of int, shape (replaced,)
        The rows, of all copies.
    features : ndarray, shape (replaced, features), or (1, features)
        What they are replaced with, each or all.
    """
    model, inputs = trace.model, trace.inputs[some.rows]
    begun = trace.begun.of(some.sequences)
    if model.embedding is None:
        inputs[places] = features
        return Runner(model).forward(inputs, some.packing, begun=begun)
    # What replaces tokens is a token more. Of those that occur there are few: each is in many
    # copies, and multiplied once.
    tokens, ids = np.unique(inputs, return_inverse=True)
    weights = np.concatenate([model.embedding.weights[tokens], features])
    ids[places] = len(tokens) + np.arange(len(features))
    runner = Runner(replace(model, embedding=Embedding(weights)))
    return runner.forward(ids, some.packing, begun=begun)


def most_rows(model: Model) -> int:
    """How many rows are copied at a time."""
    return COPIES_BYTES // row_bytes(model)


@dataclass(frozen=True, slots=True, eq=False)
class Copies:
    """Some copies of sequences, packed. A copy has all steps of its sequence.

    Parameters
    ----------
    originals : Packing
        What the copies are of.
    numbers : ndarray of int, shape (copies,)
        Where each copy stands among all that were asked for.
    sequences : ndarray of int, shape (copies,)
        The sequence that each is a copy of.
    packing : Packing
        The copies' own.
    """

    originals: Packing
    numbers: Integers
    sequences: Integers
    packing: Packing

    @property
    def rows(self) -> Integers:
        """The row that each row is a copy of, shape (rows,): to gather inputs with."""
        starts: Integers = self.originals.offsets[self.packing.step]
        return starts + self.sequences[self.packing.sequence]

    def places(self, rows: Integers) -> Integers:
        """Where a row of the original, one a copy, stands in the copy, shape (copies,).

        Parameters
        ----------
        rows : ndarray of int, shape (copies,)
            Each of the sequence that the copy is of; -1 for no row, which stays so.
        """
        there = rows >= 0
        places = np.full(len(rows), -1, dtype=np.intp)
        steps = self.originals.step[rows[there]]
        places[there] = self.packing.offsets[steps] + np.flatnonzero(there)
        return places

    def chosen(self, chosen: Chosen) -> Chosen:
        """The scores of the copies that are chosen of the originals."""
        rows = None if chosen.rows is None else self.places(chosen.rows[self.sequences])
        return chosen.among(self.sequences, rows)


def copies(packing: Packing, sequences: Integers, most_rows: int) -> Iterator[Copies]:
    """Copy sequences of a batch, a bounded number of rows at a time.

    Parameters
    ----------
    packing : Packing
    sequences : ndarray of int, shape (copies,)
        The sequence that each is a copy of, in any order. With `packing.sequence`, there is a copy
        for every row, and its number is the row.
    most_rows : int
        How many rows are copied at a time; a single copy may have more.
    """
    order = np.argsort(sequences, kind="stable")  # from the longest to the shortest
    lengths = packing.lengths[sequences[order]]
    ends = np.cumsum(lengths)
    start = 0
    while start < len(order):
        before = ends[start] - lengths[start]
        stop = max(int(np.searchsorted(ends, before + most_rows, side="right")), start + 1)
        numbers = order[start:stop]
        yield Copies(packing, numbers, sequences[numbers], Packing(lengths[start:stop]))
        start = stop
