"""A pager for what is longer than the screen, as git has one, and how far a run is."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TextIO

from .signals import signals_held_back
from .text import say

if TYPE_CHECKING:  # else imported where a pager is opened
    import subprocess

USUAL_PAGER = "less"
# Of less: end at once where all fits the screen, show colours, leave on the screen what was shown.
LESS = "FRX"
# Seconds from one line of progress to the next, where there is no terminal.
EVERY = 60.0


def pager_command() -> str | None:
    """The pager to show a long picture with; None where there is none, or none is wanted."""
    import shlex
    import shutil

    if os.environ.get("TERM") in (None, "dumb", "unknown"):
        return None
    command = os.environ.get("LRP_PAGER", os.environ.get("PAGER", USUAL_PAGER))
    try:
        program = shlex.split(command)[:1]
    except ValueError:  # a quote that is not closed
        return None
    if command.strip() in ("", "cat") or shutil.which(program[0]) is None:
        return None
    return command


@contextmanager
def open_pager(command: str) -> Iterator[TextIO]:
    """What is written is shown as it comes; the terminal is the pager's until it ends.

    A pager that ends early is a closed pipe. Where this process is told to end, so is the pager.
    """
    import subprocess

    # Whatever else less is set to, colours are for it to show.
    less = f"-R {os.environ['LESS']}" if "LESS" in os.environ else LESS
    with ExitStack() as stack:
        with signals_held_back():  # of which one might leave a pager that nobody knows of
            process = stack.enter_context(
                subprocess.Popen(
                    command, shell=True, stdin=subprocess.PIPE, env={**os.environ, "LESS": less}
                )
            )
            stack.push(partial(_leave, process))
        assert process.stdin is not None
        with _Screen(
            process.stdin,
            encoding=sys.stdout.encoding,
            errors="backslashreplace",
            write_through=True,
        ) as screen:
            yield screen


class _Screen(io.TextIOWrapper):
    """The way to a screen through a pager: a pipe, and yet a terminal at its end."""

    def isatty(self) -> bool:
        return True


def _leave(process: subprocess.Popen[bytes], raised: type[BaseException] | None, *_: Any) -> None:
    """Wait for the pager's end. An interrupt is for it, and there may be several."""
    try:
        if raised is not None and issubclass(raised, SystemExit):
            process.terminate()
        while True:
            with suppress(KeyboardInterrupt):
                process.wait()
                return
    except SystemExit:
        process.terminate()
        raise


@contextmanager
def progress(wanted: bool, noun: str = "sequences") -> Iterator[Callable[[int], None]]:
    """Give a function to call with the number of sequences, or other things, done.

    It shows them on standard error where that is a terminal, and does nothing elsewhere.
    """
    if not (wanted and sys.stderr.isatty()):
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn(f"{{task.completed:,}} {noun}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("")
        yield lambda done: bar.update(task, completed=done)


@contextmanager
def counting(noun: str) -> Iterator[Callable[[int, int | None], None]]:
    """Give a function to call with how many of how many are done, which shows a bar likewise.

    Where it is not known of how many (None), the bar shows no more than that there is progress.
    """
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn(noun), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def parts_progress(parts: int, *, wanted: bool) -> Iterator[Callable[[int, int], None]]:
    """Give a function to call for each part that is done, with its tokens and how many work.

    A terminal is shown a bar; elsewhere there is a line on standard error once a minute.
    """
    if not wanted:
        yield lambda tokens, workers: None
        return
    with ExitStack() as stack:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import Progress, TextColumn

            columns = (TextColumn("{task.description}"),)
            console = Console(stderr=True)
            bar = stack.enter_context(Progress(*columns, console=console, transient=True))
            task = bar.add_task(f"0 of {parts:,} parts")
            yield _PartsShown(parts, 0.0, lambda text: bar.update(task, description=text)).tell
        else:
            yield _PartsShown(parts, EVERY, say).tell


class _PartsShown:
    """How far a run over many parts is."""

    def __init__(self, parts: int, every: float, show: Callable[[str], None]) -> None:
        self._parts, self._every, self._show = parts, every, show
        self._done = self._tokens = 0
        self._began = self._shown = time.monotonic()

    def tell(self, tokens: int, workers: int) -> None:
        """One part more is done."""
        self._done += 1
        self._tokens += tokens
        now = time.monotonic()
        if now - self._shown < self._every:
            return
        self._shown = now
        passed = max(now - self._began, 1e-3)
        left = timedelta(seconds=round(passed / self._done * (self._parts - self._done)))
        self._show(
            f"{self._done:,} of {self._parts:,} parts, {workers} worker{'s' * (workers != 1)}, "
            f"{self._tokens / passed:,.0f} tokens a second, {left} left"
        )
