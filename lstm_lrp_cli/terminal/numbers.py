"""Numbers as text: exact for programs, counted for people."""

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from lstm_lrp_cli.inputs.sequence import pieces
from lstm_lrp_cli.model import Floats

# How many decimal digits a float32 may need. Rounded to 6, a shorter decimal is found as well.
DIGITS = (6, 7, 8, 9)
# The powers of ten that a float64 holds exactly, and the sizes that one of them makes whole numbers
# of so many digits.
POWERS = 10.0 ** np.arange(23)
SCALED = (1e-12, 1e6)
# From here on people read a power of ten more easily than all digits.
LONG = 1e7

_encode = msgspec.json.Encoder().encode


def exact(values: Floats) -> list[Any]:
    """Nested Python floats whose shortest text reads back to the same value in the same precision.

    A float32 of 0.1 becomes 0.1, not 0.10000000149011612.
    """
    nested: list[Any] = _exact(values).tolist()
    return nested


def exact_each(arrays: Sequence[Floats]) -> list[list[Any]]:
    """What `exact` gives of each of several arrays, made of all at once."""
    if not arrays:
        return []
    return pieces(exact(np.concatenate(arrays)), map(len, arrays))


def texts(values: Floats) -> list[str]:
    """The shortest text of each value, shape (n,), that reads back exactly, as JSON lines have it.

    msgspec writes all in a tenth of the time of `repr`. JSON has no text for what is no number; NaN
    has none here either, for it stands for what is missing.
    """
    numbers = _exact(values)
    if not len(numbers):
        return []
    found = _encode(numbers.tolist())[1:-1].decode("ascii").split(",")
    for place in np.flatnonzero(~np.isfinite(numbers)).tolist():
        number = float(numbers[place])
        found[place] = "" if math.isnan(number) else repr(number)
    return found


def rounded_each(arrays: Sequence[Floats]) -> list[list[Any]]:
    """Each of several arrays as nested Python floats of 6 significant digits, for people."""
    if not arrays:
        return []
    return pieces(_rounded(np.concatenate(arrays)).tolist(), map(len, arrays))


def decimal(value: float, places: int, sign: str = "") -> str:
    """A number with so many decimal places, for people; a long one in three digits and a power.

    Parameters
    ----------
    sign : {"", "+"}
        "+" shows that of positive numbers too.
    """
    form = f"{sign}.{places}f" if abs(value) < LONG else f"{sign}.3g"
    return format(value, form)


def counted(number: int, noun: str) -> str:
    """As in "1 sequence" or "1,200 sequences"."""
    return f"{number:,} {noun if number == 1 else plural(noun)}"


def plural(noun: str) -> str:
    """As in "sequences", or "tokens or features"."""
    return noun.replace(" or ", "s or ") + "s"


def steps_compared(steps: int | None, masked: int | None) -> str:
    """At how many steps scores were compared, behind what they are of; nothing where at none."""
    if steps is None:
        return ""
    more = f" ({masked:,} more masked)" if masked else ""
    return f", scores compared at {counted(steps, 'step')}{more}"


def _exact(values: Floats) -> NDArray[np.float64]:
    if values.dtype != np.float32:
        return values.astype(np.float64, copy=False)
    flat = values.ravel()
    sizes = np.abs(flat)
    found = flat.astype(np.float64)  # which is right for zeros and NaN
    scaled = (sizes >= SCALED[0]) & (sizes < SCALED[1])
    found[scaled] = np.copysign(_decimals(sizes[scaled]), found[scaled])
    rest = ~scaled & (sizes > 0)
    if rest.any():
        found[rest] = flat[rest].astype(np.str_).astype(np.float64)
    return found.reshape(values.shape)


def _decimals(sizes: Floats) -> NDArray[np.float64]:
    """The float64 nearest to the shortest decimal of each positive float32.

    A decimal of so many digits is a whole number divided by a power of ten. Where float64 holds
    both exactly, their quotient is the float64 nearest to the decimal, as if it were read from
    text. NumPy's conversion to text and back takes 20 times as long.
    """
    wide = sizes.astype(np.float64)
    places = _places(wide)
    found = np.empty_like(wide)
    left = np.arange(len(wide))
    for digits in DIGITS:
        found[left] = decimals = _cut(wide[left], places[left], digits)
        left = left[decimals.astype(np.float32) != sizes[left]]
    return found


def _places(sizes: NDArray[np.float64]) -> NDArray[np.intp]:
    """How far it is from the point to the first digit."""
    return -np.floor(np.log10(sizes)).astype(np.intp)


def _cut(sizes: NDArray[np.float64], places: NDArray[np.intp], digits: int) -> NDArray[np.float64]:
    """Positive numbers of SCALED sizes, to so many digits."""
    powers = POWERS[places + (digits - 1)]
    cut: NDArray[np.float64] = np.rint(sizes * powers) / powers
    return cut


def _rounded(values: Floats) -> NDArray[np.float64]:
    found = values.astype(np.float64)
    sizes = np.abs(found)
    scaled = (sizes >= SCALED[0]) & (sizes < SCALED[1])
    found[scaled] = np.copysign(
        _cut(sizes[scaled], _places(sizes[scaled]), DIGITS[0]), found[scaled]
    )
    rest = ~scaled & (sizes > 0)
    found[rest] = [float(f"{value:.{DIGITS[0]}g}") for value in found[rest].tolist()]
    return found
