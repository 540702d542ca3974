"""Numbers as text: exact for programs, counted for people."""

from typing import Any

import numpy as np

from lstm_lrp_cli.model.arrays import Floats


def exact(values: Floats) -> list[Any]:
    """Nested Python floats whose shortest text reads back to the same value in the same precision.

    A float32 of 0.1 becomes 0.1, not 0.10000000149011612.
    """
    if values.dtype == np.float32:
        nested: list[Any] = values.astype(np.str_).astype(np.float64).tolist()
        return nested
    plain: list[Any] = values.tolist()
    return plain


def counted(number: int, noun: str) -> str:
    """As in "1 sequence" or "1,200 sequences"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
