"""Processes as a shell runs them, and what they start themselves; Linux tells of those."""

import select
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from forking import forked_lrp

LRP = [sys.executable, "-m", "lstm_lrp_cli"]
PATIENCE = 180


def run_lrp(
    *arguments: object, block_steps: int = 0, **options
) -> subprocess.CompletedProcess[bytes]:
    """Run `lrp` to its end, in a process that need not import everything anew."""
    command = [*forked_lrp(block_steps), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=False, timeout=180, **options)


def wait_until(condition: Callable[[], bool], patience: float = PATIENCE) -> None:
    """Wait until something is true, and fail where it does not become so in so many seconds."""
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, "it did not come to that in time"
        time.sleep(0.005)


def copies_of(pid: int) -> list[int]:
    """The living children of a process that run the same program, as forked, the first first."""
    return sorted(
        child
        for child, parent in _parents().items()
        if parent == pid and _command(child) == _command(pid)
    )


def is_alive(pid: int) -> bool:
    """Whether a process still runs; one that nobody has asked for its status yet does not."""
    return pid in _parents()


def members(group: int) -> list[int]:
    """The living processes of a group."""
    found: list[int] = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with suppress(FileNotFoundError, ProcessLookupError):
                after_name = (folder / "stat").read_text("utf-8", "replace").rpartition(")")[2]
                state, _, its_group = after_name.split()[:3]
                if state not in "ZX" and int(its_group) == group:
                    found.append(int(folder.name))
    return found


def _parents() -> dict[int, int]:
    """The parent of every living process."""
    found: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                after_name = (folder / "stat").read_text("utf-8", "replace").rpartition(")")[2]
            except (FileNotFoundError, ProcessLookupError):  # it has just ended
                continue
            state, parent = after_name.split()[:2]
            if state not in "ZX":
                found[int(folder.name)] = int(parent)
    return found


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def pipe_has_data(descriptor: int) -> bool:
    """Whether there is something to read, which is left there."""
    return bool(select.select([descriptor], [], [], 0)[0])
