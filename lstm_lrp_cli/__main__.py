"""The process of `lrp`, which is the same as `python -m lstm_lrp_cli`."""

import atexit
import gc
import math
import os
import signal
import sys
import time
from types import FrameType

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


def run() -> None:
    """Run the command line, which is imported when the process is set up for it.

    A signal that asks the process to end is an exception, so that all which is under way is left
    in order: no half file, no other process. Then the process ends as the signal would have ended
    it, or with status 130 where it was interrupted.
    """
    signals = _Signals()
    with signals:
        start_fast()
        from lstm_lrp_cli.cli import main

        main(prog_name="lrp")
    # Here the exception is gone, and with it the last of what it held open.
    for number in signals.received[:1]:
        if number == signal.SIGINT:
            sys.exit(128 + number)
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)


class _Signals:
    """Makes exceptions in the main thread of the signals that ask the process to end.

    Leaving it swallows the exception that came of one, which then is in `received`.
    """

    def __init__(self) -> None:
        self.received: list[int] = []
        self._lost: list[int] = []
        self._first = -math.inf
        # One that is ignored, as under nohup, stays so.
        self._handled = [number for number in ENDING if signal.getsignal(number) != signal.SIG_IGN]

    def __enter__(self) -> None:
        sys.unraisablehook = self._unraisable
        for number in self._handled:
            signal.signal(number, self._end)
        if hasattr(signal, "setitimer"):
            signal.signal(signal.SIGALRM, self._wake)
            signal.setitimer(signal.ITIMER_REAL, TICK, TICK)

    def __exit__(self, *raised: object) -> bool:
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)
        # An echo that comes late does not end what is about to end by itself.
        behind = signal.SIG_IGN if self.received else signal.SIG_DFL
        for number in self._handled:
            signal.signal(number, behind)
        return bool(self.received)

    def _end(self, number: int, _: FrameType | None) -> None:
        if time.monotonic() - self._first > ECHO:
            self._first = time.monotonic()
            self._leave(number)

    def _leave(self, number: int) -> None:
        self.received.append(number)
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)

    def _wake(self, number: int, _: FrameType | None) -> None:
        if self._lost:
            self._leave(self._lost.pop())

    def _unraisable(self, swallowed: "sys.UnraisableHookArgs") -> None:
        """What a destructor or a callback swallows is raised again at the next tick."""
        if self.received and isinstance(swallowed.exc_value, KeyboardInterrupt | SystemExit):
            self._lost.append(self.received.pop())
        else:
            sys.__unraisablehook__(swallowed)


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
