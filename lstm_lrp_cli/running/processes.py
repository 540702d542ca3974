"""Work on several tasks, by several processes where that pays.

The pool is made by hand, for `concurrent.futures.ProcessPoolExecutor` breaks two promises. All its
processes send through one pipe, of which the first one holds both ends: where one is killed amid
a message, the others and the first one wait for ever. And a task has but one result, which is held
whole wherever it passes, however large, and however long until its turn.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from msgspec import Struct, field

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.explaining.windows import one_blas_thread
from lstm_lrp_cli.terminal.signals import handled, signals_held_back

if TYPE_CHECKING:  # else imported where processes are started, since it takes a while
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

Task = TypeVar("Task")
Result = TypeVar("Result")
Work = Callable[[Task], Iterable[Result]]

# How many tasks are taken in advance for each process: one in work, and one that waits.
TASKS_EACH = 2
# Results that are not in turn are taken up to so many bytes of each process, which waits with more.
MOST_HELD = 2**24
# Of Linux's prctl: the signal that comes when the parent ends.
PR_SET_PDEATHSIG = 1


@contextmanager
def shared_out(
    work: Work[Task, Result], tasks: Iterable[Task], jobs: int, ahead: int = TASKS_EACH
) -> Iterator[Iterator[Result]]:
    """Do some work on each of several tasks, and give the results in the tasks' order.

    Where there is but one task, or one job, no process is started. No more than a few tasks are
    taken in advance. Where a task fails, or taking one does, what came before it is given first.

    Parameters
    ----------
    work : callable
        From a task to its results. Where processes cannot be forked it must be pickled.
    jobs : int
        The number of processes.
    ahead : int
        How many tasks are taken in advance for each.

    Raises
    ------
    UnusableInput
        If no process can be started, or one ends early.
    """
    if jobs > 1:
        tasks, several = _looked_ahead(tasks)
        if several:
            with _started(work, jobs) as workers:
                yield _in_order(workers, tasks, ahead * jobs)
            return
    yield (result for task in tasks for result in work(task))


def _looked_ahead(tasks: Iterable[Task]) -> tuple[Iterator[Task], bool]:
    """The tasks, and whether there are several; an error that comes early is raised in its turn."""
    rest = iter(tasks)
    taken: list[Task] = []
    try:
        for _ in range(2):
            taken += islice(rest, 1)
    except Exception as error:
        rest = _raising(error)
    return chain(taken, rest), len(taken) > 1


def _raising(error: Exception) -> Iterator[Any]:
    raise error
    yield


class _Worker(Struct, eq=False):
    """A process, and its pipe.

    Parameters
    ----------
    task : _Given or None
        What it works on; None where it is idle.
    held : int
        How many bytes have come of it that were not handed out yet.
    """

    process: BaseProcess
    pipe: Connection[Any, Any]
    task: _Given | None = None
    held: int = 0


class _Given(Struct, eq=False):
    """A task that was given to a process, and what has come of it and was not handed out yet."""

    worker: _Worker
    results: list[Any] = field(default_factory=list)
    size: int = 0
    ended: bool = False
    error: Exception | None = None

    def hand_out(self) -> Iterator[Any]:
        yield from self.results
        self.results.clear()
        self.worker.held -= self.size
        self.size = 0


@contextmanager
def _started(work: Work[Task, Result], jobs: int) -> Iterator[list[_Worker]]:
    """As many processes as can be started, up to a number; they are ended at the end."""
    from multiprocessing import get_context

    # Forking takes milliseconds, and shares the model's memory; only Linux does it safely.
    context: Any = get_context("fork" if sys.platform == "linux" else "spawn")
    workers: list[_Worker] = []
    try:
        with signals_held_back():
            try:
                for _ in range(jobs):
                    ours, theirs = context.Pipe()
                    process = context.Process(target=_serve, args=(work, theirs, ours), daemon=True)
                    process.start()
                    theirs.close()
                    workers.append(_Worker(process, ours))
            except OSError as error:
                if not workers:
                    raise UnusableInput(
                        "--jobs", f"no process can be started: {error.strerror}; try --jobs 1"
                    ) from error
        yield workers
    finally:
        for worker in workers:
            worker.pipe.close()
            worker.process.kill()  # there is nothing that it would have to leave in order
        for worker in workers:
            worker.process.join()


def _in_order(  # noqa: C901 - a case each
    workers: list[_Worker], tasks: Iterator[Task], ahead: int
) -> Iterator[Any]:
    """The results of all tasks, in the tasks' order."""
    waiting: deque[Task] = deque()
    given: deque[_Given] = deque()
    failed: Exception | None = None
    more = True
    while more or waiting or given:
        timeout: int | None = 0
        if given and (given[0].results or given[0].ended):
            # What is there is given before a slow input is waited for.
            yield from given[0].hand_out()
            if given[0].error is not None:
                raise given[0].error
            if given[0].ended:
                given.popleft()
        elif more and len(waiting) + len(given) < ahead:
            try:
                waiting.append(next(tasks))
            except StopIteration:
                more = False
            except Exception as error:  # in its turn, as if it were a task
                more, failed = False, error
        else:
            timeout = None
        _hear(workers, given[0].worker if given else None, timeout)
        for worker in workers:
            if waiting and worker.task is None:
                given.append(_give(worker, waiting.popleft()))
    if failed is not None:
        raise failed


