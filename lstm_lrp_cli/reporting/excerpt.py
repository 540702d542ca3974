"""What people are shown of an explanation in few words."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_lrp_cli.engine.ledger import Ledger
from lstm_lrp_cli.model.arrays import Floats
from lstm_lrp_cli.reporting.numbers import decimal
from lstm_lrp_cli.reporting.printable import share_name

# What rounds to nothing is not shown.
LEAST_SHARE = 5e-4


def strongest(relevance: Floats, top: int) -> NDArray[np.signedinteger[Any]]:
    """The places of the largest absolute values, of equal ones the first, strongest first."""
    return np.argsort(-np.abs(relevance), kind="stable")[:top]


def for_and_against(amounts: Floats, most: int) -> tuple[list[int], list[int]]:
    """The places of the largest amounts above 0, and of the lowest below, strongest first."""
    order = np.argsort(-amounts, kind="stable").tolist()
    above = [k for k in order if amounts[k] > 0][:most]
    below = [k for k in order[::-1] if amounts[k] < 0][:most]
    return above, below


def shown_shares(ledger: Ledger, *, series: bool) -> list[str]:
    """A ledger's shares as people read them, without those that round to zero."""
    return [
        f"{share_name(name, series=series)} {decimal(amount, 3, '+')}"
        for name, amount in ledger.shares.items()
        if abs(amount) >= LEAST_SHARE
    ]
