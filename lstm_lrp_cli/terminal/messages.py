"""What lrp says of itself on standard error, beside its results, in lines that fit a terminal."""

import os
import sys
from collections.abc import Iterable

from .text import legible

# Where the text of a message begins, behind "lrp: ".
MESSAGE = 5


def say(message: str) -> None:
    """Say something, with whatever names it has made safe to show."""
    say_lines(f"lrp: {legible(message)}", MESSAGE)


def warn(messages: Iterable[str]) -> None:
    """Say warnings, each for itself."""
    for message in messages:
        say(f"warning: {message}")


def say_lines(text: str, hang: int) -> None:
    """Say lines, folded between words where a terminal has no room for them.

    By itself it would break them wherever its edge is, in the middle of numbers too.

    Parameters
    ----------
    text : str
        Safe to show.
    hang : int
        The indent of what is folded.
    """
    if sys.stderr is None:
        return
    width = _width()
    for line in text.splitlines():
        fits = width is None or len(line) <= width
        print(line if fits else _folded(line, width or 0, hang), file=sys.stderr, flush=True)


def _width() -> int | None:
    """The columns of the terminal; None where standard error is none."""
    if not sys.stderr.isatty():
        return None
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        return int(columns)
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or None
    except (OSError, ValueError):
        return None


def _folded(line: str, width: int, hang: int) -> str:
    from textwrap import wrap

    kept = line.replace(" %", "\0%")  # with its number
    return "\n".join(
        wrap(
            kept,
            width,
            subsequent_indent=" " * min(hang, width // 3),
            expand_tabs=False,
            replace_whitespace=False,
            break_long_words=False,
            break_on_hyphens=False,
        )
    ).replace("\0", " ")
