"""The process of `lrp`, which is the same as `python -m lstm_lrp_cli`."""

import atexit
import gc
import io
import math
import os
import signal
import sys
import time
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

# Python looks for garbage after every 700 new objects that may hold others. Imports make tens of
# thousands, all to stay; what a corpus leaves behind is freed by counting references.
OBJECTS_BETWEEN_SEARCHES = 100_000
# What asks a process to end; not everywhere are there all of them.
ENDING = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]
# Such a signal often comes twice: `timeout` sends it to a process and to its group. Within so many
# seconds the second one is an echo, and does not disturb what the first one makes end.
ECHO = 1.0
# Python looks for signals between its own steps. One that comes in the instant before a call that
# waits, as for input, would be heard when that call ends: every so many seconds each is woken.
TICK = 0.5
# Amid an import an exception may be printed by C, or be wrapped, or leave half a module behind: the
# signal waits, but not for ever, and it is looked every so many seconds whether it may come.
LONGEST_IMPORT = 3.0
SOON = 0.01
IMPORTING = "<frozen importlib._bootstrap>"


def run() -> None:
    """Run the command line, which is imported when the process is set up for it.

    A signal that asks the process to end is an exception, so that all which is under way is left
    in order: no half file, no other process. Then the process ends with status 128 + the signal's
    number. To end it by the signal itself would say the same to a shell, and nothing to the first
    process of a container, which Linux does not end by a signal that it does not handle.
    """
    signals = _Signals()
    with signals:
        keep_streams()
        start_fast()
        from lstm_lrp_cli.cli import main

        main(prog_name="lrp")
    # Here the exception is gone, and with it the last of what it held open.
    for number in signals.received[:1]:
        sys.exit(128 + number)


class _Signals:
    """Makes exceptions in the main thread of the signals that ask the process to end.

    Leaving it swallows the exception that came of one, which then is in `received`.
    """

    def __init__(self) -> None:
        self.received: list[int] = []
        self._lost: list[int] = []
        self._first = -math.inf
        self._waits = hasattr(signal, "setitimer")
        # One that is ignored, as under nohup, stays so.
        self._handled = [number for number in ENDING if signal.getsignal(number) != signal.SIG_IGN]

    def __enter__(self) -> None:
        sys.unraisablehook = self._unraisable
        for number in self._handled:
            signal.signal(number, self._end)
        if self._waits:
            signal.signal(signal.SIGALRM, self._wake)
            signal.setitimer(signal.ITIMER_REAL, TICK, TICK)

    def __exit__(self, *raised: object) -> bool:
        if self._waits:
            signal.setitimer(signal.ITIMER_REAL, 0)
        # An echo that comes late does not end what is about to end by itself.
        behind = signal.SIG_IGN if self.received or self._lost else signal.SIG_DFL
        for number in self._handled:
            signal.signal(number, behind)
        self.received += self._lost  # for which there was no moment
        return bool(self.received)

    def _end(self, number: int, frame: FrameType | None) -> None:
        if time.monotonic() - self._first <= ECHO:
            return
        self._first = time.monotonic()
        if self._waits and _amid_import(frame):
            self._lost.append(number)
            signal.setitimer(signal.ITIMER_REAL, SOON, SOON)
        else:
            self._leave(number)

    def _leave(self, number: int) -> None:
        self.received.append(number)
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)

    def _wake(self, _: int, frame: FrameType | None) -> None:
        is_late = time.monotonic() - self._first > LONGEST_IMPORT
        if self._lost and (is_late or not _amid_import(frame)):
            signal.setitimer(signal.ITIMER_REAL, TICK, TICK)
            self._leave(self._lost.pop())

    def _unraisable(self, swallowed: "sys.UnraisableHookArgs") -> None:
        """What a destructor or a callback swallows is raised again at the next tick."""
        if self.received and isinstance(swallowed.exc_value, KeyboardInterrupt | SystemExit):
            self._lost.append(self.received.pop())
        else:
            sys.__unraisablehook__(swallowed)


def _amid_import(frame: FrameType | None) -> bool:
    """Whether a module is being imported by what is under way."""
    while frame is not None:
        if frame.f_code.co_filename == IMPORTING:
            return True
        frame = frame.f_back
    return False


class _Heard(io.FileIO):
    """Standard error: what it does not take, as on a full disk, is no failure of what is done."""

    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return super().write(data) or 0
        except OSError:
            return len(memoryview(data).cast("B"))


def keep_streams() -> None:
    """Let no file be taken for a standard stream that is closed, and no message be a failure."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    before = sys.stderr
    sys.stderr = io.TextIOWrapper(
        io.BufferedWriter(_Heard(2, "wb", closefd=False)),
        encoding=before.encoding if before else "utf-8",
        errors=before.errors if before else "backslashreplace",
        line_buffering=True,
    )


def start_fast() -> None:
    """Set up the process, before NumPy is imported.

    Of the time in which one sentence is explained, the searches for garbage took an eighth, and
    BLAS's threads up to a fifth where other programs kept the cores busy.
    """
    # OpenBLAS starts a thread for every core as NumPy is imported, and each spins for a while in
    # wait of work, which a run in one thread (`one_blas_thread`) never gives it.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    gc.set_threshold(OBJECTS_BETWEEN_SEARCHES)
    # What is alive at exit ends with the process; there is no garbage to look for among it.
    atexit.register(gc.freeze)


if __name__ == "__main__":
    run()
