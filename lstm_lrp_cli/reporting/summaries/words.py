"""What tables and pages call things, and how they show numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from lstm_lrp_cli.reporting.numbers import counted
from lstm_lrp_cli.summarizing.positions import PARTS, ByPosition, PositionFigures
from lstm_lrp_cli.summarizing.summary import Dropped, OfMethod, OfTarget, Summary

# How many digits the largest number of a column is shown with.
DIGITS = 4
# How many positions are told one by one: more are left to JSON.
SHOWN_POSITIONS = 10
# How many tokens tell what a cell of the confusion matrix is about.
TYPICAL = 5


def signed(values: Iterable[float]) -> Callable[[float], str]:
    """How the numbers of a column are shown: with one number of decimals, so that they align."""
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    whole = math.floor(math.log10(largest)) + 1 if largest else 1
    decimals = max(DIGITS - max(whole, 1), 0) if largest >= 1e-3 else None
    return lambda value: (
        f"{value:+.{DIGITS - 1}g}" if decimals is None else f"{value:+,.{decimals}f}"
    )


def method_title(method: OfMethod) -> str:
    """What stands over a method's section."""
    title = f"{method.method}: " if method.method is not None else ""
    title += counted(method.explanations, "explanation")
    if method.without_score:
        title += f", {method.without_score:,} of them without a score"
    return title


def target_title(target: OfTarget, summary: Summary) -> str:
    """What a class's explanations come to."""
    noun = "token" if summary.kind == "token" else "step"
    unknown = f" ({target.unknown:,} unknown)" if target.unknown else ""
    kept = " kept" if summary.dropped else ""
    # Of whole steps of a series there is nothing to tell apart.
    distinct = f"{target.distinct:,} different {summary.kind}s{kept}, " if target.distinct else ""
    return (
        f"{counted(target.explanations, 'explanation')}, {counted(target.tokens, noun)}{unknown}, "
        f"{distinct}relevance {target.relevance:+,.4g} in all"
    )


def position_rows(positions: ByPosition) -> list[tuple[str, PositionFigures]]:
    """The first positions, by name."""
    return [(str(each.position), each) for each in positions.from_start[:SHOWN_POSITIONS]]


def tenth_rows(positions: ByPosition) -> list[tuple[str, PositionFigures]]:
    """The tenths of a sequence, by name."""
    part = 100 // PARTS
    return [
        (f"{part * each.position}–{part * (each.position + 1)} %", each)
        for each in positions.tenths
    ]


def dropped_note(dropped: Dropped) -> str:
    """What the user must know where figures are not exact."""
    return (
        f"there were too many different tokens to keep: {dropped.tokens:,} times a rare one was "
        f"dropped, so counts may be too low by at most {dropped.missing:,}"
    )
