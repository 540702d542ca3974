"""What is said on standard error, in lines that fit a terminal."""

from __future__ import annotations

import os
import sys

import click

# Where the text of a message begins behind "lrp: ".
MESSAGE = 5


def say(text: str, hang: int = MESSAGE) -> None:
    """Say lines on standard error, folded between words where a terminal has no room for them.

    By itself it would break them wherever its edge is, in the middle of numbers too.

    Parameters
    ----------
    text : str
    hang : int
        The indent of what is folded.
    """
    width = _width()
    for line in text.splitlines():
        click.echo(
            line if width is None or len(line) <= width else _folded(line, width, hang), err=True
        )


def _width() -> int | None:
    """The columns of the terminal; None where standard error is none."""
    if sys.stderr is None or not sys.stderr.isatty():
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
