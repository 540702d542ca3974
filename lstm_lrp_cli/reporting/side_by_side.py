"""Two explanations of one sequence, token by token below each other."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from lstm_lrp_cli.comparing.comparison import Apart, Rank
from lstm_lrp_cli.reporting.numbers import counted
from lstm_lrp_cli.reporting.printable import printable
from lstm_lrp_cli.reporting.shades import shade_of, strengths_of

# How many tokens of a sequence are shown, and what each line begins with.
MOST_TOKENS = 200
BEGINNINGS = ("  ", "A ", "B ")
GAP = " "
# Relevance below this is shown by its digits, wherever they stand.
SMALL = 0.1

Column = tuple[Text, Text, Text]


def side_by_side(apart: Apart, rank: Rank, console: Console) -> Iterator[Text]:
    """Lines by threes: tokens, and below each its relevance by A and by B.

    Colours tell of strength relative to the side's strongest token; where differences are ranked,
    to the strongest of both. Numbers tell the same.
    """
    both = np.array([apart.a, apart.b])
    shown = both[:, :MOST_TOKENS]
    names = apart.tokens or list(map(str, range(shown.shape[1])))
    shade = shade_of(console)
    strengths = (
        strengths_of(both) if rank == "difference" else np.stack(list(map(strengths_of, both)))
    )
    number = _relevance_number(float(np.fmax.reduce(np.abs(both), axis=None, initial=0.0)))
    columns = [
        _column(
            printable(name),
            list(map(number, amounts.tolist())),
            [] if shade is None else [shade(0.0 if np.isnan(s) else s) for s in strong.tolist()],
        )
        for name, amounts, strong in zip(names, shown.T, strengths.T, strict=False)
    ]
    for some in _folded(columns, console.width - len(BEGINNINGS[0])):
        for beginning, *cells in zip(BEGINNINGS, *some, strict=True):
            yield Text(beginning) + Text(GAP).join(cells)
    left_out = both.shape[1] - shown.shape[1]
    if left_out:
        yield Text(f"  and {counted(left_out, 'more token' if apart.tokens else 'more step')}")


def _relevance_number(largest: float) -> Callable[[float], str]:
    """How relevance is shown: with two decimals, unless all of it is small; not where masked."""

    def text(amount: float) -> str:
        if math.isnan(amount):
            return ""
        # Adding 0 makes one zero of both.
        return f"{amount:+.1e}" if largest < SMALL else f"{round(amount, 2) + 0.0:+.2f}"

    return text


def _column(name: str, numbers: Sequence[str], styles: Sequence[str]) -> Column:
    """A token and its relevance by both, all of one width."""
    width = max(map(cell_len, (name, *numbers)))
    cells = [Text(set_cell_size(text, width)) for text in (name, *numbers)]
    for cell, style in zip(cells[1:], styles, strict=False):
        cell.stylize(style)
    return cells[0], cells[1], cells[2]


def _folded(columns: Sequence[Column], width: int) -> Iterator[list[Column]]:
    """As many columns at a time as a line has room for; one at least, which is cut to fit."""
    line: list[Column] = []
    used = 0
    for column in columns:
        wide = column[0].cell_len
        if line and used + len(GAP) + wide > width:
            yield line
            line, used = [], 0
        used += wide + (len(GAP) if line else 0)
        if wide > width:
            for cell in column:
                cell.truncate(max(width, 1), overflow="ellipsis")
        line.append(column)
    if line:
        yield line
