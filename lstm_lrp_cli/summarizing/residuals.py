"""The explanations whose ledgers leave the most unexplained."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass

from lstm_lrp_cli.engine.ledger import NO_SHARES, Ledger
from lstm_lrp_cli.results.result import Result

# How much of a sequence is kept to tell which it is.
LONGEST_TEXT = 200


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
