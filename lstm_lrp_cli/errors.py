"""The one error that a user's own files can cause.

It stands outside the layers because every one of them may raise it.
"""

from __future__ import annotations


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
    """

    def __init__(self, where: str, problem: str, paste: str = "") -> None:
        super().__init__(f"{where}: {problem}")
        self.where = where
        self.problem = problem
        self.paste = paste

    def __reduce__(self) -> tuple[type[UnusableInput], tuple[str, str, str]]:
        """How it is sent from one process to another."""
        return type(self), (self.where, self.problem, self.paste)