def _give(worker: _Worker, task: Task) -> _Given:
    try:
        worker.pipe.send(task)
    except OSError:
        _has_died(worker)
    worker.task = _Given(worker)
    return worker.task


def _hear(workers: list[_Worker], in_turn: _Worker | None, timeout: int | None) -> None:
    """Take what the processes have to tell; wait for it, or no longer than so many seconds.

    One of which much is held, and which is not in turn, is not heard: its results wait in its pipe.
    """
    from multiprocessing.connection import wait

    heard = [each for each in workers if each is in_turn or each.held <= MOST_HELD]
    ready = wait([worker.pipe for worker in heard], timeout)
    for worker in heard:
        if worker.pipe not in ready:
            continue
        try:
            data = worker.pipe.recv_bytes()
        except (EOFError, OSError):
            _has_died(worker)
        assert worker.task is not None
        ended, told = pickle.loads(data)
        if ended:
            worker.task.ended, worker.task.error = True, told
            worker.task = None
        else:
            worker.task.results.append(told)
            worker.task.size += len(data)
            worker.held += len(data)


def _has_died(worker: _Worker) -> NoReturn:
    worker.process.join(timeout=5)
    raise UnusableInput(
        "--jobs",
        f"one of its processes ended early, with status {worker.process.exitcode}; "
        "was there too little memory? Try fewer",
    )


def _serve(
    work: Work[Task, Result], pipe: Connection[Any, Any], parents: Connection[Any, Any]
) -> None:
    """What a process does: one task after another, until there is nobody to give it one."""
    parents.close()
    for number in handled():
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is interrupted too, and ends this
    _end_with_parent()
    with one_blas_thread(), suppress(EOFError, ConnectionError):
        while True:
            for message in _messages(work, pipe.recv()):
                pipe.send(message)


def _end_with_parent() -> None:
    """End this process when the one that started it ends, however that was and amid whatever work.

    The end of a pipe is heard too late: while a task is worked on, nobody listens.
    """
    from multiprocessing import parent_process

    parent = parent_process()
    assert parent is not None
    if not _killed_with_parent():
        threading.Thread(target=_wait_and_end, args=(parent.sentinel,), daemon=True).start()
    elif parent.pid != os.getppid():  # it was too late to be told
        os._exit(1)


def _killed_with_parent() -> bool:
    """Have Linux do it; whether it will."""
    if sys.platform != "linux":
        return False
    try:
        import ctypes

        failed = ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        return False
    return not failed


def _wait_and_end(sentinel: int) -> None:
    from multiprocessing.connection import wait

    wait([sentinel])
    os._exit(1)


def _messages(work: Work[Task, Result], task: Task) -> Iterator[tuple[bool, Any]]:
    """Of a task the results as (False, result), and the end as (True, error or None)."""
    try:
        for result in work(task):
            yield False, result
    except Exception as error:
        error.add_note(traceback.format_exc())
        yield True, _sendable(error)
    else:
        yield True, None


def _sendable(error: Exception) -> Exception:
    """The error, or one that says the same where it cannot be sent."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(repr(error))
    return error
