"""The rich console that tables and heat maps are printed on, and lines that fit it."""

import os
import shutil
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import NoReturn, TextIO

from msgspec import Struct
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from .text import PlainScreen

# Off a terminal there is no width to go by; a table is then wide enough not to fold.
PIPED_WIDTH = 120
UNBOUNDED = 10_000


class PipeConsole(Console):
    """Leaves a closed pipe to the command, which ends quietly; rich would exit with status 1."""

    def on_broken_pipe(self) -> NoReturn:
        raise BrokenPipeError


def open_console(file: TextIO) -> Console:
    """A console on a stream. Text is never highlighted by what it looks like."""
    if isinstance(file, PlainScreen):  # what is printed here is printable, and has orders of rich's
        file = file.screen
    piped = not file.isatty() and "COLUMNS" not in os.environ
    size = shutil.get_terminal_size()
    # With the height as well: of a dumb terminal, rich would take neither for known.
    return PipeConsole(
        file=file, highlight=False, width=PIPED_WIDTH if piped else size.columns, height=size.lines
    )


def print_table(table: Table, console: Console) -> None:
    """Print a table in which numbers, which stand on the right, are whole at any width.

    Where there is little room they take no more than they need, and their headers are folded.
    """
    wide = Measurement.get(console, console.options.update(width=UNBOUNDED), table).maximum
    for column in table.columns:
        if column.justify == "right":
            words = (*map(str, column.cells), *str(column.header).split())
            column.min_width = max(map(cell_len, words), default=0)
            if wide > console.width:
                column.max_width = column.min_width
        else:
            column.overflow = "fold"
    console.print(table)


EMOJI_SELECTOR = "\ufe0f"
JOINER = "\u200d"
SKIN_TONES = range(0x1F3FB, 0x1F400)
# Vowels and final consonants of Hangul that join the consonant before them.
JAMO_THAT_JOIN = range(0x1160, 0x1200)


def clusters(text: str) -> Iterator[str]:
    """What must not be torn apart: a character with its marks, an emoji of several characters.

    It is what extends a character in the extended grapheme clusters of Unicode (UAX 29), without
    its rules for prefixes and for conjuncts.
    """
    cluster, flags = "", 0
    for character in text:
        flag = 0x1F1E6 <= ord(character) <= 0x1F1FF
        pair = flag and flags % 2 == 1
        if cluster and (_extends(character) or cluster.endswith(JOINER) or pair):
            cluster += character
        else:
            if cluster:
                yield cluster
            cluster = character
        flags = flags + 1 if flag else 0
    if cluster:
        yield cluster


def _extends(character: str) -> bool:
    """Whether a character belongs to the one before it."""
    code = ord(character)
    return (
        unicodedata.category(character) in ("Mn", "Mc", "Me")
        or character in (JOINER, "\u200c", "\u200e")
        or code in SKIN_TONES
        or code in JAMO_THAT_JOIN
    )


def cells_of(text: str) -> int:
    """How many cells of a line a text takes at most.

    Terminals differ on emoji of several characters: drawn as one, or one beside the other; and on
    characters that a selector turns into emoji, which are wider.
    """
    if text.isascii():
        return len(text)
    return max(cell_len(text), sum(map(cell_len, text)) + text.count(EMOJI_SELECTOR))


def folded(pieces: Iterable[Text], width: int, *, hang: int = 2, joint: str = " ") -> Text:
    """Pieces side by side; where a line ends, the next begins with an indent.

    Parameters
    ----------
    pieces : iterable of Text
        None of them is cut, unless it is wider than a line; then it is between clusters.
    width : int
    hang : int
        The indent, of less where lines are short.
    joint : str
        What stands between two pieces on one line.
    """
    hang = min(hang, width // 4)
    text, used = Text(), 0
    begun = False  # whether something stands on the line

    def start_a_line() -> None:
        nonlocal used, begun
        text.append("\n" + " " * hang)
        used, begun = hang, False

    for piece in pieces:
        taken = cells_of(piece.plain)
        if begun and used + len(joint) + taken > width:
            start_a_line()
        elif begun:
            text.append(joint)
            used += len(joint)
        if used + taken <= width:
            text.append_text(piece)
            used += taken
            begun = True
            continue
        cuts, end = [], 0
        for cluster in clusters(piece.plain):
            cells = cells_of(cluster)
            if begun and used + cells > width:
                cuts.append(end)
                used = hang
            used += cells
            begun = True
            end += len(cluster)
        # At once: each cut by itself would go through all of the piece.
        first, *others = piece.divide(cuts)
        text.append_text(first)
        for part in others:
            text.append("\n" + " " * hang)
            text.append_text(part)
    return text


class FoldedParts(Struct, frozen=True):
    """Text in a cell of a table, printable and no markup, that is folded between its parts."""

    parts: Sequence[str]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield folded(map(Text, self.parts), options.max_width, hang=0, joint="")

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        widths = list(map(cells_of, self.parts))
        return Measurement(max(widths, default=0), sum(widths)).with_maximum(options.max_width)
