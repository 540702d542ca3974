"""Processes with limits, which are given one file after the other, and are replaced."""

import contextlib
import faulthandler
import os
import resource
import signal
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from .judging import SECONDS, Judged, memory_now

ADDRESSES = 4 * 2**30
LARGEST_FILE = 2**30
# What waits so long, as for a pipe; what only waits for a busy machine runs, by what it tells.
WAITED = 60.0
# A process is replaced when it holds more between two files, or has had so many.
HELD = 400 * 2**20
FILES_EACH = 1000
STACK = "stack.txt"

Task = Any
Work = Callable[[Task, Path], Judged]


@dataclass
class _Worker:
    """A process with a folder of its own, and the task that it is at."""

    process: BaseProcess
    pipe: "Connection[Any, Any]"
    folder: Path
    task: Task = None
    begun: float = 0.0
    spent: float = 0.0
    files: int = 0
    killed: str = field(default="")


def judged(
    work: Work, tasks: Iterable[Task], jobs: int, folder: Path
) -> Iterator[tuple[Task, Judged, Path]]:
    """What becomes of each task, in any order, with the folder in which it was worked on.

    Parameters
    ----------
    work
        Called in one of the processes, in the given folder.
    """
    rest = iter(tasks)
    workers = [_start(work, folder) for _ in range(jobs)]
    try:
        waiting = {id(each) for each in workers if _give(each, next(rest, None))}
        while waiting:
            busy = [each for each in workers if id(each) in waiting]
            ready = wait([each.pipe for each in busy], timeout=0.2)
            for worker in busy:
                result = _result(worker) if worker.pipe in ready else _overdue(worker)
                if result is None:
                    continue
                yield worker.task, result, worker.folder
                if result.finding.startswith(("crash", "hang")) or worker.files >= FILES_EACH:
                    _end(worker)
                    workers.remove(worker)
                    waiting.discard(id(worker))
                    worker = _start(work, folder)
                    workers.append(worker)
                if _give(worker, next(rest, None)):
                    waiting.add(id(worker))
                else:
                    waiting.discard(id(worker))
    finally:
        for worker in workers:
            _end(worker)


def _start(work: Work, folder: Path) -> _Worker:
    own = Path(tempfile.mkdtemp(dir=folder))
    context = get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(work, theirs, ours, own))
    process.start()
    theirs.close()
    return _Worker(process, ours, own)


def _give(worker: _Worker, task: Task) -> bool:
    if task is None:
        return False
    worker.task, worker.begun, worker.killed = task, time.monotonic(), ""
    worker.spent = _processor_time(worker.process.pid)
    worker.files += 1
    with contextlib.suppress(OSError):  # it died meanwhile, which is heard of
        worker.pipe.send(task)
    return True


def _result(worker: _Worker) -> Judged | None:
    try:
        result, held = worker.pipe.recv()
    except (EOFError, OSError):
        worker.process.join(5)
        if worker.killed:
            return Judged(
                "finding", SECONDS, finding=f"hang: {worker.killed}", details=_stack(worker)
            )
        number = -(worker.process.exitcode or 0)
        name = signal.Signals(number).name if number > 0 else f"status {worker.process.exitcode}"
        where = _last_frame(_stack(worker))
        return Judged("finding", finding=f"crash: {name} {where}", details=_stack(worker))
    if held > HELD:
        worker.files = FILES_EACH
    return result


def _overdue(worker: _Worker) -> None:
    """End a process that has had its time; what it was at is then read from its pipe's end."""
    if worker.killed:
        return
    spent = _processor_time(worker.process.pid) - worker.spent
    waits = time.monotonic() - worker.begun > WAITED and not _is_running(worker.process.pid)
    if spent < SECONDS * 1.2 and not waits:
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(worker.process.pid, signal.SIGUSR1)  # where it is
        time.sleep(0.3)
        worker.killed = f"{_last_frame(_stack(worker))}" or "nowhere in Python"
        os.kill(worker.process.pid, signal.SIGKILL)


def _end(worker: _Worker) -> None:
    worker.pipe.close()
    if worker.process.is_alive():
        worker.process.kill()
    worker.process.join()


def _processor_time(pid: int | None) -> float:
    fields = _told_by_system(pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") if fields else 0.0


def _is_running(pid: int | None) -> bool:
    """Whether it has work to do, though others may have the processor."""
    return _told_by_system(pid)[:1] == ["R"]


def _told_by_system(pid: int | None) -> list[str]:
    """The fields of a process from its state on; none where it has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return []
    return text.rpartition(")")[2].split()


def _stack(worker: _Worker) -> str:
    with contextlib.suppress(OSError):
        return (worker.folder / STACK).read_text()
    return ""


def _last_frame(stack: str) -> str:
    """The innermost function of the program in what `faulthandler` wrote."""
    current = stack.partition("most recent call first")[2]
    for line in current.splitlines():
        if "lstm_lrp_cli" in line:
            return (
                line.rpartition("/")[2].replace('"', "").partition(", line")[0]
                + ":"
                + (line.rpartition(" in ")[2])
            )
    return ""


def _serve(work: Work, pipe: "Connection[Any, Any]", other: Any, folder: Path) -> None:
    """In the process: set its limits, then work until the pipe ends."""
    other.close()
    os.chdir(folder)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE, LARGEST_FILE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    stack = Path(folder, STACK).open("w+")  # noqa: SIM115 - open as long as the process
    faulthandler.enable(stack)
    faulthandler.register(signal.SIGUSR1, stack, all_threads=False)
    with contextlib.suppress(EOFError, KeyboardInterrupt, OSError):
        while True:
            task = pipe.recv()
            stack.seek(0)
            stack.truncate()
            pipe.send((work(task, folder), memory_now()))
