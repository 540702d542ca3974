"""The relevance of a model's inputs for one target a sequence, with its ledger."""

from dataclasses import dataclass

import numpy as np

from lstm_lrp_cli.engine.forward import Trace
from lstm_lrp_cli.engine.ledger import Ledgers
from lstm_lrp_cli.engine.rules import EpsilonRule
from lstm_lrp_cli.engine.shares import Shares
from lstm_lrp_cli.model.arrays import Booleans, Floats, Integers


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


# What overflows shows in the ledger, which the caller checks.
@np.errstate(over="ignore", invalid="ignore")
def relevance(
    trace: Trace, targets: Integers, rule: EpsilonRule, padding: Booleans | None = None
) -> Relevance:
    """Propagate the score of one target a sequence down to the inputs.

    Parameters
    ----------
    trace : Trace
    targets : ndarray of int, shape (batch,)
    rule : EpsilonRule
    padding : ndarray of bool, shape (rows,), or None
        The rows that are padding.
    """
    everyone = np.arange(trace.packing.batch)
    current = np.zeros_like(trace.scores)
    current[everyone, targets] = trace.scores[everyone, targets]
    shares = Shares.none(trace.packing.batch)
    for record in reversed(trace.records):
        current, kept = record.relevance(current, rule)
        shares += kept
    of_rows = current.sum(axis=1, dtype=np.float64)
    of_padding = np.zeros_like(of_rows) if padding is None else np.where(padding, of_rows, 0.0)
    ledgers = Ledgers(
        score=trace.scores[everyone, targets].astype(np.float64),
        tokens=trace.packing.total(of_rows - of_padding),
        initial_state=shares.initial_state,
        biases=shares.biases,
        stabilizers=shares.stabilizers,
        padding=trace.packing.total(of_padding),
    )
    return Relevance(current, ledgers)
