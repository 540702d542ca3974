"""Where two sides predict different classes, and which of them is right."""

import math
from collections import Counter
from collections.abc import Iterable

import numpy as np

from lstm_lrp_cli.results.result import LONGEST_TEXT, Result
from lstm_lrp_cli.statistics.correlation import Ranked
from .comparison import Change, ComparedPredictions, Disagreement, Labelled
from .pairing import Class, PairedTokens


class PredictionCount:
    """Counts predictions as they come.

    Parameters
    ----------
    top : int
        How many changes and sequences are told.
    """

    def __init__(self, top: int) -> None:
        self._top = top
        self._compared = 0
        self._changes: Counter[tuple[str, str]] = Counter()
        # By whether A is right, and whether B is.
        self._right: Counter[tuple[bool, bool]] = Counter()
        self._sequences: Ranked[Disagreement] = Ranked(top)

    def add(self, sequences: Iterable[PairedTokens]) -> None:
        for sequence in sequences:
            for scored in sequence.scored:
                for one, other in scored.predicted:
                    self._add(scored.a, scored.b, one, other)

    def _add(self, a: Result, b: Result, one: Class, other: Class) -> None:
        self._compared += 1
        label = a.label if a.label is not None else b.label
        if label is not None:
            self._right[one == label, other == label] += 1
        if one == other:
            return
        names = str(one), str(other)
        self._changes[names] += 1
        difference = float(np.abs(np.subtract(b.scores, a.scores)).max(initial=0.0))
        self._sequences.add(
            difference,
            lambda: Disagreement(
                a.sequence,
                a.id if a.id is not None else b.id,
                a.step,
                label,
                *names,
                difference,
                " ".join(a.tokens or ())[:LONGEST_TEXT],
            ),
        )

    def figures(self) -> ComparedPredictions:
        right = self._right
        only_a, only_b = right[True, False], right[False, True]
        labelled = Labelled(
            right[True, True], only_a, only_b, right[False, False], p_value(only_a, only_b)
        )
        return ComparedPredictions(
            self._compared,
            self._changes.total(),
            [Change(a, b, count) for (a, b), count in self._changes.most_common(self._top)],
            labelled if right else None,
            self._sequences.highest_first(),
        )


def p_value(one: int, other: int) -> float:
    """How likely two counts are so far apart, or more, where each is as likely to grow.

    It is McNemar's test (1947, "Note on the Sampling Error of the Difference between Correlated
    Proportions or Percentages"), in its exact form: both tails of a binomial distribution.
    """
    total = one + other
    whole = math.lgamma(total + 1) - total * math.log(2)
    tail = math.fsum(
        math.exp(whole - math.lgamma(k + 1) - math.lgamma(total - k + 1))
        for k in range(min(one, other) + 1)
    )
    return min(1.0, 2 * tail)
