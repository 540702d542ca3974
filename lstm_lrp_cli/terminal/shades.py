"""The colours of relevance, red for the target and blue against it; and series drawn in them.

No relevance is the terminal's own background: colours grow from it, darker on a light one, lighter
on a dark one. Few terminals say which they have. For the others, colours are as dark as can be
read in white and as light as can be seen on black, and grow from grey to full colour.

Red and blue are told apart with any colour blindness. What a terminal lacks is not mixed from its
nearest colours, which are muddy, but has a scale of its own.
"""

import math
import os
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import numpy as np
from rich.console import Console
from rich.text import Text

from lstm_lrp_cli.errors import printable
from lstm_lrp_cli.explaining.explanation import ExplainedInput
from lstm_lrp_cli.model import Floats
from .console import cells_of, folded
from .numbers import decimal
from .words import NOT_READ, by_feature

# Below this part of the sequence's strongest relevance a token is left uncoloured.
FAINT = 0.04
# Of 16 colours, backgrounds have one shade each: what is weaker than this is coloured text.
STRONG = 0.5

Background = Literal["dark", "light", "unknown"]
Colour = tuple[int, int, int]
Shade = Callable[[float], str]


class _Scale(NamedTuple):
    """Colours from faint to strong, and that of the text on them.

    Parameters
    ----------
    text : Colour
    red, blue : (Colour, Colour)
        The ends between which a terminal of all colours mixes.
    text_of_256 : int
    reds, blues : tuple of int
        Of the 256, all in the cube of 216, which terminals do not redefine.
    """

    text: Colour
    red: tuple[Colour, Colour]
    blue: tuple[Colour, Colour]
    text_of_256: int
    reds: tuple[int, ...]
    blues: tuple[int, ...]


BLACK, WHITE = (0, 0, 0), (255, 255, 255)
FULL_RED, FULL_BLUE = (212, 0, 24), (0, 98, 220)
SCALES: dict[Background, _Scale] = {
    "light": _Scale(
        *(BLACK, ((255, 235, 235), (255, 35, 35)), ((235, 244, 255), (35, 128, 255))),
        *(16, (224, 217, 210, 203, 196), (189, 147, 111, 69, 33)),
    ),
    "dark": _Scale(
        *(WHITE, ((48, 28, 28), FULL_RED), ((26, 30, 52), FULL_BLUE)),
        *(231, (52, 88, 124, 160), (17, 18, 25, 26)),
    ),
    "unknown": _Scale(
        *(WHITE, ((116, 106, 106), FULL_RED), ((104, 108, 118), FULL_BLUE)),
        *(231, (95, 131, 124, 160), (60, 61, 25, 26)),
    ),
}


def strengths_of(amounts: Floats) -> Floats:
    """Relevance relative to the strongest, from -1 to 1; NaN where it is missing."""
    largest = np.fmax.reduce(np.abs(amounts), axis=None, initial=0.0)
    scaled: Floats = amounts / largest if largest else np.zeros_like(amounts)
    return scaled


def full_colour(strongest: float) -> str:
    """What the strongest colour of a sequence stands for, on either side."""
    return f"full colour {strongest:.3g}"


def background() -> Background:
    """What the terminal says of its background, in COLORFGBG: the numbers of its two colours."""
    *_, number = os.environ.get("COLORFGBG", "").split(";")
    if not number.isdecimal() or int(number) > 15:
        return "unknown"
    return "light" if int(number) in (7, *range(9, 16)) else "dark"


def shade_of(console: Console, on: Background | None = None) -> Shade | None:
    """From a strength, -1 to 1, to a style; None where the console shows no colour.

    Parameters
    ----------
    on : Background or None
        None is what the terminal says.
    """
    if console.no_color or console.color_system is None:
        return None
    style = {"truecolor": _mixed, "256": _of_256}.get(console.color_system, _of_16)
    own = on or background()
    return lambda strength: "" if abs(strength) <= FAINT else style(min(1, max(-1, strength)), own)


def _mixed(strength: float, on: Background) -> str:
    scale = SCALES[on]
    faint, full = scale.red if strength > 0 else scale.blue
    part = abs(float(strength))
    colour = [round(start + part * (end - start)) for start, end in zip(faint, full, strict=True)]
    return "rgb({},{},{}) on rgb({},{},{})".format(*scale.text, *colour)


def _of_256(strength: float, on: Background) -> str:
    scale = SCALES[on]
    colours = scale.reds if strength > 0 else scale.blues
    step = math.ceil(abs(strength) * len(colours)) - 1
    return f"color({scale.text_of_256}) on color({colours[step]})"


def _of_16(strength: float, on: Background) -> str:
    colour = "red" if strength > 0 else "blue"
    if abs(strength) > STRONG:
        return f"bold bright_white on {colour}"
    return colour if on == "light" else f"bright_{colour}"


# Of a line, names take no more than this part, or this many cells where that is more.
NAMES_PART = 1 / 3
NAMES_CELLS = 8
# Sums take as many cells in every series, unless they are larger.
SUM_CELLS = 8
# Without colours, the sign stands for what is above this part of the strongest.
SIGNED = 0.2


def series_lines(part: ExplainedInput, width: int, shade: Shade | None) -> Iterator[Text]:
    """A line for each feature, or one of whole steps: its name, folded if long, sum, and steps.

    A line before the others says what the strongest colour stands for. Where there are more steps
    than room, as many of them as must share a cell, and their relevance is summed; it says so. A
    cell of masked steps alone is marked.
    """
    features, relevance = by_feature(part)
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
    cells_wide = len(relevance) * (1 if shade is None else len(cell))
    yield from _axis(part.dates or (), names_width + numbers + 2, cells_wide, width)


def _axis(dates: tuple[str, ...], before: int, cells: int, width: int) -> Iterator[Text]:
    """When the first and the last step were, each below its own end where both fit."""
    if not dates:
        return
    first, last = map(printable, (dates[0], dates[-1]))
    gap = cells - cells_of(first) - cells_of(last)
    if gap > 0:
        yield Text(" " * before + first + " " * gap + last, "dim")
        return
    told = first if len(dates) == 1 else f"{first} to {last}"
    room = max(width - cells_of(told), 0)
    indent = " " * min(before, room)
    yield folded([Text(indent + told, "dim")], width)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cells_of(text))
