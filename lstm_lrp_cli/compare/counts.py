"""What a comparison counts as explanations come: predictions, differences, correlations, tokens."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from lstm_lrp_cli.model import Floats, Integers
from lstm_lrp_cli.results import Result
from lstm_lrp_cli.statistics.tokens import (
    COUNT,
    MOST_ROWS,
    TOTAL,
    Dropped,
    Ranked,
    TokenStatistics,
    most_to_drop,
)
from . import (
    QUANTILES,
    Change,
    ComparedPredictions,
    Correlations,
    Differences,
    Disagreement,
    Labelled,
    TokenDifference,
)
from .pairing import Class, PairedTokens

# To how many decimals correlations are counted, which takes the same memory for any number.
DECIMALS = 4


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
                a.text,
                a.input if a.input is not None else b.input,
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


class DifferenceCount:
    """Counts differences as numbers come."""

    def __init__(self) -> None:
        self._compared = 0
        self._total = self._largest = self._relative = 0.0
        self._of: tuple[int | None, str | None] = None, None

    def add(
        self, a: Floats, b: Floats, results: Sequence[tuple[Result, Result]], place: Integers
    ) -> None:
        """Count numbers of sequences.

        Parameters
        ----------
        a, b : ndarray, shape (n,)
        results : sequence of (Result, Result)
            Those of A and B that they are of.
        place : ndarray of int, shape (n,)
            Which of these each one is of.
        """
        if not len(a):
            return
        apart = np.abs(b - a)
        worst = int(apart.argmax())
        if apart[worst] > self._largest:
            one, other = results[place[worst]]
            self._largest = float(apart[worst])
            self._of = one.sequence, other.input if one.input is None else one.input
        relative = float((apart / np.maximum(1.0, np.abs(a))).max())
        self._relative = max(self._relative, relative)
        self._total += float(apart.sum())
        self._compared += len(a)

    def figures(self) -> Differences:
        return Differences(
            self._compared,
            self._total / max(self._compared, 1),
            self._largest,
            self._relative,
            *self._of,
        )


class CorrelationCount:
    """Counts correlations as they come."""

    def __init__(self) -> None:
        self._one = 10**DECIMALS
        self._counts = np.zeros(2 * self._one + 1, dtype=np.int64)
        self._total = 0.0

    def add(self, correlations: Floats) -> None:
        """Count those that are numbers."""
        found = np.clip(correlations[~np.isnan(correlations)], -1.0, 1.0)
        places = np.rint(found * self._one).astype(np.intp) + self._one
        self._counts += np.bincount(places, minlength=len(self._counts))
        self._total += float(found.sum())

    def figures(self) -> Correlations:
        count = int(self._counts.sum())
        if not count:
            return Correlations(0, None, {})
        below = np.cumsum(self._counts)
        # The lowest that at least so many hundredths are no higher than.
        places = np.searchsorted(100 * below, np.array(list(QUANTILES.values())) * count)
        values = (places - self._one) / self._one
        quantiles = dict(zip(QUANTILES, values.tolist(), strict=True))
        return Correlations(count, self._total / count, quantiles)


class TokenCount:
    """Counts by how much the relevance of each token differs.

    Beyond MOST_ROWS tokens the rarest are dropped, as `lrp summarize` does.
    """

    def __init__(self) -> None:
        # All have the same tokens in the same order: differences, and relevance by A and by B.
        self._tables = (TokenStatistics(), TokenStatistics(), TokenStatistics())
        self.dropped: Dropped | None = None

    def add(self, names: Sequence[str], a: Floats, b: Floats) -> None:
        """Count tokens, given the relevance of each by both sides, shape (n,)."""
        for table, amounts in zip(self._tables, (np.abs(b - a), a, b), strict=True):
            table.add(names, amounts)
        if len(self._tables[0]) > MOST_ROWS // len(self._tables):
            most = most_to_drop(self._tables[:1], MOST_ROWS // len(self._tables) // 2)
            dropped, *_ = (table.drop(most) for table in self._tables)
            before = self.dropped or Dropped(0, 0)
            self.dropped = Dropped(before.tokens + dropped, before.missing + most)

    def largest(self, top: int, min_count: int) -> list[TokenDifference]:
        """The tokens that differ most on average, of equal ones the more frequent first."""
        counts = self._tables[0].figures[COUNT]
        difference, a, b = (table.figures[TOTAL] / counts for table in self._tables)
        ranked = np.flatnonzero((counts >= min_count) & (difference > 0))
        ranked = ranked[np.lexsort((-counts[ranked], -difference[ranked]))[:top]]
        names = self._tables[0].tokens
        return [
            TokenDifference(
                names[row], int(counts[row]), float(difference[row]), float(a[row]), float(b[row])
            )
            for row in ranked.tolist()
        ]
