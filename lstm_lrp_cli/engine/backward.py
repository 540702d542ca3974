"""From one score of each sequence down to the inputs: what every method has in common there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from msgspec import Struct

from lstm_lrp_cli.model import Floats, Integers
from lstm_lrp_cli.model.layers import MODEL_INPUT
from .arrays import Copies, Packing
from .forward import Given, Trace
from .graph import pass_amounts
from .records import Ledgers, Reach, Record


class Relevance(Struct, frozen=True, eq=False):
    """Where the scores of a batch come from.

    Parameters
    ----------
    values : sequence of ndarray, each of shape (rows, features), or (rows,) of steps
        One an input: of every dimension of every (embedded) step, or of the step.
    ledgers : Ledgers or None
        None where the method does not account for the score.
    """

    values: Sequence[Floats]
    ledgers: Ledgers | None = None


class Chosen(Struct, frozen=True, eq=False):
    """Which score of each sequence is explained, or its negative; or the difference of two.

    Parameters
    ----------
    targets : ndarray of int, shape (batch,)
        The score's place among all.
    rows : ndarray of int, shape (batch,), or None
        Of a model by step, the row of the step among those of the scores; -1 where a sequence has
        no such step, and then no score. None where there is one vector of scores a sequence.
    signs : ndarray, shape (batch,), or None
        -1 where the score's negative is explained, else 1. None is 1 for all.
    minus : Chosen or None
        What is subtracted from it, of the same sequences and steps; None is nothing.
    """

    targets: Integers
    rows: Integers | None = None
    signs: Floats | None = None
    minus: Chosen | None = None

    def of(self, scores: Floats) -> Floats:
        """What is explained, shape (batch,), in float64; 0 where a sequence has no score."""
        own = self._own(scores)
        return own if self.minus is None else own - self.minus.of(scores)

    def sizes(self, scores: Floats) -> Floats | None:
        """Of a difference, both scores by size, shape (batch,), in float64; None of one score."""
        if self.minus is None:
            return None
        sizes: Floats = np.abs(self._own(scores)) + np.abs(self.minus.of(scores))
        return sizes

    def starts(self, scores: Floats) -> Floats:
        """An array like the scores with what each has of what is explained; they sum to it."""
        less = None if self.minus is None else self.minus.starts(scores)
        return self._alone(scores, self._own(scores), less)

    def derivatives(self, scores: Floats) -> Floats:
        """An array like the scores: the derivatives of what is explained by each."""
        less = None if self.minus is None else self.minus.derivatives(scores)
        return self._alone(scores, self.slopes, less)

    @property
    def slopes(self) -> Floats:
        """Its derivative by its own score, whatever is subtracted, shape (batch,)."""
        return np.ones(len(self.targets)) if self.signs is None else self.signs

    def of_copies(self, copies: Copies, steps: Packing | None) -> Chosen:
        """What is explained of copies of the sequences, whose scores have such steps, or none."""
        of, rows = copies.sequences, None
        if self.rows is not None:
            assert steps is not None
            rows = copies.of(steps).places(self.rows[of])
        minus = None if self.minus is None else self.minus.of_copies(copies, steps)
        return Chosen(self.targets[of], rows, None if self.signs is None else self.signs[of], minus)

    def _own(self, scores: Floats) -> Floats:
        """The score, or its negative, without what is subtracted, shape (batch,)."""
        there, at = self._places()
        chosen = np.zeros(len(self.targets))
        chosen[there] = scores[at]
        return chosen if self.signs is None else chosen * self.signs

    def _alone(self, scores: Floats, values: Floats, less: Floats | None) -> Floats:
        """An array like the scores with values, shape (batch,), in its places, less another."""
        there, at = self._places()
        spread = np.zeros_like(scores)
        spread[at] = values[there]
        return spread if less is None else spread - less

    def _places(self) -> tuple[Integers, tuple[Integers, Integers]]:
        """The sequences that have a chosen score, and where it stands among all."""
        rows = np.arange(len(self.targets)) if self.rows is None else self.rows
        there = np.flatnonzero(rows >= 0)
        return there, (rows[there], self.targets[there])


def inputs_and_padding(relevance: Sequence[Floats], trace: Trace) -> tuple[Floats, Floats]:
    """What the inputs of each sequence have in all, and their padding, each of shape (batch,).

    Parameters
    ----------
    relevance : sequence of ndarray, each of shape (rows, features), or (rows,)
        One an input.
    """
    of_inputs, of_padding = np.zeros((2, trace.batch))
    for values, given in zip(relevance, trace.given, strict=True):
        of_rows = of_steps(values)
        if given.padding is not None:
            padding = np.where(given.padding, of_rows, 0.0)
            of_padding += given.packing.total(padding)
            of_rows = of_rows - padding
        of_inputs += given.packing.total(of_rows)
    return of_inputs, of_padding


def told(relevance: Floats, reach: Reach) -> Floats:
    """Relevance of every feature, or of steps already, as far down as it is asked for."""
    return relevance if reach == "features" else of_steps(relevance).astype(relevance.dtype)


def of_steps(relevance: Floats) -> Floats:
    """Relevance of steps, shape (rows,), in float64, of that of their features or their own."""
    if relevance.ndim == 1:
        return relevance.astype(np.float64)
    total: Floats = relevance.sum(axis=1, dtype=np.float64)
    return total


# Passes what a record's outputs have to its sources, None to those that get nothing; told whether
# the first of them is an input of the model.
PassDown = Callable[[Record, Floats, bool], Sequence[Floats | None]]


def walk_down(
    trace: Trace, scores: Floats, pass_down: PassDown, arrive: Callable[[Floats, Given], Floats]
) -> list[Floats]:
    """Pass amounts from node to node; what several nodes give to one adds up.

    Parameters
    ----------
    scores : ndarray, of the shape of the trace's scores
        What these have.
    pass_down : callable
    arrive : callable
        Takes what arrives at an input, and gives it the form in which it adds up: of every
        feature, shape (rows, features), or of steps, (rows,).

    Returns
    -------
    list of ndarray
        One an input, as `arrive` gives it.
    """
    model, given = trace.model, trace.given
    nodes = model.nodes

    def pass_on(place: int, amount: Floats) -> Sequence[Floats | None]:
        record = trace.records[place]
        if not record.in_stretches:
            amount = _whole(amount)
        return pass_down(record, amount, nodes[place].sources[0] <= MODEL_INPUT)

    def arrived(place: int, amount: Floats) -> Floats:
        return arrive(_whole(amount), given[MODEL_INPUT - place])

    ends = np.cumsum([trace.records[output].outputs.shape[1] for output in model.outputs])[:-1]
    amounts = zip(model.outputs, np.split(scores, ends, axis=1), strict=True)
    found = pass_amounts(nodes, amounts, pass_on, arrived)
    for number, each in enumerate(given):
        place = MODEL_INPUT - number
        if place not in found:
            nothing = np.zeros((each.packing.rows, each.features), dtype=scores.dtype)
            found[place] = arrived(place, nothing)
    return [found[MODEL_INPUT - number] for number in range(len(given))]


def _whole(amounts: Any) -> Floats:
    """An array, or all `Amounts` of a long sequence."""
    found: Floats = amounts if isinstance(amounts, np.ndarray) else amounts.whole()
    return found
