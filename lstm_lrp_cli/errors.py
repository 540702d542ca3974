"""What a user can have done wrong: files that cannot be used, and questions that make no sense.

They stand outside the floors because every one of them may raise them.
"""

from __future__ import annotations


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
        super().__init__(f"{where}: {problem}" + f"\n{paste}" * bool(paste))
        self.where = where
        self.problem = problem
        self.paste = paste

    def __reduce__(self) -> tuple[type[UnusableInput], tuple[str, str, str]]:
        """How it is sent from one process to another."""
        return type(self), (self.where, self.problem, self.paste)


class LeftOut(UserWarning):
    """What of an input is left out, though nobody asked for it; told once of each file or table."""


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
        super().__init__(f"`{keyword}`: {problem}" if keyword else problem)
        self.problem = problem
        self.keyword = keyword
