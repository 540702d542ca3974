"""Relevance by where a token or step stands in its sequence."""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lstm_lrp_cli.engine.ledger import NO_SHARES, Ledger
from lstm_lrp_cli.model.arrays import Floats, Integers
from lstm_lrp_cli.results.result import LONGEST_TEXT, Result

# Positions that are told one by one; all later ones are told together.
POSITIONS = 100
PARTS = 10


@dataclass(frozen=True, slots=True)
class PositionFigures:
    """What stands at one position, or in one part, of all sequences.

    Parameters
    ----------
    position : int
        From 0; of parts, the tenth of the sequence.
    count : int
        How many tokens or steps stand there.
    mean, mean_absolute : float
        Of their relevance, and of its size.
    """

    position: int
    count: int
    mean: float
    mean_absolute: float


@dataclass(frozen=True, slots=True)
class ByPosition:
    """Relevance by position. Positions at which nothing stands are left out.

    Parameters
    ----------
    from_start : list of PositionFigures
        The first ones, one by one.
    later : PositionFigures or None
        All behind those, under the number of the first of them; None where there are none.
    tenths : list of PositionFigures
        Of each sequence's length: those of the first, ..., last tenth.
    """

    from_start: list[PositionFigures]
    later: PositionFigures | None
    tenths: list[PositionFigures]


class Positions:
    """Counts relevance by position, as more and more sequences come."""

    def __init__(self) -> None:
        self._from_start = _Bins(POSITIONS + 1)
        self._tenths = _Bins(PARTS)

    @property
    def steps(self) -> int:
        """How many tokens or steps there are in all."""
        return int(self._tenths.counts.sum())

    @property
    def total(self) -> float:
        """The sum of all relevance."""
        return float(self._tenths.totals.sum())

    def add(self, sequences: Sequence[Floats]) -> None:
        """Add the relevance of each step of several sequences."""
        lengths = np.array(list(map(len, sequences)), dtype=np.intp)
        amounts = np.concatenate(sequences)
        ends = np.cumsum(lengths)
        positions = np.arange(len(amounts)) - np.repeat(ends - lengths, lengths)
        self._from_start.add(np.minimum(positions, POSITIONS), amounts)
        self._tenths.add(PARTS * positions // np.repeat(lengths, lengths), amounts)

    def figures(self) -> ByPosition:
        """What was counted so far."""
        found = self._from_start.figures()
        beyond = found.pop() if found and found[-1].position == POSITIONS else None
        return ByPosition(found, beyond, self._tenths.figures())


class _Bins:
    """Amounts that fall into bins."""

    def __init__(self, size: int) -> None:
        self.counts: NDArray[np.int64] = np.zeros(size, dtype=np.int64)
        self.totals: NDArray[np.float64] = np.zeros(size)
        self._sizes: NDArray[np.float64] = np.zeros(size)

    def add(self, bins: Integers, amounts: Floats) -> None:
        size = len(self.counts)
        self.counts += np.bincount(bins, minlength=size)
        self.totals += np.bincount(bins, amounts, size)
        self._sizes += np.bincount(bins, np.abs(amounts), size)

    def figures(self) -> list[PositionFigures]:
        """Those of the bins into which something fell."""
        there = np.flatnonzero(self.counts)
        counts = self.counts[there]
        columns = (there, counts, self.totals[there] / counts, self._sizes[there] / counts)
        return list(map(PositionFigures, *(column.tolist() for column in columns)))


@dataclass(frozen=True, slots=True)
class Residual:
    """What is left of one score.

    Parameters
    ----------
    source : str
        The file of results.
    sequence, id, target, step
        As `Result` has them.
    text : str
        The beginning of the sequence; empty in a numeric series.
    residual : float
        As the ledger has it.
    relative : float
        Its size, relative to the larger of the score and the sum of the shares' sizes.
    """

    source: str
    sequence: int
    id: str | int | None
    target: str | int | None
    step: int | None
    text: str
    residual: float
    relative: float


class WorstResiduals:
    """Keeps the worst residuals, of equal ones the first."""

    def __init__(self, top: int) -> None:
        self._top = top
        self._seen = 0
        # Of which the first is the least bad, by which another may be pushed out.
        self._heap: list[tuple[float, int, Residual]] = []

    def add(self, results: Iterable[Result], source: str) -> None:
        for result in results:
            if result.ledger is None:
                continue
            self._seen -= 1
            rank = _relative(result.ledger), self._seen
            if len(self._heap) < self._top:
                heapq.heappush(self._heap, (*rank, _residual(result, source, result.ledger)))
            elif rank > self._heap[0][:2]:
                heapq.heapreplace(self._heap, (*rank, _residual(result, source, result.ledger)))

    def figures(self) -> list[Residual]:
        """The worst ones, the worst first."""
        return [residual for *_, residual in sorted(self._heap, reverse=True)]


def _residual(result: Result, source: str, ledger: dict[str, float]) -> Residual:
    return Residual(
        source,
        result.sequence,
        result.id,
        result.target,
        result.step,
        " ".join(result.tokens or ())[:LONGEST_TEXT],
        ledger["residual"],
        _relative(ledger),
    )


def _relative(ledger: dict[str, float]) -> float:
    """The size of a residual; 1 where there is nothing to measure it against."""
    residual = ledger["residual"]
    if not residual:
        return 0.0
    shares = {name: amount for name, amount in ledger.items() if name not in NO_SHARES}
    scale = Ledger(ledger["score"], shares).scale
    return abs(residual) / scale if scale else 1.0
