"""Signals, which Python handles between its own steps, and what they must not come between."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def signals_held_back() -> Iterator[None]:
    """Let signals wait for the end: one amid a fork is lost, or ends the new process loudly."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python handles none here
        return
    held: list[int] = []
    before = handled()
    for number in before:
        signal.signal(number, lambda number, _: held.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in held:
            signal.raise_signal(number)


def handled() -> dict[int, Any]:
    """The signals that Python handles, and what it does."""
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    # Those that the system handles are of an Enum, or None.
    return {number: handler for number, handler in handlers.items() if callable(handler)}
