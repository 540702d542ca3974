"""The relevance of a model's inputs for one target a sequence, with its ledger."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lstm_lrp_cli.model.arrays import Booleans, Floats, Integers
from lstm_lrp_cli.model.model import MODEL_INPUT
from .forward import Trace
from .ledger import Ledgers
from .lstm.layer import LstmRecord
from .packing import Packing
from .records import Reach, Record, Shares
from .rules import LrpRule


@dataclass(frozen=True, slots=True, eq=False)
class Relevance:
    """Where the scores of a batch come from.

    Parameters
    ----------
    inputs : ndarray, shape (rows, features), or (rows,) of whole steps
        Relevance of every dimension of every (embedded) step, or of the step.
    ledgers : Ledgers or None
        None where the method does not account for the score.
    """

    inputs: Floats
    ledgers: Ledgers | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """Which score of each sequence is explained, or its negative.

    Parameters
    ----------
    targets : ndarray of int, shape (batch,)
        The score's place among all.
    rows : ndarray of int, shape (batch,), or None
        Of a model by step, the row of the step; -1 where a sequence has no such step, and then no
        score. None where there is one vector of scores a sequence.
    signs : ndarray, shape (batch,), or None
        -1 where the score's negative is explained, else 1. None is 1 for all.
    """

    targets: Integers
    rows: Integers | None = None
    signs: Floats | None = None

    def of(self, scores: Floats) -> Floats:
        """What is explained, shape (batch,), in float64; 0 where a sequence has no score."""
        there, at = self._places()
        chosen = np.zeros(len(self.targets))
        chosen[there] = scores[at]
        return chosen if self.signs is None else chosen * self.signs

    @property
    def slopes(self) -> Floats:
        """The derivative of what is explained by the score, shape (batch,)."""
        return np.ones(len(self.targets)) if self.signs is None else self.signs

    def among(self, sequences: Integers, rows: Integers | None = None) -> Chosen:
        """What is explained of some sequences, or of copies of them, whose rows are given."""
        signs = None if self.signs is None else self.signs[sequences]
        return Chosen(self.targets[sequences], rows, signs)

    def alone(self, scores: Floats, values: Floats) -> Floats:
        """An array like the scores with values, shape (batch,), in the chosen places, else 0."""
        there, at = self._places()
        spread = np.zeros_like(scores)
        spread[at] = values[there]
        return spread

    def _places(self) -> tuple[Integers, tuple[Integers, Integers]]:
        """The sequences that have a chosen score, and where it stands among all."""
        rows = np.arange(len(self.targets)) if self.rows is None else self.rows
        there = np.flatnonzero(rows >= 0)
        return there, (rows[there], self.targets[there])


# What overflows shows in the ledger, which the caller checks.
@np.errstate(over="ignore", invalid="ignore")
def relevance(
    trace: Trace,
    chosen: Chosen,
    rule: LrpRule,
    padding: Booleans | None = None,
    reach: Reach = "features",
) -> Relevance:
    """Propagate one score of each sequence down to the inputs.

    Parameters
    ----------
    trace : Trace
    chosen : Chosen
    rule : LrpRule
    padding : ndarray of bool, shape (rows,), or None
        The rows that are padding.
    reach : {"features", "steps"}
        Whether relevance is told of every dimension, or of whole steps, which costs less.
    """
    packing = trace.packing
    explained = chosen.of(trace.scores)
    inputs, shares = _backward(trace, chosen.alone(trace.scores, explained), rule, reach)
    tokens, of_padding = inputs_and_padding(inputs, padding, packing)
    ledgers = Ledgers(
        explained,
        {
            "tokens": tokens,
            "initial_state": shares.initial_state,
            "biases": shares.biases,
            "stabilizers": shares.stabilizers[0],
            "padding": of_padding,
        },
        shares.stabilizers[1],
    )
    return Relevance(inputs, ledgers)


def _backward(trace: Trace, scores: Floats, rule: LrpRule, reach: Reach) -> tuple[Floats, Shares]:
    """Pass the scores' relevance down to the input, and add up what does not arrive there."""
    shares = Shares.none(trace.packing.batch)

    def step(record: Record, amount: Floats, reads_input: bool) -> Sequence[Floats | None]:
        nonlocal shares
        down: Sequence[Floats | None]
        if reads_input and isinstance(record, LstmRecord):
            of_inputs, kept = record.pass_down(amount, rule, reach)
            down = [of_inputs]
        else:
            down, kept = record.relevance(amount, rule)
        shares += kept
        return down

    def arrive(amount: Floats) -> Floats:
        return told(amount, reach)

    return walk_down(trace, scores, step, arrive), shares


def inputs_and_padding(
    relevance: Floats, padding: Booleans | None, packing: Packing
) -> tuple[Floats, Floats]:
    """What the inputs of each sequence have in all, and its padding, each of shape (batch,).

    Parameters
    ----------
    relevance : ndarray, shape (rows, features), or (rows,)
    padding : ndarray of bool, shape (rows,), or None
        The rows that are padding.
    """
    of_rows = whole_steps(relevance)
    if padding is None:
        return packing.total(of_rows), np.zeros(packing.batch)
    of_padding = np.where(padding, of_rows, 0.0)
    return packing.total(of_rows - of_padding), packing.total(of_padding)


def told(relevance: Floats, reach: Reach) -> Floats:
    """Relevance of every feature, or of steps already, as far down as it is asked for."""
    return relevance if reach == "features" else whole_steps(relevance).astype(relevance.dtype)


def whole_steps(relevance: Floats) -> Floats:
    """Relevance of steps, shape (rows,), in float64, of that of their features or their own."""
    if relevance.ndim == 1:
        return relevance.astype(np.float64)
    total: Floats = relevance.sum(axis=1, dtype=np.float64)
    return total


# Passes what a record's outputs have to its sources, None to those that get nothing; told whether
# its one source is the model's input.
Step = Callable[[Record, Floats, bool], Sequence[Floats | None]]


def walk_down(
    trace: Trace, scores: Floats, step: Step, arrive: Callable[[Floats], Floats]
) -> Floats:
    """Pass amounts from node to node; what several nodes give to one adds up.

    Parameters
    ----------
    scores : ndarray, of the shape of the trace's scores
        What these have.
    step : callable
    arrive : callable
        Takes what arrives at the input, and gives it the form in which it adds up: of every
        feature, shape (rows, features), or of whole steps, (rows,).

    Returns
    -------
    ndarray, as `arrive` gives it
    """
    model = trace.model
    waiting: dict[int, Floats] = {}

    def give(place: int, amount: Floats) -> None:
        if place == MODEL_INPUT:
            amount = arrive(amount)
        waiting[place] = waiting[place] + amount if place in waiting else amount

    ends = np.cumsum([trace.records[output].outputs.shape[1] for output in model.outputs])[:-1]
    for output, part in zip(model.outputs, np.split(scores, ends, axis=1), strict=True):
        give(output, part)
    for place in range(len(model.nodes) - 1, -1, -1):
        if place not in waiting:
            continue  # no score depends on it, or it is a gate, which gets nothing
        sources = model.nodes[place].sources
        down = step(trace.records[place], waiting.pop(place), sources == (MODEL_INPUT,))
        for source, amount in zip(sources, down, strict=True):
            if amount is not None:
                give(source, amount)
    if MODEL_INPUT not in waiting:
        give(MODEL_INPUT, np.zeros((trace.packing.rows, trace.features), dtype=scores.dtype))
    return waiting[MODEL_INPUT]
