"""One damaged file, given to a command in this process, and what must not come of it."""

import contextlib
import os
import re
import time
import traceback
import unicodedata
import warnings
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner, Result

from lstm_lrp_cli.cli import main
from lstm_lrp_cli.errors import LeftOut, UnusableInput

# 1: `check` found a difference; 2: the question does not fit what the file became; 3: unusable.
STATUSES = (0, 1, 2, 3)
REFUSED = (2, 3)
SECONDS = 10
MOST_MEMORY = 10**9
# What the net at a border says, where no reader had words of its own.
NET = "cannot be understood"
NO_MEMORY = "not enough memory"
# Those print tables for people; what others print on standard output is data.
FOR_PEOPLE = ("inspect", "summarize", "compare", "check")


@dataclass(frozen=True)
class Judged:
    """What became of a file.

    Parameters
    ----------
    outcome : str
        "read", "refused", "net" (refused without words of the reader's own), or "finding".
    seconds : float
        Of processor time.
    memory : int
        The most that the process took beyond what it held before, in bytes.
    finding : str
        What is wrong, the same for the same fault; empty where nothing is.
    details : str
        What was printed, or where it happened.
    """

    outcome: str
    seconds: float = 0.0
    memory: int = 0
    finding: str = ""
    details: str = ""


@dataclass(frozen=True)
class Limits:
    """What a file may take: seconds of processor time, and bytes or three times its own."""

    seconds: float = SECONDS
    memory: int = MOST_MEMORY


def judge(command: tuple[str, ...], size: int, limits: Limits = Limits()) -> Judged:
    """Run a command on files in the current folder, of which the spoilt one has so many bytes."""
    forget_most_memory()
    held = memory_now()  # by itself, and of files before
    begun = time.process_time()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        result = _run(command)
    seconds = time.process_time() - begun
    memory = most_memory() - held
    error = result.exception if isinstance(result.exception, Exception) else None
    if _is_unexplained(result) and seconds < SECONDS / 2:
        error = _run(command, LRP_DEBUG="1").exception
    wrong = _wrong(result, error, command[0]) or _warned(warned)
    if not wrong and seconds > limits.seconds:
        wrong = "takes long"
    if not wrong and memory > max(limits.memory, 3 * size):
        wrong = "takes memory"
    if wrong:
        return Judged("finding", seconds, memory, wrong, _details(result, error))
    if NET in result.stderr:
        return Judged("net", seconds, memory, details=_place(error))
    outcome = "refused" if result.exit_code in REFUSED else "read"
    return Judged(outcome, seconds, memory)


def _run(command: tuple[str, ...], **environment: str) -> Result:
    """Run `lrp` in this process, and in no others."""
    alone = {f"LRP_{command[0].upper()}_JOBS": "1"}
    # In colour, else click takes out what a terminal would have been given.
    return CliRunner().invoke(main, command, b"", alone | environment, color=True)


def _is_unexplained(result: Result) -> bool:
    """Whether it is to be seen where an error came from, which the message does not tell."""
    return any(each in result.stderr for each in (NET, NO_MEMORY, "internal error"))


def _wrong(result: Result, error: BaseException | None, command: str) -> str:  # a case each
    """What no file may bring about; empty where nothing of it is seen."""
    if result.exit_code not in STATUSES or "internal error" in result.stderr:
        return f"internal error: {_place(error)}"
    if "Traceback" in result.stderr:
        return f"traceback: {_place(error)}"
    if isinstance(error, MemoryError) or NO_MEMORY in result.stderr:
        return f"no memory: {_place(error)}"
    shown = result.stderr + (result.stdout if command in FOR_PEOPLE else "")
    if codes := {f"U+{ord(each):04X}" for each in shown if is_control(each)}:
        return f"control characters: {', '.join(sorted(codes))}"
    if result.exit_code == 3 and not re.search(r"^lrp: \S", result.stderr, re.MULTILINE):
        return "refused without a word"
    return ""


def _warned(warned: list[warnings.WarningMessage]) -> str:
    """Python's own warnings, which tell users of lines of the program."""
    for each in warned:
        if each.category is not LeftOut:
            place = f"{Path(each.filename).name}:{each.lineno}"
            return f"warning: {each.category.__name__} in {place}: {str(each.message)[:60]}"
    return ""


def is_control(letter: str) -> bool:
    """Whether a terminal might obey it, or show the letters around it in another order."""
    bidirectional = "\u202a" <= letter <= "\u202e" or "\u2066" <= letter <= "\u2069"
    return bidirectional or (unicodedata.category(letter) == "Cc" and letter not in "\n\t")


def _place(error: BaseException | None) -> str:
    """The kind of an error, and the last places of the program that it went through."""
    if error is None:
        return "no exception"
    if isinstance(error, UnusableInput):
        error = error.__cause__ or error
    frames = traceback.extract_tb(error.__traceback__)
    ours = [each for each in frames if "lstm_lrp_cli" in each.filename]
    places = [f"{Path(each.filename).name}:{each.name}" for each in ours[-2:]]
    return f"{type(error).__name__} in {' > '.join(places)}"


def _details(result: Result, error: BaseException | None) -> str:
    lines = traceback.format_exception(error)[-12:] if error is not None else []
    shown = f"status {result.exit_code}\n{result.stderr[-1000:]}\n"
    return shown + "".join(lines)[-3000:]


def forget_most_memory() -> None:
    """Measure the most memory from now on."""
    with contextlib.suppress(OSError):  # not everywhere
        Path("/proc/self/clear_refs").write_text("5")


def most_memory() -> int:
    """The most that this process held since, in bytes; 0 where it cannot be told."""
    return _from_status("VmHWM")


def memory_now() -> int:
    """What this process holds, in bytes; 0 where it cannot be told."""
    return _from_status("VmRSS")


def _from_status(name: str) -> int:
    try:
        text = Path(f"/proc/{os.getpid()}/status").read_text()
    except OSError:
        return 0
    found = re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
