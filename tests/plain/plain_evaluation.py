"""How scores change as positions are taken from one sequence, or given back, one after another.

As in L. Arras, G. Montavon, K.-R. Müller, W. Samek 2017, "Explaining Recurrent Neural Network
Predictions in Sentiment Analysis": a position that is taken has all its numbers set to 0.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np

from lstm_lrp_cli.model.arrays import Floats

Order = Literal["most", "least"]


def ranked(relevance: Floats, order: Order) -> list[int]:
    """The positions with the most, or the least, relevant first; of equal ones, the earlier."""
    sign = -1.0 if order == "most" else 1.0
    return sorted(range(len(relevance)), key=lambda t: sign * relevance[t])


def deletion(
    scores_of: Callable[[Floats], Floats], values: Floats, ranking: list[int], deletions: int
) -> Floats:
    """All scores with the first 0, 1, ... `deletions` positions taken.

    `values` is of shape (steps, features). Of a sequence with fewer positions, all are taken at the
    end.
    """
    curve = []
    for k in range(deletions + 1):
        left = values.copy()
        for t in ranking[:k]:
            left[t] = 0.0
        curve.append(scores_of(left))
    return np.array(curve)


def insertion(
    scores_of: Callable[[Floats], Floats], values: Floats, ranking: list[int], insertions: int
) -> Floats:
    """All scores with nothing but the first 0, 1, ... `insertions` positions given."""
    curve = []
    for k in range(insertions + 1):
        given = np.zeros(values.shape)
        for t in ranking[:k]:
            given[t] = values[t]
        curve.append(scores_of(given))
    return np.array(curve)


def predicted(curve: Floats) -> list[int]:
    """The class with the largest score at each point of a curve; of equal ones, the first."""
    return [scores.index(max(scores)) for scores in curve.tolist()]
