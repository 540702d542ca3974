"""What people are shown of an explanation in few words."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_lrp_cli.engine.ledger import Ledger
from lstm_lrp_cli.model.arrays import Floats
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.reporting.numbers import decimal
from lstm_lrp_cli.reporting.printable import share_name
from lstm_lrp_cli.sequences.batching import cut_off
from lstm_lrp_cli.sequences.sequence import Sequence
from lstm_lrp_cli.sequences.tokens import SKIPPED

# What the steps are called that a model passes over.
MASKED, LEFT_OUT, CUT_OFF = "masked", "left out", "cut off"
# In series, what stands for them.
NOT_READ = "_"
# What rounds to nothing is not shown.
LEAST_SHARE = 5e-4


def strongest(relevance: Floats, top: int) -> NDArray[np.signedinteger[Any]]:
    """The places of the largest absolute values, of equal ones the first, strongest first.

    What is missing (NaN) is not among them.
    """
    there = int(np.count_nonzero(~np.isnan(relevance)))
    return np.argsort(-np.abs(relevance), kind="stable")[: min(top, there)]


def for_and_against(amounts: Floats, most: int) -> tuple[list[int], list[int]]:
    """The places of the largest amounts above 0, and of the lowest below, strongest first.

    What is missing (NaN) is neither.
    """
    order = np.argsort(-amounts, kind="stable").tolist()
    above = [k for k in order if amounts[k] > 0][:most]
    below = [k for k in order[::-1] if amounts[k] < 0][:most]
    return above, below


def why_missing(sequence: Sequence, model: Model) -> list[str]:
    """What each token is called if it has no relevance, since the model passes over it."""
    left_out, cut = sequence.inputs == SKIPPED, cut_off(sequence.inputs, model.padding)
    named: list[str] = np.select([left_out, cut], [LEFT_OUT, CUT_OFF], MASKED).tolist()
    return named


def what_is_missing(model: Model) -> str:
    """What all steps are called that a model may pass over."""
    return " or ".join(
        [*[MASKED] * model.masks, *[LEFT_OUT] * model.leaves_out, *[CUT_OFF] * model.cuts]
    )


def shown_shares(ledger: Ledger, *, series: bool) -> list[str]:
    """A ledger's shares as people read them, without those that round to zero."""
    return [
        f"{share_name(name, series=series)} {decimal(amount, 3, '+')}"
        for name, amount in ledger.shares.items()
        if abs(amount) >= LEAST_SHARE
    ]
