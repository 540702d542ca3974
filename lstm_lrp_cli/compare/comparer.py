"""From explanations, sequence by sequence, to a comparison, in memory that does not grow."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, compress, starmap

import numpy as np

from lstm_lrp_cli.model import Floats, Integers
from lstm_lrp_cli.results import Kind, Result, ResultPart, named, relevance_of_steps
from lstm_lrp_cli.statistics.agreement import LEAST_STEPS, correlations, linear_correlations
from lstm_lrp_cli.statistics.tokens import Ranked
from . import Apart, Comparison, OfRelevance, Rank
from .counts import CorrelationCount, DifferenceCount, PredictionCount, TokenCount
from .pairing import PairedTokens
from .side import Side

# How many tokens are compared at a time.
BLOCK_TOKENS = 2**14
# What a correlation may be below 1 by rounding, of numbers or of their correlation.
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Pair:
    """Relevance of the same by both sides.

    Parameters
    ----------
    one, other : Result
    a, b : ndarray, shape (n,)
        Of each token; in a numeric series of each value or, where one side does not tell of these,
        of each step. What a model passes over is not among them.
    names : list of str
        The token or feature of each; none where steps have no names.
    positions : ndarray of int, shape (n,)
        The step that each is of.
    masked_by_one : int
        How many more have relevance by one side, and are passed over by the other.
    """

    one: Result
    other: Result
    a: Floats
    b: Floats
    names: list[str]
    positions: Integers
    masked_by_one: int


class Comparer:
    """Compares sequences as they come.

    Parameters
    ----------
    sides : (Side, Side)
    top, min_count : int
        How many of everything are told, and how often a token must be compared to be ranked.
    rank : {"correlation", "difference"}
        What explanations must be low in, or high in, to be among the most different.
    """

    def __init__(self, sides: tuple[Side, Side], top: int, min_count: int, rank: Rank) -> None:
        self._sides = sides
        self._min_count, self._top, self._rank = min_count, top, rank
        self.sequences = 0
        self._kind: Kind = "token"
        self._predictions = PredictionCount(top)
        self._scores, self._differences = DifferenceCount(), DifferenceCount()
        self._pearson, self._spearman = CorrelationCount(), CorrelationCount()
        self._pairs = self._alone = self._other_tokens = self._masked_by_one = 0
        self._signs = self._same_sign = 0
        self._tokens = TokenCount()
        self._apart: Ranked[Apart] = Ranked(top)

    @np.errstate(over="ignore", invalid="ignore")  # what overflows shows in the figures
    def add(self, sequences: Sequence[PairedTokens]) -> None:
        """Compare some sequences."""
        self.sequences += len(sequences)
        self._predictions.add(sequences)
        self._add_scores(sequences)
        self._alone += sum(sequence.alone for sequence in sequences)
        self._other_tokens += sum(not sequence.same_tokens for sequence in sequences)
        pairs = [pair for sequence in sequences for pair in starmap(_pair, sequence.pairs)]
        self._pairs += len(pairs)
        self._masked_by_one += sum(pair.masked_by_one for pair in pairs)
        if pairs:
            self._kind = pairs[0].one.kind
        # Of no tokens there is nothing more to tell.
        there = [pair for pair in pairs if len(pair.a)]
        if there:
            self._add_relevance(there)

    def comparison(self) -> Comparison:
        """What all sequences so far come to."""
        a, b = self._sides
        return Comparison(
            a.title,
            b.title,
            self._kind,
            self._rank,
            self._min_count,
            self.sequences,
            self._predictions.figures(),
            self._scores.figures(),
            OfRelevance(
                self._pairs,
                self._alone,
                self._other_tokens,
                self._masked_by_one,
                self._differences.figures(),
                self._pearson.figures(),
                self._spearman.figures(),
                self._signs,
                self._same_sign,
            ),
            self._tokens.dropped,
            self._tokens.largest(self._top, self._min_count),
            self._apart.highest_first(),
        )

    def _add_scores(self, sequences: Iterable[PairedTokens]) -> None:
        scored = [each for sequence in sequences for each in sequence.scored]
        if scored:
            lengths = [len(each.a.scores) for each in scored]
            a, b = (
                np.concatenate([np.array(scores, dtype=np.float64) for scores in of_side])
                for of_side in zip(
                    *((each.a.scores, each.b.scores) for each in scored), strict=True
                )
            )
            place = np.repeat(np.arange(len(scored)), lengths)
            self._scores.add(a, b, [(each.a, each.b) for each in scored], place)

    def _add_relevance(self, pairs: Sequence[Pair]) -> None:
        a, b = (np.concatenate(each) for each in zip(*((p.a, p.b) for p in pairs), strict=True))
        lengths = np.array([len(pair.a) for pair in pairs])
        place = np.repeat(np.arange(len(pairs)), lengths)
        self._differences.add(a, b, [(pair.one, pair.other) for pair in pairs], place)
        signs = np.sign(a) * np.sign(b)
        self._signs += int(np.count_nonzero(signs))
        self._same_sign += int(np.count_nonzero(signs > 0))
        named = [pair for pair in pairs if pair.names]
        if named:
            names = [name for pair in named for name in pair.names]
            of_named = zip(*((pair.a, pair.b) for pair in named), strict=True)
            self._tokens.add(names, *map(np.concatenate, of_named))
        both = np.stack([a, b])
        pearson, spearman = (
            np.where(lengths >= LEAST_STEPS, correlate(both, place)[0, 1], np.nan)
            for correlate in (linear_correlations, correlations)
        )
        self._pearson.add(pearson)
        self._spearman.add(spearman)
        self._rank_pairs(pairs, pearson, spearman, _largest(np.abs(b - a), place))

    def _rank_pairs(
        self, pairs: Sequence[Pair], pearson: Floats, spearman: Floats, largest: Floats
    ) -> None:
        by_difference = self._rank == "difference"
        amounts, least = (largest, 0.0) if by_difference else (1 - pearson, ROUNDING)
        figures = (each.tolist() for each in (amounts, pearson, spearman))
        for pair, amount, linear, of_ranks in zip(pairs, *figures, strict=True):
            # What has no correlation has no place among them, nor has what is the same.
            if amount > least:
                self._apart.add(amount, partial(_apart, pair, linear, of_ranks))


def in_blocks(sequences: Iterable[PairedTokens]) -> Iterator[list[PairedTokens]]:
    """Some sequences at a time, which NumPy takes at once."""
    block: list[PairedTokens] = []
    tokens = 0
    for sequence in sequences:
        block.append(sequence)
        tokens += 1 + sum([p.relevance.size for one, _ in sequence.pairs for p in one.parts])
        if tokens >= BLOCK_TOKENS:
            yield block
            block, tokens = [], 0
    if block:
        yield block


# What two results tell of the same: names, both amounts, and the step that each is of.
Told = tuple[list[str], Floats, Floats, Integers]


def _pair(one: Result, other: Result) -> Pair:
    """Relevance as finely as both tell it; of tokens, never of their dimensions."""
    if not one.inputs:
        names, a, b, positions = _told(one, other)
    else:
        pairs = zip(one.parts, other.parts, strict=True)
        names, a, b, positions = _together([_told(*pair) for pair in pairs], one)
    there = ~(np.isnan(a) | np.isnan(b))
    if there.all():
        return Pair(one, other, a, b, names, positions, 0)
    # Beside a step that is passed over stands 0 where an older version wrote it.
    by_one = np.nan_to_num(np.where(np.isnan(a), b, a)[~there])
    kept = a[there], b[there], list(compress(names, there)), positions[there]
    return Pair(one, other, *kept, int(np.count_nonzero(by_one)))


def _told(one: ResultPart, other: ResultPart) -> Told:
    """The same of one input."""
    steps: Integers = np.arange(len(one.relevance))
    if one.tokens is None and one.relevance.ndim == other.relevance.ndim == 2:
        names = named(one, one.features or []) * len(steps)
        positions = np.repeat(steps, one.relevance.shape[1])
        return names, one.relevance.ravel(), other.relevance.ravel(), positions
    return _step_names(one), relevance_of_steps(one), relevance_of_steps(other), steps


def _together(told: Sequence[Told], of: Result) -> Told:
    """What is told of all inputs, one after the other; steps are those of all."""
    names, a, b, positions = zip(*told, strict=True)
    steps = np.cumsum([0, *(len(part.relevance) for part in of.parts)])
    shifted = [own + start for own, start in zip(positions, steps.tolist(), strict=False)]
    every = list(chain.from_iterable(names))
    return every, np.concatenate(a), np.concatenate(b), np.concatenate(shifted)


def _step_names(part: ResultPart) -> list[str]:
    """What the tokens or steps of an input are called; the steps of the only one have no names."""
    if isinstance(part, Result):
        return part.tokens or []
    if part.tokens is not None:
        return named(part, part.tokens)
    return named(part, [f"step {step}" for step in range(len(part.relevance))])


def _steps(result: Result) -> list[float]:
    """Relevance of each token or step, of all inputs."""
    return [amount for part in result.parts for amount in relevance_of_steps(part).tolist()]


def _largest(amounts: Floats, place: Integers) -> Floats:
    """The largest amount of each place, all of which have some."""
    found: Floats = np.maximum.reduceat(amounts, np.flatnonzero(np.diff(place, prepend=-1)))
    return found


def _apart(pair: Pair, pearson: float, spearman: float) -> Apart:
    one, other = pair.one, pair.other
    apart = np.abs(pair.b - pair.a)
    place = int(apart.argmax())
    return Apart(
        one.sequence,
        one.id if one.id is not None else other.id,
        one.step,
        one.target,
        one.label if one.label is not None else other.label,
        None if one.predicted is None else str(one.predicted),
        None if other.predicted is None else str(other.predicted),
        None if math.isnan(pearson) else pearson,
        None if math.isnan(spearman) else spearman,
        float(apart[place]),
        int(pair.positions[place]),
        [name for part in one.parts for name in _step_names(part)] or one.tokens,
        _steps(one),
        _steps(other),
        _dates(one) or _dates(other),
        one.input if one.input is not None else other.input,
    )


def _dates(result: Result) -> list[str] | None:
    """When each token or step of all inputs was, where that is known of all."""
    known = [part.dates for part in result.parts if part.dates is not None]
    return list(chain.from_iterable(known)) if len(known) == len(result.parts) else None
