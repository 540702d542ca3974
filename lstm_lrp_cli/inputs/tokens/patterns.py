"""The mapping's regular expressions, run so that none goes on for ever.

Python's `re` goes back and tries again: `(a+)+$` in 2^n ways, and `\\s+$` in n^2. Most patterns
cannot, as they match one character, or some of one kind at their end; others have few ways on a
short text. Else matching is given so much of the processor's time: it looks for signals, so that of
a timer ends it, and where that is too late or never heard it is left to another process.
"""

import math
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

from lstm_lrp_cli.errors import UnusableInput, short

# So many seconds of the processor's, and so many more for each character of a text.
SECONDS = 0.5
SECONDS_EACH = 1e-6
# One character each, of which the last may be repeated: whatever it is tried on is passed once.
_ONE = r"(?:\[\^?\]?(?:[^\]\\]|\\.)*\]|\\[^0-9AbBZ]|[^\\\[\](){}*+?|^$])"
_LINEAR = re.compile(rf"{_ONE}{{0,50}}(?:{_ONE}[*+])?", re.DOTALL)
# A text on which there are no more ways than this needs no timer.
_FEW_WAYS = 1e7
# Signals are looked for every few thousand steps, each of which may pass over the whole text: in a
# longer one a timer's comes too late.
_HEARD = 50_000
# Runs a pattern; where there are timers, the process is ended by its own.
_PROGRAM = """
import json, re, signal, sys
pattern, work, given, seconds = json.load(sys.stdin)
if hasattr(signal, "setitimer"):
    signal.setitimer(signal.ITIMER_PROF, seconds)
json.dump(getattr(re.compile(pattern), work)(*given), sys.stdout)
"""
# A machine that is busy gives a process its time late.
_WAITING = 10
_TOKEN = re.compile(r"\\.|\(\?|\[\^?\]?(?:[^\]\\]|\\.)*\]|\{\d*,\d*\}|\{\d+\}|.", re.DOTALL)


class _TooLong(BaseException):
    """The time is over. Nothing on the way takes it for an error."""


class Pattern:
    """A regular expression that is given a time.

    Parameters
    ----------
    key : str
        The mapping's key that has it, for error messages.
    text : str
    """

    def __init__(self, key: str, text: str) -> None:
        self._key, self._text = key, text
        self._pattern = re.compile(text)
        self._free = self._harmless_size(text)

    @staticmethod
    def _harmless_size(text: str) -> float:
        """Up to how many characters a text may have that needs no timer."""
        if _LINEAR.fullmatch(text):
            return math.inf
        if is_nested(text):
            return 0
        # From each place on, each repetition has as many ways as there are characters, and each
        # alternative and what may be left out two.
        repeats = sum(map(text.count, "*+{"))
        choices = sum(map(text.count, "?|")) - text.count("(?")
        return math.pow(math.ldexp(_FEW_WAYS, -choices), 1 / (repeats + 1))

    def without(self, text: str, where: str, instead: str = "") -> str:
        """A text in which something else stands for all that matches.

        Raises
        ------
        UnusableInput
            It takes too long.
        """
        if len(text) <= self._free:
            return self._pattern.sub(instead, text)
        return str(self._in_time("sub", [instead, text], where))

    def split(self, text: str, most: int, where: str) -> list[str]:
        """A text, parted where it matches, so many times at most; errors as of `without`."""
        if len(text) <= self._free:
            return self._pattern.split(text, most)
        return list(self._in_time("split", [text, most], where))

    def _in_time(self, work: str, given: list[Any], where: str) -> Any:
        size = max(len(each) for each in given if isinstance(each, str))
        seconds = SECONDS + SECONDS_EACH * size
        try:
            if size > _HEARD or not _may_set_timers():
                return _in_process(self._text, work, given, seconds)
            with _limit(seconds):
                return getattr(self._pattern, work)(*given)
        except _TooLong:
            raise UnusableInput(
                where,
                f"the mapping's tokens.{self._key}, `{short(self._text)}`, takes too long for its "
                f"{size:,} characters; expected a pattern that does not try them again and again, "
                "as (a+)+$ and even a+$ do",
            ) from None


def _in_process(pattern: str, work: str, given: list[Any], seconds: float) -> Any:
    """What a pattern makes of a text in a process of its own, which ends when its time is over."""
    import json
    import subprocess
    import sys

    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _PROGRAM],
            input=json.dumps([pattern, work, given, seconds]).encode(),
            capture_output=True,
            timeout=_WAITING * seconds,
            check=True,
        )
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
        raise _TooLong from error
    return json.loads(done.stdout)


def _may_set_timers() -> bool:
    """Whether a timer's signal would be heard: Python hears none but in its first thread."""
    return hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()


@contextmanager
def _limit(seconds: float) -> Iterator[None]:
    """What takes longer is ended. No other timer is disturbed but one of the same kind."""
    before = signal.signal(signal.SIGPROF, _end)
    was = signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, *was)
        signal.signal(signal.SIGPROF, signal.SIG_DFL if before is None else before)


def _end(number: int, _: FrameType | None) -> NoReturn:
    raise _TooLong


def is_nested(pattern: str) -> bool:
    """Whether a pattern repeats a group that may match one text in several ways.

    That is one with a repetition or alternatives in it. Many of these do no harm.
    """
    open_groups = [False]  # of each, whether it has such a thing in it
    varies = False  # whether what stands before is such a group
    for found in _TOKEN.finditer(pattern):
        token = found.group()
        if token in ("(", "(?"):
            open_groups.append(False)
            varies = False
        elif token == ")" and len(open_groups) > 1:
            varies = open_groups.pop()
            open_groups[-1] |= varies
        elif token in ("*", "+") or (token.startswith("{") and len(token) > 1):
            if varies:
                return True
            open_groups[-1] = True
        else:
            open_groups[-1] |= token in ("?", "|")
            varies = False
    return False
