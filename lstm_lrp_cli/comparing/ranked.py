"""The few of many things that are the most of something."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Generic, TypeVar

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

    def highest_first(self) -> list[Kept]:
        return [kept for *_, kept in sorted(self._heap, key=lambda entry: entry[:2], reverse=True)]
