"""The relevance of a model's inputs for one target a sequence, with its ledger."""

from dataclasses import dataclass

import numpy as np

from lstm_lrp_cli.engine.forward import Trace
from lstm_lrp_cli.engine.ledger import Ledgers
from lstm_lrp_cli.engine.rules import EpsilonRule
from lstm_lrp_cli.engine.shares import Shares
from lstm_lrp_cli.model.arrays import Booleans, Floats, Integers
from lstm_lrp_cli.model.model import INPUT


@dataclass(frozen=True, slots=True, eq=False)
class Relevance:
    """Where the scores of a batch come from.

    Parameters
    ----------
    inputs : ndarray, shape (rows, features)
        Relevance of every dimension of every (embedded) step.
    ledgers : Ledgers
    """

    inputs: Floats
    ledgers: Ledgers


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """Which score of each sequence is explained.

    Parameters
    ----------
    targets : ndarray of int, shape (batch,)
        The class.
    rows : ndarray of int, shape (batch,), or None
        Of a model by step, the row of the step; -1 where a sequence has no such step, and then no
        score. None where there is one vector of scores a sequence.
    """

    targets: Integers
    rows: Integers | None = None


# What overflows shows in the ledger, which the caller checks.
@np.errstate(over="ignore", invalid="ignore")
def relevance(
    trace: Trace, chosen: Chosen, rule: EpsilonRule, padding: Booleans | None = None
) -> Relevance:
    """Propagate one score of each sequence down to the inputs.

    Parameters
    ----------
    trace : Trace
    chosen : Chosen
    rule : EpsilonRule
    padding : ndarray of bool, shape (rows,), or None
        The rows that are padding.
    """
    packing = trace.packing
    scores = np.zeros_like(trace.scores)
    explained = np.zeros(packing.batch)
    rows = np.arange(packing.batch) if chosen.rows is None else chosen.rows
    there = np.flatnonzero(rows >= 0)
    at = rows[there], chosen.targets[there]
    scores[at] = trace.scores[at]
    explained[there] = trace.scores[at]
    inputs, shares = _backward(trace, scores, rule)
    of_rows = inputs.sum(axis=1, dtype=np.float64)
    of_padding = np.zeros_like(of_rows) if padding is None else np.where(padding, of_rows, 0.0)
    ledgers = Ledgers(
        score=explained,
        tokens=packing.total(of_rows - of_padding),
        initial_state=shares.initial_state,
        biases=shares.biases,
        stabilizers=shares.stabilizers,
        padding=packing.total(of_padding),
    )
    return Relevance(inputs, ledgers)


def _backward(trace: Trace, scores: Floats, rule: EpsilonRule) -> tuple[Floats, Shares]:
    """Pass the scores' relevance from node to node; what several nodes give to one adds up."""
    model = trace.model
    waiting: dict[int, Floats] = {}

    def give(place: int, amount: Floats) -> None:
        waiting[place] = waiting[place] + amount if place in waiting else amount

    ends = np.cumsum([trace.records[output].outputs.shape[1] for output in model.outputs])[:-1]
    for output, part in zip(model.outputs, np.split(scores, ends, axis=1), strict=True):
        give(output, part)
    shares = Shares.none(trace.packing.batch)
    for place in range(len(model.nodes) - 1, -1, -1):
        if place not in waiting:
            continue  # a gate, which gets nothing
        down, kept = trace.records[place].relevance(waiting.pop(place), rule)
        shares += kept
        for source, amount in zip(model.nodes[place].sources, down, strict=True):
            if amount is not None:
                give(source, amount)
    return waiting.pop(INPUT, np.zeros_like(trace.inputs)), shares
