"""What a score loses as sequences are changed, each change in a copy of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from msgspec.structs import replace

from lstm_lrp_cli.model import Floats, Integers
from lstm_lrp_cli.model.layers import Embedding
from lstm_lrp_cli.model.model import Model
from .arrays import Copies, copies
from .backward import Chosen
from .forward import Given, Runner, Trace, row_bytes

# The copies that are run at a time take about so much memory.
COPIES_BYTES = 64 * 2**20


def explained_rows(trace: Trace, chosen: Chosen) -> list[Integers]:
    """Of each input, the rows that are not padding, of sequences that have a chosen score."""
    found: list[Integers] = []
    for given in trace.given:
        explained = np.ones(given.packing.rows, dtype=bool)
        if given.padding is not None:
            explained = ~given.padding
        if chosen.rows is not None:
            explained &= chosen.rows[given.packing.sequence] >= 0
        found.append(np.flatnonzero(explained))
    return found


def losses(
    trace: Trace, chosen: Chosen, sequences: Integers, changed: Callable[[Copies], Trace]
) -> Floats:
    """What the chosen score loses by each of many changes, shape (changes,), in float64.

    Parameters
    ----------
    sequences : ndarray of int, shape (changes,)
        The sequence that each changes.
    changed : callable
        Runs copies with their changes, whose numbers are those of the changes.
    """
    lost = chosen.of(trace.scores)[sequences]
    for some in copies(trace.packings, sequences, most_rows(trace.model)):
        of_copies = chosen.of_copies(some, trace.steps)
        lost[some.numbers] -= of_copies.of(changed(some).scores)
    return lost


def erased_scores(
    trace: Trace, sequences: Integers, ranks: Sequence[Integers], first: Integers, stop: Integers
) -> Floats:
    """The scores of copies in which some steps are zeros, shape (copies, classes).

    Parameters
    ----------
    trace : Trace
        Of a model with one vector of scores a sequence.
    sequences : ndarray of int, shape (copies,)
        The sequence that each is a copy of.
    ranks : sequence of ndarray of int, each of shape (rows,)
        Of each input, where each row comes in an order of its sequence's rows, from 0; -1 for a row
        that stays.
    first, stop : ndarray of int, shape (copies,)
        From which rank and up to which one rows are erased in each copy.
    """
    scores = np.empty((len(sequences), trace.scores.shape[1]), dtype=trace.scores.dtype)
    for some in copies(trace.packings, sequences, most_rows(trace.model)):
        replaced = {}
        for number, given in enumerate(trace.given):
            copied = some.of(given.packing)
            copy = some.numbers[copied.packing.sequence]
            rank = ranks[number][copied.rows]
            places = np.flatnonzero((rank >= first[copy]) & (rank < stop[copy]))
            replaced[number] = (places, np.zeros((1, given.features), trace.model.dtype))
        scores[some.numbers] = run_replaced(trace, some, replaced).scores
    return scores


# By the number of an input, the rows of all copies that are replaced, shape (replaced,), and what
# with, shape (replaced, features), or (1, features) for all.
Replaced = Mapping[int, tuple[Integers, Floats]]


def run_replaced(trace: Trace, some: Copies, replaced: Replaced) -> Trace:
    """Run copies with some of their inputs' rows replaced."""
    given = [each.of(some) for each in trace.given]
    for number, (places, features) in replaced.items():
        given[number] = _replaced(given[number], places, features)
    return Runner(trace.model).forward(given, trace.begun.of(some.sequences))


def _replaced(given: Given, places: Integers, features: Floats) -> Given:
    if given.embedding is None:
        given.array[places] = features
        return given
    # What replaces tokens is a token more. Of those that occur there are few: each is in many
    # copies, and multiplied once.
    tokens, ids = np.unique(given.array, return_inverse=True)
    weights = np.concatenate([given.embedding.weights[tokens], features])
    ids[places] = len(tokens) + np.arange(len(features))
    return replace(given, array=ids, embedding=Embedding(weights))


def most_rows(model: Model) -> int:
    """How many rows are copied at a time."""
    return COPIES_BYTES // row_bytes(model)
