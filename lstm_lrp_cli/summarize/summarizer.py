"""From results, block by block, to a summary, in memory that does not grow with their number."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TextIO

import msgspec
import numpy as np

from lstm_lrp_cli.engine.records import NO_SHARES, Ledger
from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.inputs.stream import display_name
from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.results import Kind, Result, ResultPart, named, relevance_of_steps, without_masked
from lstm_lrp_cli.results.read import ResultFile
from lstm_lrp_cli.statistics.tokens import (
    MOST_ROWS,
    UNKNOWN,
    Dropped,
    Ranked,
    TokenStatistics,
    most_to_drop,
)
from lstm_lrp_cli.terminal.text import json_document
from .positions import Positions
from .summary import Cell, OfMethod, OfTarget, Residual, Summary

# Far more than models have classes, and than runs have methods: what is counted of each takes
# memory, whatever else is dropped.
MOST_TARGETS = 100_000
MOST_METHODS = 1000
# The true and the predicted class; None where the true one is not known.
Confused = tuple[str | int, str | int | None] | None


class Summarizer:
    """Counts results as they come.

    Figures are exact as long as there are at most MOST_ROWS different tokens. Beyond that, the
    rarest are dropped until half of the rows are free (as in lossy counting: Manku and Motwani
    2002, "Approximate Frequency Counts over Data Streams"). One that comes again is counted anew,
    so that its count may be too low, by no more than `Dropped.missing`.

    It can be pickled, and those of several parts of a corpus can be merged: in the corpus's order
    they come to what one of all of it does, counts exactly and sums but for rounding.

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
        self._sources: dict[str, None] = {}  # in their order
        self._files = _Files()
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

    def empty(self) -> Summarizer:
        """One that counts the same, and has counted nothing."""
        return Summarizer(self._top, self._min_count, self._target)

    def of_file(self, file: ResultFile) -> Iterator[Summarizer]:
        """What one file of results comes to by itself, as the one result of some work."""
        counted = self.empty()
        for block in file.blocks():
            counted.add(block, display_name(file.source))
        yield counted

    @np.errstate(over="ignore", invalid="ignore")  # what overflows shows in the figures
    def add(self, results: Sequence[Result], source: str) -> None:
        """Count a block of results of one file."""
        self._sources[source] = None
        by_method: defaultdict[str | None, list[Result]] = defaultdict(list)
        if results:
            self._files.add(results[0].input or source)
        for result in results:
            if self._target is None or str(result.target) == self._target:
                by_method[result.method].append(result)
            elif result.target is not None:
                self.other_targets.add(str(result.target))
        for name, some in by_method.items():
            if self._kind is None:
                self._kind = some[0].kind
            if name not in self._methods:
                self._methods[name] = _Method(self._top)
            self._methods[name].add(some, source)
        self._refuse_endless(source)
        self._keep_within_memory()

    @np.errstate(over="ignore", invalid="ignore")
    def merge(self, other: Summarizer) -> None:
        """Count all that another one did, of what comes next.

        Raises
        ------
        UnusableInput
            Both together tell of too many methods or targets.
        """
        self._sources |= other._sources
        self._files.merge(other._files)
        self._kind = self._kind or other._kind
        self.other_targets |= other.other_targets
        for name, method in other._methods.items():
            if name not in self._methods:
                self._methods[name] = _Method(self._top)
            self._methods[name].merge(method)
        # What may be missing from a table is missing from it here, and there.
        self._dropped += other._dropped
        self._missing += other._missing
        self._refuse_endless(next(reversed(self._sources), ""))
        self._keep_within_memory()

    @np.errstate(over="ignore", invalid="ignore")
    def summary(self) -> Summary:
        """What all results so far come to."""
        return Summary(
            list(self._sources),
            self._files.count,
            self._kind or "token",
            self._top,
            self._min_count,
            self._what_was_dropped(),
            [
                method.figures(name, self._top, self._min_count)
                for name, method in self._methods.items()
            ],
        )

    def _refuse_endless(self, source: str) -> None:
        """What is counted for each method and target is little, unless there is no end of them."""
        if len(self._methods) > MOST_METHODS:
            raise UnusableInput(
                source,
                f"tells of more than {MOST_METHODS:,} methods; expected results of `lrp explain`",
            )
        if sum(method.counted for method in self._methods.values()) > MOST_TARGETS:
            raise UnusableInput(
                source,
                f"tells of more than {MOST_TARGETS:,} targets, or of as many labels of them; with "
                "--target CLASS one is summarized",
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


class _Files:
    """Counts files by names that follow each other, of which the first and the last are kept."""

    def __init__(self) -> None:
        self.count = 0
        self._first = self._last = ""

    def add(self, name: str) -> None:
        if not self.count:
            self._first = name
        if not self.count or name != self._last:
            self.count, self._last = self.count + 1, name

    def merge(self, other: _Files) -> None:
        if other.count:
            self.add(other._first)
            self.count, self._last = self.count + other.count - 1, other._last


class _Method:
    """What is counted of one method."""

    def __init__(self, top: int) -> None:
        self.explanations = 0
        self._without_score = 0
        self._targets: defaultdict[str | int, _Target] = defaultdict(_Target)
        self._residuals: Ranked[Residual] = Ranked(top)

    @property
    def tables(self) -> Iterator[TokenStatistics]:
        for target in self._targets.values():
            for part in target.parts.values():
                yield part.table

    @property
    def counted(self) -> int:
        """How many targets there are, in how many cells of the confusion matrix."""
        return sum(len(target.parts) for target in self._targets.values())

    @property
    def most_tables(self) -> int:
        """How many tables a target has at most."""
        return max((len(target.parts) for target in self._targets.values()), default=0)

    def merge(self, other: _Method) -> None:
        self.explanations += other.explanations
        self._without_score += other._without_score
        self._residuals.merge(other._residuals)
        for target, counted in other._targets.items():
            self._targets[target].merge(counted)

    def add(self, results: Sequence[Result], source: str) -> None:
        self.explanations += len(results)
        for result in results:
            if result.ledger is not None:
                relative = _relative(result.ledger)
                self._residuals.add(relative, partial(_residual, result, source, relative))
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
            self._residuals.highest_first(),
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
        inputs = [without_masked(part) for result in results for part in result.parts]
        steps = [relevance_of_steps(each) for each in inputs]
        self._positions.add(steps)
        self.parts[confused].add(len(results), inputs, steps)

    def merge(self, other: _Target) -> None:
        self._positions.merge(other._positions)
        for confused, part in other.parts.items():
            self.parts[confused].merge(part)

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

    def merge(self, other: _Part) -> None:
        self.explanations += other.explanations
        self.table.merge(other.table)

    def add(self, explanations: int, inputs: Sequence[ResultPart], steps: Sequence[Floats]) -> None:
        """Count the tokens of explanations, or the features of a series at each step."""
        self.explanations += explanations
        names: list[str] = []
        amounts: list[Floats] = []
        unknown: list[int] = []
        for each, of_steps in zip(inputs, steps, strict=True):
            if each.tokens is not None:
                unknown += [len(names) + place for place in each.unknown]
                names += named(each, each.tokens)
                amounts.append(of_steps)
            elif each.features is not None and each.relevance.ndim == 2:
                names += named(each, each.features) * len(each.relevance)
                amounts.append(each.relevance.ravel())
        if amounts:
            self.table.add(names, np.concatenate(amounts), unknown)


def _order(target: str | int) -> tuple[bool, int, str]:
    """Numbers in their order, then names in theirs."""
    if isinstance(target, int):
        return False, target, ""
    return True, 0, target


def _residual(result: Result, source: str, relative: float) -> Residual:
    assert result.ledger is not None
    return Residual(
        result.input or source,
        result.sequence,
        result.id,
        result.target,
        result.step,
        result.text,
        result.ledger["residual"],
        relative,
    )


def _relative(ledger: dict[str, float]) -> float:
    """The size of a residual; 1 where there is nothing to measure it against."""
    residual = ledger["residual"]
    if not residual:
        return 0.0
    shares = {name: amount for name, amount in ledger.items() if name not in NO_SHARES}
    scale = Ledger(ledger["score"], shares, scores_size=ledger.get("scores_size")).scale
    return abs(residual) / scale if scale else 1.0


def write_summary(summary: Summary, form: str, file: TextIO) -> None:
    """Write a summary.

    Parameters
    ----------
    form : {"table", "json", "html"}
        Tables for people, one JSON document, or a page that needs nothing but itself.
    """
    if form == "json":
        file.write(json_document(msgspec.to_builtins(summary)))
        return
    from .table import print_summary, write_page

    (write_page if form == "html" else print_summary)(summary, file)
