"""How far two things agree: rankings within a sequence, or predicted and true classes."""

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np

from lstm_lrp_cli.model import Floats, Integers

# Of two steps the correlation is 1 or -1, whatever is compared.
LEAST_STEPS = 3


def correlations(values: Floats, sequence: Integers) -> Floats:
    """Rank correlations within each sequence, shape (methods, methods, sequences).

    NaN where all values of a sequence are equal.
    """
    return linear_correlations(
        np.stack([average_ranks(each, sequence) for each in values]), sequence
    )


def linear_correlations(values: Floats, sequence: Integers) -> Floats:
    """Pearson's correlations within each sequence, shape (methods, methods, sequences).

    NaN where all values of a sequence are equal.

    Parameters
    ----------
    values : ndarray, shape (methods, steps)
    sequence : ndarray of int, shape (steps,)
        The sequence of each, in ascending order; every sequence has steps.
    """
    starts = np.searchsorted(sequence, np.arange(sequence.max() + 1))
    lowest, highest = (each.reduceat(values, starts, axis=-1) for each in (np.minimum, np.maximum))
    # Halves, since a difference of large numbers may overflow; and relative to the range, lest the
    # products of small ones vanish. The mean of equal numbers need not be one of them.
    reach = highest / 2 - lowest / 2
    centred = values / 2 - lowest[:, sequence] / 2
    np.divide(centred, reach[:, sequence], out=centred, where=reach[:, sequence] > 0)
    centred -= (_totals(centred, sequence) / np.bincount(sequence))[:, sequence]
    products: Floats = _totals(centred[:, np.newaxis] * centred, sequence)
    own = np.sqrt(np.einsum("iis->is", products))
    scale = own[:, np.newaxis] * own
    there = reach > 0
    found = np.full_like(products, np.nan)
    np.divide(products, scale, out=found, where=there[:, np.newaxis] & there)
    return found


def average_ranks(values: Floats, sequence: Integers) -> Floats:
    """The rank of each value, equal ones having the mean of theirs, shape (steps,).

    Ranks of one sequence go on where those of the one before end, which correlation does not see.
    """
    order = np.lexsort((values, sequence))
    fresh = np.ones(len(order), dtype=bool)
    fresh[1:] = (np.diff(values[order]) != 0) | (np.diff(sequence[order]) != 0)
    starts = np.flatnonzero(fresh)
    sizes = np.diff(np.append(starts, len(order)))
    ranks = np.empty(len(order))
    ranks[order] = np.repeat(starts + (sizes - 1) / 2, sizes)
    return ranks


def _totals(values: Floats, sequence: Integers) -> Floats:
    """Sums over each sequence, along the last axis."""
    starts = np.searchsorted(sequence, np.arange(sequence.max() + 1))
    totals: Floats = np.add.reduceat(values, starts, axis=-1)
    return totals


# Of the standard normal distribution: 95 % lie within so many deviations of the mean.
NORMAL_95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class OfClass:
    """How one class was predicted.

    Parameters
    ----------
    name : str or int
    true, predicted, right : int
        Sequences of that class, those predicted to be, and those that are both.
    """

    name: str | int
    true: int
    predicted: int
    right: int

    @property
    def precision(self) -> float | None:
        """The part of those predicted that is right; None where there are none."""
        return self.right / self.predicted if self.predicted else None

    @property
    def recall(self) -> float | None:
        """The part of the class that is predicted so; None where there is nothing of it."""
        return self.right / self.true if self.true else None

    @property
    def f1(self) -> float | None:
        """The harmonic mean of both; 0 where nothing is right."""
        together = self.true + self.predicted
        return 2 * self.right / together if together else None


@dataclass(frozen=True, slots=True)
class Confusion:
    """Which classes were predicted of which.

    Parameters
    ----------
    classes : tuple of str or int
        The names of all classes.
    pairs : Counter
        How often, by the places in `classes` of the true and the predicted class.
    """

    classes: tuple[str | int, ...]
    pairs: Counter[tuple[int, int]]

    @property
    def total(self) -> int:
        return self.pairs.total()

    @property
    def right(self) -> int:
        return sum(count for (true, predicted), count in self.pairs.items() if true == predicted)

    @property
    def accuracy(self) -> float:
        return self.right / self.total

    @property
    def occurring(self) -> list[int]:
        """The classes that occur, as true or as predicted ones, in their order."""
        return sorted({place for pair in self.pairs for place in pair})

    @property
    def by_class(self) -> list[OfClass]:
        """The figures of each class that occurs."""
        true: Counter[int] = Counter()
        predicted: Counter[int] = Counter()
        for (gold, taken), count in self.pairs.items():
            true[gold] += count
            predicted[taken] += count
        return [
            OfClass(self.classes[k], true[k], predicted[k], self.pairs[k, k])
            for k in self.occurring
        ]


def wilson_interval(right: int, total: int, deviations: float = NORMAL_95) -> tuple[float, float]:
    """Between which bounds a probability lies, of which so many of so many trials came true.

    It is Wilson's score interval, which stays within 0 and 1 and holds for few trials too (Wilson
    1927, "Probable Inference, the Law of Succession, and Statistical Inference").
    """
    share, square = right / total, deviations**2 / total
    middle = (share + square / 2) / (1 + square)
    reach = math.sqrt(share * (1 - share) * square + square**2 / 4) / (1 + square)
    # Which 0 and 1 are exactly, but for rounding, where nothing or everything came true.
    return (middle - reach if right else 0.0), (middle + reach if right < total else 1.0)
