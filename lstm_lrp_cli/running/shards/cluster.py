"""Dask's `distributed` as the engine: it schedules, retries and moves; what is done is done here.

A task is code that the workers run: whoever may give tasks to a cluster may do anything there. So a
cluster belongs behind TLS or in a private network.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain
from multiprocessing import resource_tracker
from typing import Any, NamedTuple

import msgspec

from lstm_lrp_cli.errors import UnusableInput, printable
from lstm_lrp_cli.inputs.spans import Span
from lstm_lrp_cli.terminal.signals import signals_held_back
from lstm_lrp_cli.terminal.text import say
from . import Failure, Receipt, Shard
from .crew import ClusterLost, Crew, absolute, lines_of, part_of, results_of
from .job import Ready

try:
    import dask
    import distributed
    from distributed.comm import CommClosedError
except ImportError as error:
    raise UnusableInput(
        "--cluster", "needs the package distributed; pip install 'lstm-lrp-cli[cluster]'"
    ) from error

# Tasks that each worker has in advance: one in work, one that waits.
EACH = 2
# Of what is no fault of the input: a disk, a network.
RETRIES = 2
# Results that wait for their turn, before no more is given.
MOST_HELD = 100
# So often a task is given anew whose workers were all lost.
ANEW = 3
# Seconds: to connect; that closing may take; that results are waited for at a time.
CONNECT = 20
CLOSING = 1.0
MOMENT = 0.1
# Watching costs a worker some percent of its time, and what it watches is not looked at.
SETTINGS = {
    "distributed.worker.profile.enabled": False,
    "distributed.worker.use-file-locking": False,
}


@contextmanager
def connected(where: str, jobs: int, *, quiet: bool) -> Iterator[Cluster]:
    """A cluster to give shards to.

    Parameters
    ----------
    where : str
        `local`, `slurm`, a scheduler's tcp:// or tls:// address, or its file.
    jobs : int
        The workers of a cluster that is started here.

    Raises
    ------
    UnusableInput
        It cannot be reached or started.
    """
    logging.disable()  # what there is to say is said here, and what comes at the end of all too
    with dask.config.set(SETTINGS), ExitStack() as stack:
        try:
            client = _client(where, jobs, stack)
            stack.callback(_close, client)
        except UnusableInput:
            raise
        except Exception as error:
            raise UnusableInput(
                "--cluster",
                f"{where} cannot be reached: {printable(str(error) or type(error).__name__)}; does "
                f"the scheduler run?{TLS if where.startswith('tls://') else ''}",
            ) from error
        if not quiet and client.dashboard_link:
            say(f"dashboard: {client.dashboard_link}")
        yield Cluster(client, stack.close)


def _close(client: Any) -> None:
    with suppress(Exception):  # one whose scheduler is gone would try again
        client.close(timeout=CLOSING)


TLS = (
    " The certificates and the authority are those of Dask's configuration, distributed.comm.tls "
    "(DASK_DISTRIBUTED__COMM__TLS__CA_FILE, ...__CLIENT__CERT, ...__CLIENT__KEY)"
)


def _client(where: str, jobs: int, stack: ExitStack) -> Any:
    if where == "local":
        address = stack.enter_context(_local(jobs))
        return distributed.Client(address, timeout=CONNECT, set_as_default=False)
    if where == "slurm":
        try:
            from dask_jobqueue import SLURMCluster
        except ImportError as error:
            raise UnusableInput(
                "--cluster", "slurm needs the package dask-jobqueue; pip install dask-jobqueue"
            ) from error
        cluster = SLURMCluster()
        stack.callback(cluster.close, timeout=10)
        cluster.scale(jobs=jobs)
        return distributed.Client(cluster)
    if where.startswith(("tcp://", "tls://")):
        return distributed.Client(where, timeout=CONNECT)
    if os.path.isfile(where):
        return distributed.Client(scheduler_file=where, timeout=CONNECT)
    raise UnusableInput(
        "--cluster",
        f"{where} is no scheduler file that is there; expected local, slurm, tcp://HOST:PORT, "
        "tls://HOST:PORT, or a file of `dask scheduler --scheduler-file`",
    )


@contextmanager
def _local(jobs: int) -> Iterator[str]:
    """The address of a scheduler with workers of this machine.

    They run by a loop of their own. To end them it is stopped, and they are killed: what is
    halfway is nothing yet, and Dask's own way takes ten seconds where they just start. An
    interrupt from the keyboard goes to them as well, and they are not to hear it.
    """
    with signals_held_back():
        resource_tracker.ensure_running()  # else the thread does that, and hears signals from then
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=_looping, args=[loop], daemon=True)
        thread.start()
    before = set(multiprocessing.active_children())
    made: list[Any] = []

    async def start(folder: str) -> str:
        made.append(
            distributed.LocalCluster(
                n_workers=jobs,
                threads_per_worker=1,
                memory_limit=0,
                local_directory=folder,
                env={"TMPDIR": folder},
                dashboard_address="127.0.0.1:0",
                silence_logs=logging.CRITICAL + 1,
                asynchronous=True,
            )
        )
        await made[0]
        return str(made[0].scheduler_address)

    with tempfile.TemporaryDirectory(prefix="lrp-", ignore_cleanup_errors=True) as folder:
        try:
            yield asyncio.run_coroutine_threadsafe(start(folder), loop).result()
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(CLOSING)
            for process in set(multiprocessing.active_children()) - before:
                process.kill()
                process.join(CLOSING)
            for cluster in made:
                cluster.status = distributed.Status.closed  # Dask would close it at exit


def _looping(loop: asyncio.AbstractEventLoop) -> None:
    # Processes inherit of the thread that starts them which signals wait.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGHUP])
    asyncio.set_event_loop(loop)
    loop.run_forever()


class _Task(NamedTuple):
    """What was given, and how often its workers were all lost."""

    number: int
    asked: Any
    lost: int
    future: Any


class Cluster:
    """Workers that Dask gives shards to, two for each at any time."""

    def __init__(self, client: Any, end: Callable[[], object]) -> None:
        self._client = client
        self._end = end
        self._crew: Crew | None = None

    @property
    def workers(self) -> int:
        return 0 if self._crew is None else self._crew.fit

    @contextmanager
    def prepared(self, ready: Ready | None, *sources: str) -> Iterator[None]:
        self._crew = crew = Crew(self._client, ready, sources)
        try:
            with self._losses_told():
                crew.wait()
            yield
        finally:
            crew.leave()
            self._end()  # before it is looked what is left of parts that were under way

    def in_order(self, work: Callable[[Any], Iterable[Any]], tasks: Iterable[Any]) -> Iterator[Any]:
        """The results of some work on each of several tasks, in their order.

        Raises
        ------
        UnusableInput
            A task raised it, or failed again and again.
        """
        held: dict[int, Any] = {}
        turn = 0
        asked = ((work, task) for task in tasks)
        for number, found in self._each(results_of, asked, lambda: len(held) < MOST_HELD):
            held[number] = found
            while turn in held:
                results = held.pop(turn)
                if isinstance(results, Failure):
                    raise UnusableInput(results.where, results.problem, results.paste)
                yield from results
                turn += 1

    def lines(self, spans: Iterable[tuple[str, Span]]) -> list[int]:
        tasks = [(absolute(path), span) for path, span in spans]
        found: dict[int, int] = {}
        for number, lines in self._each(lines_of, tasks):
            if isinstance(lines, Failure):
                raise UnusableInput(lines.where, lines.problem, lines.paste)
            found[number] = lines
        return [found[number] for number in range(len(found))]

    def parts(self, shards: Iterable[Shard]) -> Iterator[Receipt | Failure]:
        told = (msgspec.structs.replace(each, path=absolute(each.path)) for each in shards)
        for _, found in self._each(part_of, told):
            yield found

    def _each(
        self,
        work: Callable[[str, Any], Any],
        tasks: Iterable[Any],
        takes: Callable[[], bool] = lambda: True,
    ) -> Iterator[tuple[int, Any]]:
        """What comes of each task, with its number, as it comes, as long as it is taken."""
        assert self._crew is not None
        giving = _Giving(self._crew, work)
        rest = enumerate(tasks)
        more = True
        try:
            with self._losses_told():
                while more or giving.given:
                    while more and takes() and len(giving.given) < EACH * max(self.workers, 1):
                        number, task = next(rest, (0, None))
                        more = task is not None
                        if more:
                            giving.give(number, task)
                    yield from giving.results()
                    if self._crew.look():
                        yield from giving.give_anew()
        finally:
            giving.cancel()

    @contextmanager
    def _losses_told(self) -> Iterator[None]:
        """What Dask raises where the scheduler is gone is one error."""
        try:
            yield
        except (CommClosedError, TimeoutError) as error:
            raise ClusterLost from error
        except OSError as error:
            if self._client.status != "running":
                raise ClusterLost from error
            raise


class _Giving:
    """Tasks that are given, by their keys."""

    def __init__(self, crew: Crew, work: Callable[[str, Any], Any]) -> None:
        self.given: dict[str, _Task] = {}
        self._crew, self._work = crew, work
        # Results are fetched in its loop: where one hangs, others come.
        self._completed = distributed.as_completed(loop=crew.client.loop, with_results=True)
        self._nowhere: set[str] = set()

    def give(self, number: int, asked: Any, lost: int = 0) -> None:
        run = self._crew.run
        key = f"{self._work.__name__}-{uuid.uuid4().hex[:12]}-{number}"
        future = self._crew.client.submit(
            self._work, run, asked, key=key, resources={run: 1}, retries=RETRIES, pure=False
        )
        self.given[key] = _Task(number, asked, lost, future)
        self._completed.add(future)

    def results(self) -> Iterator[tuple[int, Any]]:
        """What has come, after a moment's wait where nothing has."""
        if not self._completed.has_ready():
            with self._completed.thread_condition:
                self._completed.thread_condition.wait(MOMENT)
        for future, result in self._completed.next_batch(block=False):
            task = self.given.pop(future.key, None)
            if task is not None:  # else it was given anew
                yield task.number, _outcome(future.status, result, task.asked)

    def give_anew(self) -> Iterator[tuple[int, Failure]]:
        """Give those anew that no worker has, at two looks; what was lost too often has failed.

        When a worker comes, the scheduler looks at what waits for one; ours are fit only later.
        What was done by a worker that hangs is with none either.
        """
        if not self._crew.fit:
            return
        held = self._crew.client.processing()
        nowhere = set(self.given) - set(chain.from_iterable(held.values()))
        for key in nowhere & self._nowhere & set(self.given):
            task = self.given.pop(key)
            task.future.cancel()
            if task.lost < ANEW:
                self.give(task.number, task.asked, task.lost + 1)
                continue
            problem = f"its workers were lost {ANEW + 1} times; do they have the memory for it?"
            yield task.number, Failure(_place(task.asked), problem)
        self._nowhere = nowhere

    def cancel(self) -> None:
        if self.given and self._crew.client.status == "running":
            with suppress(Exception):  # what was the matter is told
                self._crew.client.cancel([task.future for task in self.given.values()], force=True)


def _outcome(status: str, result: Any, asked: Any) -> Any:
    """The result of a task; what it raised, again and again, is a failure too."""
    if status == "finished":
        return result
    if status != "error":
        raise ClusterLost
    error = result[1]
    if isinstance(error, UnusableInput):
        return Failure(error.where, error.problem, error.paste)
    if isinstance(error, distributed.KilledWorker):
        told = f"its workers were lost, the last time {error.last_worker.address}; do they have"
        return Failure(_place(asked), f"{told} the memory for it?")
    told = printable(str(error)) or type(error).__name__
    return Failure(
        _place(asked),
        f"failed {RETRIES + 1} times, the last time by {type(error).__name__}: {told}",
    )


def _place(asked: Any) -> str:
    place = asked if isinstance(asked, Shard) else asked[-1]
    return str(asked[0] if isinstance(place, Span) else place.path)
