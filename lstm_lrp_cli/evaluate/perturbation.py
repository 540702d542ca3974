"""Scores as steps are deleted, or put back, in the order of relevance.

Deletion from sequences that are classified rightly and wrongly is that of Arras et al. 2017,
"Explaining Recurrent Neural Network Predictions in Sentiment Analysis", and 2019, "Evaluating
Recurrent Neural Network Explanations". Insertion is that of Petsiuk, Das and Saenko 2018, "RISE:
Randomized Input Sampling for Explanation of Black-box Models". What the start of a curve is above
its area is the AOPC of Samek et al. 2017, "Evaluating the Visualization of What a Deep Neural
Network Has Learned".
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lstm_lrp_cli.engine.perturbation import erased_scores
from lstm_lrp_cli.model import Booleans, Floats, Integers
from . import Contestant, ExplainedBatch

Group = Literal["all", "right", "wrong"]


@dataclass(frozen=True, slots=True)
class Perturbation:
    """Steps that are deleted, or put back, one after another.

    Parameters
    ----------
    what : {"deletion", "insertion"}
        Insertion begins with all steps deleted.
    group : {"all", "right", "wrong"}
        Of which sequences: of those that are classified rightly or wrongly as they are.
    most_first : bool
        Whether the most relevant step comes first, or the least relevant.
    """

    what: Literal["deletion", "insertion"]
    group: Group
    most_first: bool = True

    def among(self, right: Booleans) -> Integers:
        """The sequences that it is made with, where it is known which ones are right."""
        groups = {"all": np.ones_like(right), "right": right, "wrong": ~right}
        return np.flatnonzero(groups[self.group])

    def scores(
        self, seen: ExplainedBatch, relevance: Floats, sequences: Integers, most: int
    ) -> Floats:
        """All scores after 0, 1, .. steps, shape (sequences, most + 1, classes).

        Where a sequence has no more steps, its scores stay.

        Parameters
        ----------
        relevance : ndarray, shape (steps,)
        """
        trace = seen.trace
        order = relevance if self.most_first else -relevance
        ranks = []
        of_inputs = seen.by_input(ranks_from_most(order, seen.sequence))
        for each, own in zip(seen.batch.packed, of_inputs, strict=True):
            ranks.append(np.full(each.packing.rows, -1, dtype=np.intp))
            ranks[-1][each.own_rows] = own
        longest = min(most, int(np.bincount(seen.sequence).max()))
        count = np.tile(np.arange(longest + 1), len(sequences))
        none, all_steps = np.zeros_like(count), np.full_like(count, len(seen.sequence))
        first, stop = (count, all_steps) if self.what == "insertion" else (none, count)
        copied = np.repeat(sequences, longest + 1)
        found = erased_scores(trace, copied, ranks, first, stop)
        found = found.reshape(len(sequences), longest + 1, found.shape[1])
        return found[:, np.minimum(np.arange(most + 1), longest)]


def perturbations(*, gold: bool) -> tuple[Perturbation, ...]:
    """Those of the papers; without true classes, those that need none."""
    if not gold:
        return (Perturbation("deletion", "all"), Perturbation("insertion", "all"))
    return (
        Perturbation("deletion", "right"),
        Perturbation("deletion", "wrong", most_first=False),
        Perturbation("insertion", "right"),
    )


def ranks_from_most(values: Floats, sequence: Integers) -> Integers:
    """The place of each value in its sequence, the largest at 0; of equal ones the earlier first.

    Parameters
    ----------
    values : ndarray, shape (steps,)
    sequence : ndarray of int, shape (steps,)
        The sequence of each, in ascending order.
    """
    order = np.lexsort((-values, sequence))
    starts = np.searchsorted(sequence, sequence)
    ranks = np.empty(len(values), dtype=np.intp)
    ranks[order] = np.arange(len(values)) - starts
    return ranks


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """A mean over sequences after 0, 1, .. steps.

    Parameters
    ----------
    values : ndarray, shape (seeds, 1 + steps)
        One row, or one for each seed of the random control.
    """

    values: Floats

    @property
    def mean(self) -> Floats:
        mean: Floats = self.values.mean(axis=0)
        return mean

    @property
    def spread(self) -> Floats | None:
        """The standard deviation over seeds; None where there is but one."""
        return spread(self.values)

    @property
    def areas(self) -> Floats:
        """The mean height of each curve, from 0 steps to the last, shape (seeds,)."""
        areas: Floats = self.values.mean(axis=1)
        return areas

    @property
    def area(self) -> float:
        return float(self.areas.mean())

    @property
    def area_spread(self) -> float | None:
        of_seeds = spread(self.areas)
        return None if of_seeds is None else float(of_seeds)


def spread(values: Floats) -> Floats | None:
    """The sample's standard deviation along the first axis; None of a single value."""
    return values.std(axis=0, ddof=1) if len(values) > 1 else None


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """The curves of one perturbation, by the contestants' names.

    Parameters
    ----------
    perturbation : Perturbation
    sequences : int
        How many it was made with. Where there are none, there are no curves.
    score : dict of Curve
        The mean of the explained score.
    predicted : dict of Curve
        The share of sequences whose explained class is the predicted one: where it is the true
        class, the accuracy. Without curves where the model predicts no class.
    """

    perturbation: Perturbation
    sequences: int
    score: dict[str, Curve]
    predicted: dict[str, Curve]


class CurveSums:
    """What the curves of one perturbation are means of: sums over the sequences seen so far."""

    def __init__(
        self, perturbation: Perturbation, contestants: tuple[Contestant, ...], deletions: int
    ) -> None:
        self._perturbation = perturbation
        self._deletions = deletions
        self._sequences = 0
        self._classifies = True
        # Of the score, and of whether it is predicted: by seed and step.
        self._sums = {
            each.name: np.zeros((2, len(each.methods), deletions + 1)) for each in contestants
        }

    def add(self, seen: ExplainedBatch, done: Callable[[], None]) -> None:
        """Take in a batch; tell of each method that is done."""
        self._classifies = seen.decision is not None
        everything = np.arange(len(seen.batch.sequences))
        chosen = self._perturbation.among(seen.predicted(seen.trace.scores, everything))
        self._sequences += len(chosen)
        for (of_score, of_predicted), of_seeds in zip(
            self._sums.values(), seen.relevance, strict=True
        ):
            for seed, relevance in enumerate(of_seeds):
                scores = self._perturbation.scores(seen, relevance, chosen, self._deletions)
                for count in range(scores.shape[1]):
                    at = scores[:, count]
                    of_score[seed, count] += seen.scores(at, chosen).sum()
                    of_predicted[seed, count] += seen.predicted(at, chosen).sum()
            done()

    def curves(self) -> Curves:
        """What it came to."""
        count = self._sequences
        means = {name: sums / count for name, sums in self._sums.items()} if count else {}
        return Curves(
            self._perturbation,
            count,
            {name: Curve(score) for name, (score, _) in means.items()},
            {name: Curve(predicted) for name, (_, predicted) in means.items()}
            if self._classifies
            else {},
        )
