"""Dask's `distributed` as the engine: it schedules, retries and moves; what is done is done here.

A task is code that the workers run: whoever may give tasks to a cluster may do anything there. So a
cluster belongs behind TLS or in a private network.
"""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import queue
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import msgspec

from lstm_lrp_cli import __version__
from lstm_lrp_cli.errors import UnusableInput, printable
from lstm_lrp_cli.inputs.spans import Span, count_lines, is_url
from lstm_lrp_cli.results.manifest import ABOUT
from lstm_lrp_cli.terminal.text import say
from . import Failure, Receipt, Shard
from .finding import check_input
from .job import Job, Ready, ready
from .part import make_part
from .store import Store, open_store

try:
    import dask
    import distributed
    from distributed.comm import CommClosedError
except ImportError as error:
    raise UnusableInput(
        "--cluster", "needs the package distributed; pip install 'lstm-lrp-cli[cluster]'"
    ) from error

PROBES = f"{ABOUT}/probes"
# Tasks that each worker has in advance: one in work, one that waits.
EACH = 2
# Of what is no fault of the input: a disk, a network, a worker that ends.
RETRIES = 2
# Seconds: to connect; between two looks at who works; without any worker, before it is given up.
CONNECT = 20
LOOK = 1.0
PATIENCE = 300.0
# Watching costs a worker some percent of its time, and what it watches is not looked at.
SETTINGS = {
    "distributed.worker.profile.enabled": False,
    "distributed.worker.use-file-locking": False,
}


class ClusterLost(Exception):
    """The scheduler cannot be reached any more, or no worker is left."""


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
            client = stack.enter_context(_client(where, jobs, stack))
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
        yield Cluster(client, quiet=quiet)


TLS = (
    " The certificates and the authority are those of Dask's configuration, distributed.comm.tls "
    "(DASK_DISTRIBUTED__COMM__TLS__CA_FILE, ...__CLIENT__CERT, ...__CLIENT__KEY)"
)


def _client(where: str, jobs: int, stack: ExitStack) -> Any:
    if where == "local":
        cluster = distributed.LocalCluster(
            n_workers=jobs,
            threads_per_worker=1,
            dashboard_address=":0",
            silence_logs=logging.CRITICAL + 1,
        )
        stack.callback(cluster.close, timeout=2)
        return distributed.Client(cluster)
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


class Cluster:
    """Workers that Dask gives shards to.

    No worker has any before it was seen to be fit, by `_preflight`: one that could not do them
    would fail one after another, faster than any other works. A fit one has a resource named after
    the run, which each task needs; so it does one at a time, too.
    """

    def __init__(self, client: Any, *, quiet: bool) -> None:
        self._client = client
        self._quiet = quiet
        self._run = f"lrp-{uuid.uuid4().hex[:12]}"
        self._seen: dict[str, str] = {}  # of each worker, what is wrong with it
        self._preparing: tuple[Job, Store, str] | None = None
        self._alone_since: float | None = None

    @property
    def workers(self) -> int:
        return sum(not problem for problem in self._seen.values())

    @property
    def _is_there(self) -> bool:
        """Whether the scheduler is; what it was given is lost with it, though it come again."""
        return bool(self._client.status == "running")

    @contextmanager
    def prepared(self, ready: Ready, source: str) -> Iterator[None]:
        source = source if is_url(source) else os.path.abspath(source)
        self._preparing = (ready.job, ready.store, source)
        with self._losses_told():
            self._client.wait_for_workers(1, timeout=PATIENCE)
            self._look()
        if not self.workers:
            raise UnusableInput("--cluster", "no worker is fit to work: see above")
        try:
            yield
        finally:
            if self._is_there:
                with suppress(Exception):  # what was the matter is told
                    self._client.run(_forget, self._run)

    def lines(self, spans: Iterable[tuple[str, Span]]) -> list[int]:
        found = dict(self._each(_lines, (_absolute_span(each) for each in spans)))
        return [found[number] for number in range(len(found))]

    def parts(self, shards: Iterable[Shard]) -> Iterator[Receipt | Failure]:
        for _, found in self._each(_part, map(_absolute, shards)):
            yield found

    def _each(
        self, work: Callable[[str, Any], Any], tasks: Iterable[Any]
    ) -> Iterator[tuple[int, Any]]:
        """What comes of each task, with its number, as it comes."""
        done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        rest = enumerate(tasks)
        given: dict[Any, tuple[int, Any]] = {}
        more = True

        def give(number: int, task: Any) -> None:
            future = self._client.submit(
                work,
                self._run,
                task,
                key=f"{work.__name__}-{uuid.uuid4().hex[:12]}-{number}",
                resources={self._run: 1},
                retries=RETRIES,
                pure=False,
            )
            given[future] = number, task
            future.add_done_callback(done.put)

        try:
            with self._losses_told():
                while more or given:
                    while more and len(given) < EACH * max(self.workers, 1):
                        number, task = next(rest, (0, None))
                        if task is None:
                            more = False
                            break
                        give(number, task)
                    try:
                        future = done.get(timeout=LOOK)
                    except queue.Empty:
                        if self._look():
                            # What waited for a worker when there was none is not looked at again.
                            waiting = [each for each in given if each.status == "pending"]
                            self._client.cancel(waiting, force=True)
                            for each in waiting:
                                give(*given.pop(each))
                        continue
                    if future in given:
                        number, task = given.pop(future)
                        yield number, _outcome(future, task)
                    del future
        finally:
            if given and self._is_there:
                with suppress(Exception):
                    self._client.cancel(list(given), force=True)

    def _look(self) -> bool:
        """See who works, and whether those that are new are fit; is it the first in a while?"""
        if not self._is_there:
            raise ClusterLost
        there = self._client.scheduler_info(n_workers=-1)["workers"]
        self._seen = {address: told for address, told in self._seen.items() if address in there}
        before = self.workers
        new = [address for address in there if address not in self._seen]
        if new:
            self._seen |= self._problems(new)
        if self.workers:
            self._alone_since = None
            return not before
        now = time.monotonic()
        if self._alone_since is None:
            self._alone_since = now
        if now - self._alone_since > PATIENCE:
            raise ClusterLost
        return False

    def _problems(self, addresses: list[str]) -> dict[str, str]:
        """What is wrong with each of several workers; "" of those that are fit now."""
        assert self._preparing is not None
        job, store, source = self._preparing
        told = self._client.run(
            _preflight,
            self._run,
            (store.root if is_url(store.root) else os.path.abspath(store.root), job, source),
            workers=addresses,
            on_error="return",
        )
        seen = store.names(PROBES)
        found = {}
        for address, (name, problem) in ((a, _told(t)) for a, t in told.items()):
            probe = f"{self._run}-{name}"
            if not problem and probe not in seen:
                problem = f"writes to another {store.root} than this machine sees"
            store.remove(f"{PROBES}/{probe}")
            found[address] = problem
            if problem:
                say(f"the worker {name or address} {problem}; it is given nothing")
            else:
                self._client.run(_may_work, self._run, workers=[address])
        return found

    @contextmanager
    def _losses_told(self) -> Iterator[None]:
        """What Dask raises where the scheduler is gone is one error."""
        try:
            yield
        except (CommClosedError, TimeoutError) as error:
            raise ClusterLost from error
        except OSError as error:
            if not self._is_there:
                raise ClusterLost from error
            raise


