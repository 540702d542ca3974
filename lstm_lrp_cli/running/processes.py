"""Work on several tasks, by several processes where that pays."""

from __future__ import annotations

import multiprocessing
import pickle
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from threadpoolctl import threadpool_limits

from lstm_lrp_cli.errors import UnusableInput

if TYPE_CHECKING:
    from multiprocessing.context import ForkContext, SpawnContext
    from multiprocessing.process import BaseProcess


Task = TypeVar("Task")
Result = TypeVar("Result")


@contextmanager
def shared_out(
    work: Callable[[Task], Iterable[Result]], tasks: Iterable[Task], jobs: int
) -> Iterator[Iterator[Result]]:
    """Do some work on each of several tasks, and give the results in the tasks' order.

    Where there is but one task, or one job, no process is started.

    Parameters
    ----------
    work : callable
        From a task to its results. Where processes cannot be forked it must be pickled.
    jobs : int
        The number of processes.
    """
    if jobs > 1:
        tasks = _LookedAhead(tasks)
        if tasks.several:
            # What processes need takes a while to import.
            # MOVED

            with Workers(work, jobs) as workers:
                yield workers.results(tasks)
            return
    yield (result for task in tasks for result in work(task))


class _LookedAhead(Generic[Task]):
    """Tasks of which the first two were taken to see whether there are so many."""

    def __init__(self, tasks: Iterable[Task]) -> None:
        self._rest = iter(tasks)
        self._taken: list[Task] = []
        self._failed: Exception | None = None
        try:
            self._taken.extend(islice(self._rest, 1))
            self._taken.extend(islice(self._rest, 1))
        except Exception as error:  # in its turn
            self._failed = error

    @property
    def several(self) -> bool:
        return len(self._taken) > 1

    def __iter__(self) -> Iterator[Task]:
        yield from self._taken
        if self._failed is not None:
            raise self._failed
        yield from self._rest


Work = Callable[[Task], Iterable[Result]]

# How many tasks a process has at a time: one in work, and one that waits, so that it never idles.
TASKS_EACH = 2
# Results that are not in turn are taken up to so many bytes of each task; a process that has more
# waits with them.
MOST_HELD = 2**24


@dataclass(frozen=True, slots=True)
class _Message:
    """What a process tells of a task: a result, its end, or the error that ended it.

    Parameters
    ----------
    task : int
        The task's number.
    """

    task: int
    result: Any = None
    error: BaseException | None = None
    ended: bool = False


@dataclass(slots=True, eq=False)
class _Worker:
    """A process, its pipe, and how many tasks it has been given and not ended."""

    process: BaseProcess
    pipe: Connection[Any, Any]
    given: int = 0


@dataclass(slots=True)
class _Received(Generic[Result]):
    """What has come of a task and was not handed out yet."""

    worker: _Worker
    results: list[Result] = field(default_factory=list)
    held: int = 0
    error: BaseException | None = None
    ended: bool = False

    @property
    def is_news(self) -> bool:
        """Whether there is anything to hand out."""
        return bool(self.results) or self.ended


