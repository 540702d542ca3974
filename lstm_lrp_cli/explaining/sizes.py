"""How large ledgers are beside scores; and Check, the worst deviation within its tolerance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from lstm_lrp_cli.engine.records import Ledger, Ledgers
from lstm_lrp_cli.model import Floats, Integers
from .explanation import Explanation

# A run warns where it is so of more than this part of its explanations, or of all of them together:
# beside a score near 0, shares are large in any model.
SOME = 1 / 10


def times(size: float, score: float) -> float:
    """How many times a score a size is; of nothing, 0."""
    if not size:
        return 0.0
    return size / abs(score) if score else math.inf


class Size(Struct, frozen=True):
    """How many times its score a size is, over many ledgers.

    Parameters
    ----------
    limit : float
        Beyond it, it is large.
    size, scores : float
        The sums of all sizes, and of all scores' sizes.
    compared, large : int
        How many ledgers there were, and of how many it is large.
    worst : float
        The most times a score; NaN once any was NaN.
    sequence : int, str or None
        Where; of several files, in which.
    """

    limit: float
    size: float = 0.0
    scores: float = 0.0
    compared: int = 0
    large: int = 0
    worst: float = 0.0
    sequence: int | str | None = None

    def seen(self, sizes: Floats, scores: Floats, numbers: Sequence[int]) -> Size:
        """With more ledgers: the size of each, its score, and its sequence's number."""
        scores = np.abs(scores)
        with np.errstate(all="ignore"):
            ratios = np.where(sizes == 0, 0.0, sizes / scores)
        worst = int(np.argmax(ratios))  # the first, or the first NaN
        later = Size(
            self.limit,
            float(sizes.sum()),
            float(scores.sum()),
            len(sizes),
            int((~(ratios <= self.limit)).sum()),
            float(ratios[worst]),
            numbers[worst],
        )
        return self.merged(later)

    def merged(self, later: Size) -> Size:
        """With those of later sequences."""
        worse = later.sequence is not None and (
            self.sequence is None or not (later.worst <= self.worst or math.isnan(self.worst))
        )
        worst = later if worse else self
        return Size(
            self.limit,
            self.size + later.size,
            self.scores + later.scores,
            self.compared + later.compared,
            self.large + later.large,
            worst.worst,
            worst.sequence,
        )

    @property
    def relative(self) -> float:
        """How many times all scores together the sizes together are."""
        return times(self.size, self.scores)

    @property
    def tells(self) -> bool:
        """Whether a run says so."""
        return self.large > SOME * self.compared or not self.relative <= self.limit

    def as_object(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "relative": self.relative,
            "worst": self.worst,
            "sequence": self.sequence,
            "large": self.large,
            "limit": self.limit,
        }


# Beyond so many times the score: that large numbers cancel, whose sum alone is the score; and
# that stabilizers took much of what was to be explained. Models that are sound stay below in nearly
# all sequences (docs/understanding.md has the figures).
NOTHING = {"shares": Size(limit=10.0), "tokens": Size(limit=100.0), "stabilizers": Size(limit=0.5)}


def sizes_of(ledgers: Ledgers, tokens: Floats) -> dict[str, Floats]:
    """By what it is of, the size that each of several explanations has of it.

    Of `shares` it is the sum of the absolute values of the ledger's shares, of `tokens` that of
    single tokens or steps, of `stabilizers` what they absorbed by size; no more than the ledgers
    have.

    Parameters
    ----------
    ledgers : Ledgers
        By one method.
    tokens : ndarray, shape (explanations,)
        The sum of the sizes of single tokens or steps.
    """
    found = {"shares": np.abs(np.stack([*ledgers.shares.values()])).sum(axis=0)}
    if "tokens" in ledgers.shares:
        found["tokens"] = tokens
    if ledgers.stabilizers_size is not None:
        found["stabilizers"] = ledgers.stabilizers_size
    return found


def absolute_sums(relevance: Floats, belongs: Integers, explanations: int) -> Floats:
    """The size of the tokens of each explanation, given those of all, and whose each is.

    Steps that the model passes over have no relevance (NaN), and no size.
    """
    there = np.where(np.isnan(relevance), 0.0, np.abs(relevance))
    return np.bincount(belongs, there, explanations).astype(np.float64)


