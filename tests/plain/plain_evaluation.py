"""Curves and rank correlations of one sequence at a time, so plain that to read is to check.

Like plain_forward, it shares nothing with the package but the dataclasses that say what a model is.
"""

import numpy as np
from plain_forward import scores_of

from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.model import Model


def scores_as_steps_go(
    model: Model,
    values: Floats,
    relevance: list[float],
    most: int,
    *,
    insert: bool = False,
    least_first: bool = False,
    padding: int = 0,
) -> Floats:
    """All scores with 0, 1, .. steps deleted, or put back, shape (most + 1, classes).

    The first rows of the values may be padding, of which nothing is deleted.
    """
    order = sorted(range(len(relevance)), key=lambda step: relevance[step], reverse=not least_first)
    found = []
    for count in range(most + 1):
        changed = values.copy()
        for step in range(len(relevance)):
            touched = step in order[:count]
            if touched != insert:
                changed[padding + step] = 0.0
        found.append(scores_of(model, changed))
    return np.array(found)


def rank_correlation(left: list[float], right: list[float]) -> float:
    """Spearman's: Pearson's of the ranks, equal values having the mean of theirs."""

    def ranks(values: list[float]) -> Floats:
        return np.array(
            [
                sum(other < each for other in values) + (values.count(each) - 1) / 2
                for each in values
            ]
        )

    return float(np.corrcoef(ranks(left), ranks(right))[0, 1])
