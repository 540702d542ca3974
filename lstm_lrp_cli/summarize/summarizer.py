"""From results, block by block, to a summary, in memory that does not grow with their number."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from lstm_lrp_cli.model.arrays import Floats
from lstm_lrp_cli.results.result import Result
from lstm_lrp_cli.statistics.tokens import (
    MOST_ROWS,
    UNKNOWN,
    Dropped,
    TokenStatistics,
    most_to_drop,
)
from .positions import Positions, WorstResiduals
from .summary import Cell, Kind, OfMethod, OfTarget, Summary

# The true and the predicted class; None where the true one is not known.
Confused = tuple[str | int, str | int | None] | None


class Summarizer:
    """Counts results as they come.

    Figures are exact as long as there are at most MOST_ROWS different tokens. Beyond that, the
    rarest are dropped until half of the rows are free (as in lossy counting: Manku and Motwani
    2002, "Approximate Frequency Counts over Data Streams"). One that comes again is counted anew,
    so that its count may be too low, by no more than `Dropped.missing`.

    Parameters
    ----------
    top, min_count : int
        As `Summary` has them.
    target : str or None
        The one target whose explanations are counted; None for all.
    """

    def __init__(self, top: int, min_count: int, target: str | None = None) -> None:
        self._top, self._min_count, self._target = top, min_count, target
        self._methods: dict[str | None, _Method] = {}
        self._sources: list[str] = []
        self._kind: Kind | None = None
        # How often a token was dropped, and how much of its count may be missing from one table.
        self._dropped = 0
        self._missing = 0
        # Those that were not asked for.
        self.other_targets: set[str] = set()

    @property
    def explanations(self) -> int:
        """How many were counted."""
        return sum(method.explanations for method in self._methods.values())

    @np.errstate(over="ignore", invalid="ignore")  # what overflows shows in the figures
    def add(self, results: Sequence[Result], source: str) -> None:
        """Count a block of results of one file."""
        if source not in self._sources:
            self._sources.append(source)
        by_method: defaultdict[str | None, list[Result]] = defaultdict(list)
        for result in results:
            if self._target is None or str(result.target) == self._target:
                by_method[result.method].append(result)
            elif result.target is not None:
                self.other_targets.add(str(result.target))
        for name, some in by_method.items():
            if self._kind is None:
                self._kind = "token" if some[0].tokens is not None else "feature"
            if name not in self._methods:
                self._methods[name] = _Method(self._top)
            self._methods[name].add(some, source)
        self._keep_within_memory()

    def summary(self) -> Summary:
        """What all results so far come to."""
        return Summary(
            self._sources,
            self._kind or "token",
            self._top,
            self._min_count,
            self._what_was_dropped(),
            [
                method.figures(name, self._top, self._min_count)
                for name, method in self._methods.items()
            ],
        )

    def _keep_within_memory(self) -> None:
        tables = [table for method in self._methods.values() for table in method.tables]
        if sum(map(len, tables)) > MOST_ROWS:
            most = most_to_drop(tables, MOST_ROWS // 2)
            self._dropped += sum(table.drop(most) for table in tables)
            self._missing += most

    def _what_was_dropped(self) -> Dropped | None:
        if not self._dropped:
            return None
        # The count of a target is that of all its tables together.
        tables = max(method.most_tables for method in self._methods.values())
        return Dropped(self._dropped, self._missing * tables)


class _Method:
    """What is counted of one method."""

    def __init__(self, top: int) -> None:
        self.explanations = 0
        self._without_score = 0
        self._targets: defaultdict[str | int, _Target] = defaultdict(_Target)
        self._residuals = WorstResiduals(top)

    @property
    def tables(self) -> Iterator[TokenStatistics]:
        for target in self._targets.values():
            for part in target.parts.values():
                yield part.table

    @property
    def most_tables(self) -> int:
        """How many tables a target has at most."""
        return max((len(target.parts) for target in self._targets.values()), default=0)

    def add(self, results: Sequence[Result], source: str) -> None:
        self.explanations += len(results)
        self._residuals.add(results, source)
        groups: defaultdict[tuple[str | int, Confused], list[Result]] = defaultdict(list)
        for result in results:
            if result.target is None:
                self._without_score += 1
                continue
            label = result.label
            confused = None if label is None else (label, result.predicted)
            groups[result.target, confused].append(result)
        for (target, confused), some in groups.items():
            self._targets[target].add(some, confused)

    def figures(self, name: str | None, top: int, min_count: int) -> OfMethod:
        targets = sorted(self._targets.items(), key=lambda named: _order(named[0]))
        cells = [
            Cell(
                label,
                predicted,
                label == predicted,
                target,
                part.explanations,
                *part.table.extremes("total", top),
            )
            for target, counted in targets
            for (label, predicted), part in counted.confused
        ]
        return OfMethod(
            name,
            self.explanations,
            self._without_score,
            [counted.figures(target, top, min_count) for target, counted in targets],
            sorted(cells, key=lambda cell: (cell.right, -cell.explanations)),
            self._residuals.figures(),
        )


class _Target:
    """What is counted of one target: its tokens apart by cells of the confusion matrix."""

    def __init__(self) -> None:
        self.parts: defaultdict[Confused, _Part] = defaultdict(_Part)
        self._positions = Positions()

    @property
    def confused(self) -> Iterator[tuple[tuple[str | int, str | int | None], _Part]]:
        """The cells of the confusion matrix."""
        for confused, part in self.parts.items():
            if confused is not None:
                yield confused, part

    def add(self, results: Sequence[Result], confused: Confused) -> None:
        results = [result.without_masked() for result in results]
        steps = [result.relevance_of_steps for result in results]
        self._positions.add(steps)
        self.parts[confused].add(results, steps)

    def figures(self, target: str | int, top: int, min_count: int) -> OfTarget:
        table = TokenStatistics()
        for part in self.parts.values():
            table.merge(part.table)
        return OfTarget(
            target,
            sum(part.explanations for part in self.parts.values()),
            self._positions.steps,
            int(table.figures[UNKNOWN].sum()),
            self._positions.total,
            len(table),
            *table.extremes("mean", top, min_count),
            *table.extremes("total", top),
            self._positions.figures(),
        )


class _Part:
    """The explanations of one target in one cell of the confusion matrix."""

    def __init__(self) -> None:
        self.explanations = 0
        self.table = TokenStatistics()

    def add(self, results: Sequence[Result], steps: Sequence[Floats]) -> None:
        """Count the tokens of results, or the features of a series at each step."""
        self.explanations += len(results)
        names: list[str] = []
        amounts: list[Floats] = []
        unknown: list[int] = []
        for result, of_steps in zip(results, steps, strict=True):
            if result.tokens is not None:
                unknown += [len(names) + place for place in result.unknown]
                names += result.tokens
                amounts.append(of_steps)
            elif result.features is not None and result.relevance.ndim == 2:
                names += result.features * len(result.relevance)
                amounts.append(result.relevance.ravel())
        if amounts:
            self.table.add(names, np.concatenate(amounts), unknown)


def _order(target: str | int) -> tuple[bool, int, str]:
    """Numbers in their order, then names in theirs."""
    if isinstance(target, int):
        return False, target, ""
    return True, 0, target
