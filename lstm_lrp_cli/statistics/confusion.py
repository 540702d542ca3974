"""How predicted and true classes agree: accuracy, and which classes are taken for which."""

import math
from collections import Counter
from dataclasses import dataclass

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