class Workers(Generic[Task, Result]):
    """Some processes that all do the same work; a context manager, which ends them."""

    def __init__(self, work: Work[Task, Result], jobs: int) -> None:
        context = _context()
        self._workers: list[_Worker] = []
        with _interrupts_held_back():
            try:
                for _ in range(jobs):
                    self._workers.append(_started(context, work))
            except OSError as error:
                if not self._workers:
                    raise UnusableInput(
                        "--jobs", f"no process can be started: {error.strerror}; try --jobs 1"
                    ) from error

    def __enter__(self) -> Workers[Task, Result]:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.pipe.close()
        for worker in self._workers:
            worker.process.terminate()
            worker.process.join()

    def results(self, tasks: Iterable[Task]) -> Iterator[Result]:
        """The results of all tasks, in the tasks' order.

        No more than a few tasks are taken in advance. Where a task fails, or taking one does, what
        came before it is given first.
        """
        upcoming = enumerate(tasks)
        received: dict[int, _Received[Result]] = {}
        failed: BaseException | None = None
        turn, taken = 0, 0
        while True:
            while failed is None and taken - turn < TASKS_EACH * len(self._workers):
                self._receive(received, turn, timeout=0)
                if turn < taken and received[turn].is_news:
                    break  # what is there is given before a slow input is waited for
                try:
                    number, task = next(upcoming)
                except StopIteration:
                    break
                except Exception as error:  # in its turn, as if it were a task
                    failed = error
                    break
                idlest = min(self._workers, key=lambda worker: worker.given)
                self._give(idlest, number, task)
                received[number] = _Received(idlest)
                taken += 1
            if turn == taken:
                if failed is not None:
                    raise failed
                return
            current = received[turn]
            if not current.is_news:
                self._receive(received, turn)
            yield from current.results
            current.results.clear()
            current.held = 0
            if current.error is not None:
                raise current.error
            if current.ended:
                del received[turn]
                turn += 1

    def _give(self, worker: _Worker, number: int, task: Task) -> None:
        try:
            worker.pipe.send((number, task))
        except OSError:
            _has_died(worker)
        worker.given += 1

    def _receive(
        self, received: dict[int, _Received[Result]], turn: int, timeout: float | None = None
    ) -> None:
        """Take what the processes have to tell; wait for it, or no longer than so many seconds.

        One that holds much which is not in turn is not heard: its results wait in its pipe.
        """
        unheard = {
            id(each.worker)
            for number, each in received.items()
            if each.held > MOST_HELD and number != turn
        }
        if turn in received:
            unheard.discard(id(received[turn].worker))
        heard = [worker for worker in self._workers if id(worker) not in unheard]
        ready = wait([worker.pipe for worker in heard], timeout)
        for worker in heard:
            if worker.pipe not in ready:
                continue
            try:
                data = worker.pipe.recv_bytes()
            except (EOFError, OSError):
                _has_died(worker)
            message: _Message = pickle.loads(data)
            of_task = received[message.task]
            if message.ended or message.error is not None:
                worker.given -= 1
                of_task.ended, of_task.error = True, message.error
            else:
                of_task.results.append(message.result)
                of_task.held += len(data)


def _context() -> ForkContext | SpawnContext:
    """Forking takes milliseconds, and shares the model's memory; only Linux does it safely."""
    if sys.platform == "linux":
        return multiprocessing.get_context("fork")
    return multiprocessing.get_context("spawn")


def _started(context: ForkContext | SpawnContext, work: Work[Task, Result]) -> _Worker:
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(work, theirs, ours), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours)


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Let interrupts wait for the end: one amid a fork is lost, or ends the new process loudly."""
    before = signal.getsignal(signal.SIGINT)
    if before is None or threading.current_thread() is not threading.main_thread():
        yield  # Python does not handle them here
        return
    held: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: held.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if held:
        signal.raise_signal(signal.SIGINT)


def _has_died(worker: _Worker) -> NoReturn:
    worker.process.join(timeout=5)
    raise UnusableInput(
        "--jobs",
        f"one of its processes ended early, with status {worker.process.exitcode}; "
        "was there too little memory? Try fewer",
    )


def _work(
    work: Work[Task, Result], pipe: Connection[Any, Any], parents: Connection[Any, Any]
) -> None:
    """What a process does: one task after another, until there is nobody to give it one."""
    parents.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is interrupted too, and ends this
    tasks: queue.SimpleQueue[tuple[int, Task] | None] = queue.SimpleQueue()
    threading.Thread(target=_take, args=(pipe, tasks), daemon=True).start()
    with one_blas_thread(), suppress(ConnectionError):
        while (given := tasks.get()) is not None:
            number, task = given
            try:
                for result in work(task):
                    pipe.send(_Message(number, result))
            except ConnectionError:
                raise
            except Exception as error:
                error.add_note(traceback.format_exc())
                pipe.send(_Message(number, error=_sendable(error)))
            else:
                pipe.send(_Message(number, ended=True))


def _sendable(error: Exception) -> Exception:
    """The error, or one that says the same where it cannot be sent."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(repr(error))
    return error


def _take(pipe: Connection[Any, Any], tasks: queue.SimpleQueue[Any]) -> None:
    """Take tasks while another is in work, so that giving them never waits for it."""
    with suppress(EOFError, OSError):
        while True:
            tasks.put(pipe.recv())
    tasks.put(None)


def one_blas_thread() -> threadpool_limits:
    """Hold NumPy's matrix products to one thread, as a context manager.

    The products of single steps are too small to be shared out. Threads that wait for each other
    gain little on an idle machine, and where several runs share it they take ten times as long.
    """
    return threadpool_limits(limits=1, user_api="blas")
