"""Work on several tasks, by several processes where that pays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Generic, TypeVar

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
            from lstm_lrp_cli.scaling.workers import Workers

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
