"""The colours of relevance: red for the target and blue against it, as a terminal can show them.

Red and blue are told apart with any colour blindness, and black can be read on all of them,
whatever a terminal's own background is. What a terminal lacks is not mixed from its nearest
colours, which are muddy, but has a scale of its own.
"""

import math
from collections.abc import Callable

import numpy as np
from rich.console import Console

from lstm_lrp_cli.model.arrays import Floats

# Below this part of the sequence's strongest relevance a token is left uncoloured.
FAINT = 0.04
# Of the 256 colours, from faint to strong: all in the cube of 216, which terminals do not redefine.
REDS = (224, 217, 210, 203, 196)
BLUES = (189, 147, 111, 69, 33)
BLACK = 16
# Of 16 colours, backgrounds have one shade each: what is weaker than this is coloured text.
STRONG = 0.5

Shade = Callable[[float], str]


def strengths_of(amounts: Floats) -> Floats:
    """Relevance relative to the strongest, from -1 to 1; NaN where it is missing."""
    largest = np.fmax.reduce(np.abs(amounts), axis=None, initial=0.0)
    scaled: Floats = amounts / largest if largest else np.zeros_like(amounts)
    return scaled


def shade_of(console: Console) -> Shade | None:
    """From a strength, -1 to 1, to a style; None where the console shows no colour."""
    if console.no_color or console.color_system is None:
        return None
    return {"truecolor": _mixed, "256": _of_256}.get(console.color_system, _of_16)


def _mixed(strength: float) -> str:
    if abs(strength) <= FAINT:
        return ""
    away = round(200 * (1 - abs(float(strength)))) + 35
    colour = (255, away, away) if strength > 0 else (away, round(away / 2) + 110, 255)
    return "rgb(0,0,0) on rgb({},{},{})".format(*colour)


def _of_256(strength: float) -> str:
    if abs(strength) <= FAINT:
        return ""
    scale = REDS if strength > 0 else BLUES
    step = math.ceil(min(abs(strength), 1.0) * len(scale)) - 1
    return f"color({BLACK}) on color({scale[step]})"


def _of_16(strength: float) -> str:
    if abs(strength) <= FAINT:
        return ""
    colour = "red" if strength > 0 else "blue"
    return f"bold bright_white on {colour}" if abs(strength) > STRONG else f"bright_{colour}"
