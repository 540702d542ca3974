"""The workers of a Dask cluster: who has shown that it can do a run's shards, and what it does.

What a worker has shown is a resource that it gives itself, named after the run, and every task asks
for one: so one that comes late, or again, gets none before, and each does one at a time. One that
could not do them would fail one after another, faster than any other works.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import platform
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

from lstm_lrp_cli import __version__
from lstm_lrp_cli.errors import UnusableInput, printable
from lstm_lrp_cli.inputs.spans import Span, count_lines, is_url
from lstm_lrp_cli.terminal.text import say
from . import PROBES, Failure, Receipt, Shard
from .finding import check_input
from .job import Ready, ready
from .part import make_part
from .store import open_store

# Newcomers that are looked at at the same time, each in a thread.
NEWCOMERS = 50
# Of workers that are not fit so many are told.
TOLD = 20
# Seconds: between two looks at who works; for those there to show what they can, before others
# begin; without any worker, before it is given up; for the scheduler to answer; for workers to hear
# that a run is over.
LOOK = 1.0
GREETING = 5.0
PATIENCE = 300.0
ANSWER = 60.0
PARTING = 1.0


class ClusterLost(Exception):
    """The scheduler cannot be reached any more, or no worker is left."""


class Crew:
    """The workers, as they come and go.

    Parameters
    ----------
    client : distributed.Client
    ready : Ready or None
        What is written, by which model; None where there is nothing but results to read.
    sources : iterable of str
        What they have to see.

    Attributes
    ----------
    run : str
        What the resource is called.
    fit : int
        How many workers have it.
    """

    def __init__(self, client: Any, ready: Ready | None, sources: Iterable[str]) -> None:
        self.client = client
        self.run = f"lrp-{uuid.uuid4().hex[:12]}"
        self.fit = 0
        self._store = None if ready is None else ready.store
        into = None if ready is None else (absolute(ready.store.root), ready.job)
        self._asked = pickle.dumps((into, [*map(absolute, sources)]))
        root = "" if ready is None else ready.store.root
        self._elsewhere = f"writes to another {root} than this machine sees"
        self._there: set[str] = set()
        self._seeing: set[str] = set()
        self._unfit: dict[str, str] = {}
        self._news: SimpleQueue[tuple[str, str | None]] = SimpleQueue()
        self._told = 0
        self._looked = self._worked = time.monotonic()

    def wait(self) -> None:
        """Wait for the first worker that is fit, and a while for what the others there have to say.

        Raises
        ------
        UnusableInput
            None is.
        """
        begun = time.monotonic()
        while not self.fit or (self._seeing and time.monotonic() - begun < GREETING):
            self._look()
            if self._there and self._there == set(self._unfit):
                raise UnusableInput("--cluster", "no worker is fit to work: see above")
            self._still_waited_for()
            time.sleep(0.05 if self._seeing or not self.fit else 0)

    def look(self) -> bool:
        """Look who is there, unless that was just done; was it?"""
        if time.monotonic() - self._looked < LOOK:
            return False
        before = self.fit
        self._look()
        if before and not self.fit:
            say(f"no worker is left; new ones are waited for, {PATIENCE / 60:.0f} minutes long")
        self._still_waited_for()
        return True

    def _still_waited_for(self) -> None:
        if self.fit or self._seeing:
            self._worked = time.monotonic()
        elif time.monotonic() - self._worked > PATIENCE:
            raise ClusterLost

    def _look(self) -> None:
        # What was given is lost with the scheduler, though it come again.
        if self.client.status != "running":
            raise ClusterLost
        workers = self.client.sync(self.client.scheduler.identity, callback_timeout=ANSWER)
        there = workers["workers"]
        self._looked, self._there = time.monotonic(), set(there)
        with suppress(Empty):
            while True:
                self._take(*self._news.get_nowait())
        self._unfit = {each: told for each, told in self._unfit.items() if each in there}
        fit = {each for each, told in there.items() if self.run in told["resources"]}
        self.fit = len(fit)
        for each in self._there - fit - self._seeing - set(self._unfit):
            if len(self._seeing) < NEWCOMERS:
                self._seeing.add(each)
                threading.Thread(target=self._see, args=[each], daemon=True).start()

    def _take(self, address: str, problem: str | None) -> None:
        """Take what was seen of a newcomer: what is wrong, "" of a fit one; None: it is gone."""
        self._seeing.discard(address)
        if problem:
            self._unfit[address] = problem
            self._told += 1
            if self._told <= TOLD:
                say(f"the worker {address} {problem}; it is given nothing")

    def _see(self, address: str) -> None:
        """Have a newcomer show what it can; in a thread, since one may hang."""
        probe = f"{PROBES}/{self.run}-{uuid.uuid4().hex[:12]}"
        problem: str | None
        try:
            problem = self._problem(address, probe)
            # Another run into the folder, that just begins, may have taken the probe away.
            if problem and problem == self._elsewhere:
                problem = self._problem(address, probe)
            if not problem:
                self.client.run(_may_work, self.run, workers=[address])
        except (OSError, KeyError):
            problem = None
        except Exception as error:
            problem = f"cannot run lrp: {type(error).__name__}: {printable(str(error))}"
        if self._store is not None:
            with suppress(Exception):
                self._store.remove(probe)
        self._news.put((address, problem))

    def _problem(self, address: str, probe: str) -> str:
        asked = (__version__, self.run, self._asked, probe)
        told = self.client.run(_preflight, *asked, workers=[address])[address]
        if told or self._store is None or [*self._store.read([probe])] == [probe.encode()]:
            return str(told)
        return self._elsewhere

    def leave(self) -> None:
        """Tell the workers that the run is over; one that hangs is not waited for."""
        if self.client.status == "running":
            thread = threading.Thread(target=self._dismiss, daemon=True)
            thread.start()
            thread.join(PARTING)

    def _dismiss(self) -> None:
        with suppress(Exception):
            self.client.run(_forget, self.run, on_error="ignore")


def absolute(path: str) -> str:
    """A path that holds in any folder."""
    return path if is_url(path) else os.path.abspath(path)


# What follows runs on the workers.

_ready: dict[str, Ready] = {}


async def _preflight(version: str, run: str, asked: bytes, probe: str) -> str:
    """Make ready for a run's shards; what is wrong, or "".

    What is asked comes as bytes, since another version might not be able to read it.
    """
    if version != __version__:
        return f"has lrp {__version__}, not {version}"
    return await asyncio.to_thread(_problem, run, asked, probe)


def _problem(run: str, asked: bytes, probe: str) -> str:
    name = f"({platform.node()}, process {os.getpid()})"
    try:
        into, sources = pickle.loads(asked)
    except Exception as error:
        return f"{name} cannot read what is asked: {type(error).__name__}: {error}"
    try:
        for source in sources:
            check_input(source)
    except (UnusableInput, OSError) as error:
        return f"{name} does not see the input: {error}"
    if into is None:
        return ""
    root, job = into
    try:
        store = open_store(root)
        _ready[run] = ready(store, job)
    except (UnusableInput, OSError) as error:
        return f"{name} cannot read the model: {error}"
    try:
        with store.placed(probe) as file:
            file.write(probe.encode())
    except (UnusableInput, OSError) as error:
        return f"{name} cannot write to the output: {error}"
    return ""


async def _may_work(run: str, dask_worker: Any) -> None:
    await dask_worker.set_resources(**{run: 1})


def _forget(run: str) -> None:
    _ready.pop(run, None)


def part_of(run: str, shard: Shard) -> Receipt | Failure:
    return make_part(_ready[run], shard)


def results_of(run: str, of: tuple[Callable[[Any], Iterable[Any]], Any]) -> list[Any] | Failure:
    work, task = of
    try:
        return [*work(task)]
    except UnusableInput as error:
        return Failure(error.where, error.problem, error.paste)


def lines_of(run: str, of: tuple[str, Span]) -> int:
    return count_lines(*of)