def _outcome(future: Any, task: Any) -> Any:
    """The result of a task; what it raised, again and again, is a failure too."""
    if future.status == "finished":
        return future.result()
    if future.status != "error":
        raise ClusterLost
    error = future.exception()
    place = task.path if isinstance(task, Shard) else task[0]
    told = printable(str(error)) or type(error).__name__
    return Failure(
        place, f"failed {RETRIES + 1} times, the last time by {type(error).__name__}: {told}"
    )


def _absolute(shard: Shard) -> Shard:
    """The shard, by a path that holds in any folder."""
    if is_url(shard.path):
        return shard
    return msgspec.structs.replace(shard, path=os.path.abspath(shard.path))


def _absolute_span(of: tuple[str, Span]) -> tuple[str, Span]:
    path, span = of
    return (path if is_url(path) else os.path.abspath(path)), span


def _told(told: Any) -> tuple[str, str]:
    """A worker's name, and what is wrong with it; what it raised is wrong as well."""
    if isinstance(told, BaseException):
        return "", f"cannot run lrp: {type(told).__name__}: {printable(str(told))}"
    name, problem = told
    return name, problem


# What follows runs on the workers.

_ready: dict[str, Ready] = {}


async def _preflight(run: str, asked: tuple[str, Job, str]) -> tuple[str, str]:
    """Make ready for a run's shards; the worker's name, and what is wrong, or ""."""
    name = f"{platform.node()}-{os.getpid()}"
    return name, await asyncio.to_thread(_problem, run, name, asked)


def _problem(run: str, name: str, asked: tuple[str, Job, str]) -> str:
    root, job, source = asked
    if job.settings["lrp"] != __version__:
        return f"has lrp {__version__}, not {job.settings['lrp']}"
    try:
        check_input(source)
    except (UnusableInput, OSError) as error:
        return f"does not see the input: {error}"
    try:
        store = open_store(root)
        _ready[run] = ready(store, job)
    except (UnusableInput, OSError) as error:
        return f"cannot read the model: {error}"
    try:
        with store.placed(f"{PROBES}/{run}-{name}") as file:
            file.write(b"")
    except (UnusableInput, OSError) as error:
        return f"cannot write to the output: {error}"
    return ""


async def _may_work(run: str, dask_worker: Any) -> None:
    await dask_worker.set_resources(**{run: 1})


def _forget(run: str) -> None:
    _ready.pop(run, None)


def _part(run: str, shard: Shard) -> Receipt | Failure:
    return make_part(_ready[run], shard)


def _lines(run: str, of: tuple[str, Span]) -> int:
    return count_lines(*of)
