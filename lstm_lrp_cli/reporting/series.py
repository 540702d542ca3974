"""A numeric series on a terminal: a line a feature, a cell a step."""

from collections.abc import Iterator

import numpy as np
from rich.text import Text

from lstm_lrp_cli.reporting.excerpt import NOT_READ
from lstm_lrp_cli.reporting.folding import cells_of, folded
from lstm_lrp_cli.reporting.numbers import decimal
from lstm_lrp_cli.reporting.printable import printable
from lstm_lrp_cli.reporting.shades import Shade, full_colour, strengths_of
from lstm_lrp_cli.sequences.explanation import Explanation

# Of a line, names take no more than this part, or this many cells where that is more.
NAMES_PART = 1 / 3
NAMES_CELLS = 8
# Sums take as many cells in every series, unless they are larger.
SUM_CELLS = 8
# Without colours, the sign stands for what is above this part of the strongest.
SIGNED = 0.2


def series_lines(explanation: Explanation, width: int, shade: Shade | None) -> Iterator[Text]:
    """A line for each feature, or one of whole steps: its name, folded if long, sum, and steps.

    A line before the others says what the strongest colour stands for. Where there are more steps
    than room, as many of them as must share a cell, and their relevance is summed; it says so. A
    cell of masked steps alone is marked.
    """
    relevance, features = explanation.relevance, explanation.sequence.features or ()
    if relevance.ndim == 1:
        relevance, features = relevance[:, np.newaxis], ("all features",)
    steps = len(relevance)
    missing = np.isnan(relevance)
    relevance = np.where(missing, 0.0, relevance)
    sums = [decimal(total, 3, "+") for total in relevance.sum(axis=0)]
    numbers = max(SUM_CELLS, *map(len, sums))
    names_width = max(int(width * NAMES_PART), NAMES_CELLS)
    names = [
        folded(map(Text, printable(name).split(" ")), names_width, hang=1).plain.split("\n")
        for name in features
    ]
    names_width = max((cells_of(line) for lines in names for line in lines), default=0)
    room = max(width - names_width - numbers - 2, 1)
    steps_a_cell = max(-(-steps // room), 1)
    told = []
    if steps_a_cell > 1:
        cells = range(0, steps, steps_a_cell)
        relevance = np.add.reduceat(relevance, cells)
        missing = np.logical_and.reduceat(missing, cells)
        told.append(f"a cell is {steps_a_cell} of {steps} steps")
    strongest = float(np.abs(relevance).max(initial=0.0))
    if strongest:
        signs = f"+ and - from {SIGNED * strongest:.3g}"
        told.append(signs if shade is None else full_colour(strongest))
    if told:
        yield folded([Text(word, "dim") for word in ", ".join(told).split()], width)
    cell = "  " if 2 * steps <= room else " "
    strengths = strengths_of(relevance)
    for index, (lines, total) in enumerate(zip(names, sums, strict=True)):
        line = Text(f"{_padded(lines[0], names_width)} {total:>{numbers}} ")
        for strength, absent in zip(strengths[:, index], missing[:, index], strict=True):
            style = "" if shade is None else shade(strength)
            if absent:
                line.append(NOT_READ * (1 if shade is None else len(cell)), "dim")
            elif shade is None:
                line.append("+" if strength > SIGNED else "-" if strength < -SIGNED else ".")
            elif style and " on " not in style:  # a space would not show the colour of its text
                line.append(("+" if strength > 0 else "-").ljust(len(cell)), style)
            else:
                line.append(cell, style)
        yield line
        for rest in lines[1:]:
            yield Text(rest)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cells_of(text))
