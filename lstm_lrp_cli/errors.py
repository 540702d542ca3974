"""What a user can have done wrong: files that cannot be used, and questions that make no sense.

They stand outside the floors because every one of them may raise them.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

# They part or join the letters of Persian and of Indian scripts, and join emoji, and no more.
JOINERS = "\u200c\u200d"
# Halves of characters: they stand for bytes that are no text, or come of escapes in JSON or YAML.
HALVES = re.compile("[\ud800-\udfff]")


def printable(text: str) -> str:
    """Write out what could move the cursor, colour the screen or turn text round.

    That are controls, such as escape sequences begin with, ends of lines of all kinds, what
    changes the direction of writing, halves of characters, and what is no character.
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in JOINERS else c.encode("unicode_escape").decode() for c in text
    )


def printable_lines(text: str) -> str:
    """The same of several lines, which keep their ends and tabs."""
    if text.translate(_OF_LINES).isprintable():
        return text
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in text.split("\n"))


_OF_LINES = dict.fromkeys(map(ord, f"\n\t{JOINERS}"))


def short(text: str) -> str:
    """A text of the user's or of a file's, as a message has room for it."""
    return text if len(text) <= 40 else f"{text[:37]}..."


class UnusableInput(Exception):
    """A model, mapping or input that cannot be used (exit status 3).

    The message is shown to the user as it is, so it names the file, the line or dataset, what was
    found and what was expected, and the likely mend, in one or two lines.

    Parameters
    ----------
    where : str
        The file and, where it is known, the line, dataset or key.
    problem : str
        What was found, what was expected, and the mend.
    paste : str
        Lines that the user can paste as the mend, into a mapping or a Python prompt, shown below
        the message.

    Examples
    --------
    >>> lrp.load("sentences.txt")
    Traceback (most recent call last):
    lstm_lrp_cli.errors.UnusableInput: sentences.txt: ...
    """

    def __init__(self, where: str, problem: str, paste: str = "") -> None:
        where = where if where.strip() else f"'{where}'"  # else nothing is to be seen of it
        # A traceback shows it as it is: on a terminal, too.
        super().__init__(printable_lines(f"{where}: {problem}" + f"\n{paste}" * bool(paste)))
        self.where = where
        self.problem = problem
        self.paste = paste

    def __reduce__(self) -> tuple[type[UnusableInput], tuple[str, str, str]]:
        """How it is sent from one process to another."""
        return type(self), (self.where, self.problem, self.paste)


class LeftOut(UserWarning):
    """What of an input is left out, though nobody asked for it; told once of each file or table."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class WrongUsage(ValueError):
    """A question that does not fit the model, or itself (exit status 2).

    Parameters
    ----------
    problem : str
        What is wrong. It names keywords in backticks, which the command line shows as its options:
        `bias_factor` is --bias-factor there.
    keyword : str or None
        The one whose value is wrong.
    """

    def __init__(self, problem: str, keyword: str | None = None) -> None:
        super().__init__(printable_lines(f"`{keyword}`: {problem}" if keyword else problem))
        self.problem = problem
        self.keyword = keyword


# What is no fault of the file that is read, whatever it holds.
_NOT_THE_FILE = (UnusableInput, WrongUsage, Warning)
# What a reader of another's may raise that stands for something else than a fault of the file's.
_STOPPED = (KeyboardInterrupt, SystemExit, GeneratorExit)


@contextmanager
def reading(where: str) -> Iterator[None]:
    """Reads a file of the user's: whatever else fails there is one error that names the file.

    This is the net behind all that knows better what is wrong. It stands where a model is loaded,
    an input is read and results are read, and nowhere else.

    Parameters
    ----------
    where : str
        The file and, where it is known, the line, dataset or key.

    Raises
    ------
    UnusableInput
        What is read raised something that is neither an error of this module's nor of the system.
    """
    try:
        yield
    except _NOT_THE_FILE:
        raise
    except MemoryError as error:
        raise UnusableInput(where, lack_of_memory(error)) from error
    except RecursionError as error:
        problem = "is nested deeper than any honest file; save it again with fewer levels"
        raise UnusableInput(where, problem) from error
    except Exception as error:
        # Python 3.11 wraps what is raised as a class is made, so a signal's too.
        if isinstance(error.__cause__, _STOPPED) or _is_of_the_system(error):
            raise
        raise UnusableInput(
            where,
            f"cannot be understood ({_told(error)}): it is damaged, or says what no such file "
            "should; copy or save it again",
        ) from error


def lack_of_memory(error: MemoryError) -> str:
    """What to say where there was not enough memory: for what, as far as that is known."""
    asked = str(error).partition("\n")[0].removeprefix("Unable to allocate ").strip()
    asked = re.sub(r"^\w*alloc of size (\d+) failed$", r"\1 bytes", asked)  # as Arrow tells
    text = "there is not enough memory" + (f" for {asked}" if asked else "")
    shape, kind = getattr(error, "shape", None), getattr(error, "dtype", None)  # as NumPy tells
    if shape is None or kind is None or kind.name != "float64":
        return text
    if math.prod(shape) * kind.itemsize > 2 * _memory():
        return text
    return f"{text}; try --dtype float32, which takes half"


def _memory() -> int:
    """The machine's, in bytes; 0 where the system does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # not everywhere
        return 0


def _told(error: Exception) -> str:
    """What an error says, with its kind: a KeyError's text is no more than a key."""
    said = str(error).partition("\n")[0].strip()
    return f"{type(error).__name__}: {short(said)}" if said else type(error).__name__


def _is_of_the_system(error: Exception) -> bool:
    """Whether it is the system that failed, as at a full disk; libraries raise OSError as well."""
    return isinstance(error, OSError) and error.errno is not None