def ledgers_of(explanations: Sequence[Explanation]) -> tuple[Ledgers, Floats] | None:
    """The ledgers of explanations by one method, and the size of their tokens, as arrays.

    None where there are no explanations, or the method gives no ledgers.
    """
    ledgers = [each.ledger for each in explanations if each.ledger is not None]
    if not ledgers:
        return None
    names = ledgers[0].shares
    amounts = np.array([(ledger.score, *ledger.shares.values()) for ledger in ledgers])
    sizes = None
    if ledgers[0].stabilizers_size is not None:
        sizes = np.array([ledger.stabilizers_size or 0.0 for ledger in ledgers])
    shares = dict(zip(names, amounts[:, 1:].T, strict=True))
    relevance = [each.of_all_steps for each in explanations]
    belongs = np.repeat(np.arange(len(relevance)), list(map(len, relevance)))
    tokens = absolute_sums(np.concatenate(relevance), belongs, len(relevance))
    return Ledgers(amounts[:, 0], shares, sizes), tokens


class Sizes(Struct, frozen=True):
    """What is large beside the scores, by what it is of.

    Parameters
    ----------
    by_name : dict
        A Size of each of what explanations have, in the order of NOTHING.
    """

    by_name: dict[str, Size]

    @classmethod
    def none(cls, nothing: Ledger) -> Sizes:
        """Of no explanations, of a method whose ledger of no score is given."""
        there = {"shares", *nothing.shares}
        return cls({name: size for name, size in NOTHING.items() if name in there})

    # What overflows shows in the figures.
    @np.errstate(over="ignore", invalid="ignore")
    def seen(self, ledgers: Ledgers, tokens: Floats, numbers: Sequence[int]) -> Sizes:
        """With more explanations, as `sizes_of` takes them, and their sequences' numbers."""
        found = sizes_of(ledgers, tokens)
        return Sizes(
            {
                name: size.seen(found[name], ledgers.score, numbers)
                for name, size in self.by_name.items()
            }
        )

    def with_explanations(self, explanations: Sequence[Explanation]) -> Sizes:
        """The same of explanations one by one."""
        arrays = ledgers_of(explanations)
        if arrays is None:
            return self
        return self.seen(*arrays, [each.sequence.number for each in explanations])

    def merged(self, later: Sizes) -> Sizes:
        """With those of later sequences."""
        return Sizes(
            {name: size.merged(later.by_name[name]) for name, size in self.by_name.items()}
        )

    def as_object(self) -> dict[str, Any]:
        """As JSON has them."""
        return {name: size.as_object() for name, size in self.by_name.items()}


def large_sizes(explanation: Explanation) -> dict[str, float]:
    """What of one explanation is large beside its score, and how many times it."""
    arrays = ledgers_of([explanation])
    if arrays is None:
        return {}
    score = float(arrays[0].score[0])
    ratios = {name: times(float(size[0]), score) for name, size in sizes_of(*arrays).items()}
    return {name: ratio for name, ratio in ratios.items() if not ratio <= NOTHING[name].limit}


class Check(Struct, frozen=True):
    """A quantity that must stay below its tolerance for every sequence.

    Parameters
    ----------
    name : str
    meaning : str
        What is compared with what.
    tolerance : float
    worst : float
        The largest deviation so far; NaN once any was NaN.
    sequence : int, str or None
        Where the worst deviation occurred; of several files, in which.
    compared : int
        How many deviations were looked at.
    """

    name: str
    meaning: str
    tolerance: float
    worst: float = 0.0
    sequence: int | str | None = None
    compared: int = 0

    def seen(self, deviation: float, sequence: int | str) -> Check:
        """The check with one more deviation."""
        worse = self.sequence is None or not deviation <= self.worst
        if worse and self.worst == self.worst:  # NaN stays the worst
            return replace(self, worst=deviation, sequence=sequence, compared=self.compared + 1)
        return replace(self, compared=self.compared + 1)

    def merged(self, later: Check) -> Check:
        """The check with what the same check saw of later sequences."""
        if later.sequence is None:
            return self
        seen = self.seen(later.worst, later.sequence)
        return replace(seen, compared=self.compared + later.compared)

    @property
    def passed(self) -> bool:
        """Whether anything was compared, and all of it within the tolerance."""
        return self.compared > 0 and self.worst <= self.tolerance
