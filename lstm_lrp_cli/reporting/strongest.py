"""The strongest of some relevances."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_lrp_cli.model.arrays import Floats


def strongest(relevance: Floats, top: int) -> NDArray[np.signedinteger[Any]]:
    """The places of the largest absolute values, of equal ones the first, strongest first."""
    return np.argsort(-np.abs(relevance), kind="stable")[:top]
