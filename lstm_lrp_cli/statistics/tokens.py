"""What is kept of a corpus in bounded memory: figures of every token, and the highest of anything.

Of a token that is how often it stands there, and the mean and spread of its relevance.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from lstm_lrp_cli.model import Floats, Integers

# How many rows all tables may have together, of which each is a token of one method, target and
# cell of the confusion matrix. A row takes some 200 bytes.
MOST_ROWS = 500_000
FIRST_ROOM = 16
# What is kept of a token: how often it stands there, how often unknown, the sum of its relevance,
# and the sum of the squares of what that differs from its mean by.
COUNT, UNKNOWN, TOTAL, SQUARES = range(4)
FIGURES = 4

By = Literal["mean", "total"]


@dataclass(frozen=True, slots=True)
class TokenFigures:
    """One token, or feature of a numeric series, among all explanations of one kind.

    Parameters
    ----------
    token : str
    count : int
        How often it stands there.
    unknown : int
        How often it was one that the vocabulary does not know.
    mean, total : float
        Of its relevance.
    std : float or None
        The standard deviation of its relevance, of a sample; None where it stands there once.
    """

    token: str
    count: int
    unknown: int
    mean: float
    std: float | None
    total: float


# The tokens with the most of something, the most first, and those with the least.
Extremes = tuple[list[TokenFigures], list[TokenFigures]]


class _Rows(dict[str, int]):
    """The row of each token, in the order in which they first come."""

    def __missing__(self, token: str) -> int:
        self[token] = row = len(self)
        return row


class TokenStatistics:
    """The figures of tokens, as more and more of them come."""

    def __init__(self) -> None:
        self._rows = _Rows()
        # By COUNT, ...: a column for each token, and room for more.
        self._figures: NDArray[np.float64] = np.zeros((FIGURES, FIRST_ROOM))

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def figures(self) -> Floats:
        """The figures of each token, shape (FIGURES, tokens)."""
        return self._figures[:, : len(self)]

    @property
    def tokens(self) -> list[str]:
        """The tokens, in the order of their figures."""
        return list(self._rows)

    def add(self, tokens: Sequence[str], amounts: Floats, unknown: Sequence[int] = ()) -> None:
        """Add tokens as they stand one after another.

        Parameters
        ----------
        tokens : sequence of str
        amounts : ndarray, shape (tokens,)
            Their relevance.
        unknown : sequence of int
            The places of those that are unknown.
        """
        rows = self._rows_of(tokens)
        touched, places = np.unique(rows, return_inverse=True)
        size = len(touched)
        found = np.zeros((FIGURES, size))
        found[COUNT] = np.bincount(places, minlength=size)
        found[UNKNOWN] = np.bincount(places[list(unknown)], minlength=size)
        found[TOTAL] = np.bincount(places, amounts, size)
        means = found[TOTAL] / found[COUNT]
        found[SQUARES] = np.bincount(places, (amounts - means[places]) ** 2, size)
        self._merge(touched, found)

    def merge(self, other: TokenStatistics) -> None:
        """Add all that another table counted."""
        self._merge(self._rows_of(other._rows), other.figures)

    def drop(self, most: int) -> int:
        """Forget the tokens that stand there at most so often; how many tokens that were."""
        before, kept = len(self), self.figures[COUNT] > most
        names = [token for token, keep in zip(self._rows, kept.tolist(), strict=True) if keep]
        self._figures = np.ascontiguousarray(self.figures[:, kept])
        self._rows = _Rows(zip(names, range(len(names)), strict=True))
        return before - len(names)

    def extremes(self, by: By, top: int, min_count: int = 1) -> Extremes:
        """The tokens with the most of something, the most first, and with the least.

        Of equal ones those that stand there more often come first. No token is among both: where
        there are few, the half with more is among the most.

        Parameters
        ----------
        min_count : int
            Tokens that stand there less often are left out.
        """
        counts, totals = self.figures[COUNT], self.figures[TOTAL]
        amounts = totals / counts if by == "mean" else totals
        ranked = np.flatnonzero(counts >= min_count)
        ranked = ranked[np.lexsort((-counts[ranked], -amounts[ranked]))]
        upper, lower = np.split(ranked, [(len(ranked) + 1) // 2])
        lower = lower[np.lexsort((-counts[lower], amounts[lower]))]
        most, least = upper[:top].tolist(), lower[:top].tolist()
        wanted = {*most, *least}
        names = {row: token for token, row in self._rows.items() if row in wanted}
        return (
            [self._of_row(row, names[row]) for row in most],
            [self._of_row(row, names[row]) for row in least],
        )

    def _of_row(self, row: int, token: str) -> TokenFigures:
        count, unknown, total, squares = self._figures[:, row].tolist()
        std = math.sqrt(squares / (count - 1)) if count > 1 else None
        return TokenFigures(token, int(count), int(unknown), total / count, std, total)

    def _rows_of(self, tokens: Iterable[str]) -> NDArray[np.intp]:
        """The rows of tokens; new ones get one, and room for their figures."""
        rows = np.array(list(map(self._rows.__getitem__, tokens)), dtype=np.intp)
        room = self._figures.shape[1]
        if len(self) > room:
            more = max(len(self), 2 * room) - room
            self._figures = np.pad(self._figures, ((0, 0), (0, more)))
        return rows

    def _merge(self, rows: Integers, found: Floats) -> None:
        """Add further figures to rows, each of which stands there once.

        Sums of squares about two means add up to that about the mean of all, and what the means
        differ by: the pairwise update of Chan, Golub and LeVeque (1983), "Algorithms for Computing
        the Sample Variance", which does not subtract large numbers from each other.
        """
        before = self._figures[:, rows]
        together = before + found
        apart = found[TOTAL] / found[COUNT] - before[TOTAL] / np.maximum(before[COUNT], 1)
        together[SQUARES] += apart**2 * (before[COUNT] / together[COUNT] * found[COUNT])
        self._figures[:, rows] = together


def most_to_drop(tables: Iterable[TokenStatistics], kept: int) -> int:
    """The count up to which tokens must be dropped so that at most so many are kept."""
    counts = np.concatenate([table.figures[COUNT] for table in tables])
    place = len(counts) - kept - 1
    return int(np.partition(counts, place)[place])


@dataclass(frozen=True, slots=True)
class Dropped:
    """What was forgotten to keep within memory.

    Parameters
    ----------
    tokens : int
        How often the figures of a token were dropped.
    missing : int
        How much too low the count of any token may be at most.
    """

    tokens: int
    missing: int


Kept = TypeVar("Kept")


class Ranked(Generic[Kept]):
    """Keeps those with the highest amounts, of equal ones the first.

    Parameters
    ----------
    top : int
        How many are kept.
    """

    def __init__(self, top: int) -> None:
        self._top = top
        self._seen = 0
        # Of which the first is the lowest, by which another may be pushed out.
        self._heap: list[tuple[float, int, Kept]] = []

    def add(self, amount: float, make: Callable[[], Kept]) -> None:
        """Take in one, which is made only if it is kept."""
        self._seen -= 1
        if len(self._heap) < self._top:
            heapq.heappush(self._heap, (amount, self._seen, make()))
        elif amount > self._heap[0][0]:
            heapq.heapreplace(self._heap, (amount, self._seen, make()))

    def merge(self, other: Ranked[Kept]) -> None:
        """Take in what another one kept, as if all that it was given came next."""
        for amount, seen, kept in other._heap:
            heapq.heappush(self._heap, (amount, self._seen + seen, kept))
            if len(self._heap) > self._top:
                heapq.heappop(self._heap)
        self._seen += other._seen

    def highest_first(self) -> list[Kept]:
        return [kept for *_, kept in sorted(self._heap, key=lambda entry: entry[:2], reverse=True)]
