"""A cluster that is killed at random moments, piece by piece, and what is left of a run on it.

    PYTHONPATH=. python tests/support/killing.py --rounds 50 --seed 1

tells what came of each, and ends with status 1 where the same command, run again, did not give what
an undisturbed run gives: a part lost, doubled or half written, or anything else left behind.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]
if __name__ == "__main__":  # as pytest sets it
    sys.path.insert(0, str(ROOT))

from models import KERAS  # noqa: E402
from processes import LRP, wait_until  # noqa: E402

VICTIMS = ("worker", "workers", "scheduler", "client", "frozen")
FILES = 12
# Seconds: until a worker that is not heard of is given up; that a run may take.
HEARD = 3
PATIENCE = 240
DASK = [sys.executable, "-m", "distributed.cli"]
QUIET = {
    "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": f"{HEARD}s",
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "5s",
}


class Cluster:
    """A scheduler, and workers that may be killed."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.file = folder / "scheduler.json"
        self._folder, self._stack = folder, stack
        self.file.unlink(missing_ok=True)
        self.scheduler = self._started("dask_scheduler", "--host", "127.0.0.1", "--port", "0")
        wait_until(lambda: self.file.exists() and self.file.stat().st_size > 0)
        self.workers = [self.worker() for _ in range(2)]

    def worker(self) -> subprocess.Popen[bytes]:
        return self._started("dask_worker", "--nthreads", "1", "--no-nanny")

    def _started(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [*DASK[:2], f"{DASK[2]}.{program}", "--scheduler-file", str(self.file)]
        process = subprocess.Popen(
            [*command, "--no-dashboard", *arguments],
            cwd=self._folder,
            env={**os.environ, **QUIET, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._stack.callback(_end, process)
        return process


def _wake(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def _end(process: subprocess.Popen[bytes]) -> None:
    _wake(process.pid)
    process.kill()
    process.wait()


class Room:
    """A corpus, and what an undisturbed run makes of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        corpus = folder / "corpus"
        corpus.mkdir()
        for number in range(FILES):
            (corpus / f"{number:02}.txt").write_bytes(KERAS.sequences.read_bytes() * 3)
        assert self.run("whole").returncode == 0
        self.whole = self.parts("whole")

    def command(self, output: str, *more: str) -> list[str]:
        return [*LRP, "explain", str(KERAS.model), "corpus", "-o", f"{output}/", "-q", *more]

    def started(self, output: str, *more: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.command(output, *more),
            cwd=self.folder,
            env={**os.environ, **QUIET, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, output: str) -> subprocess.CompletedProcess[bytes]:
        process = self.started(output)
        told = process.communicate(timeout=PATIENCE)
        return subprocess.CompletedProcess(process.args, process.returncode, *told)

    def parts(self, output: str) -> dict[str, bytes]:
        """All files that are no receipts, by their names."""
        folder = self.folder / output
        found = {str(path.relative_to(folder)): path for path in folder.rglob("*")}
        named = {name: path for name, path in found.items() if path.is_file()}
        return {
            name: path.read_bytes()
            for name, path in named.items()
            if not name.startswith("_lrp/receipts/")
        }


@contextmanager
def cluster(room: Room) -> Iterator[Cluster]:
    with ExitStack() as stack:
        yield Cluster(room.folder, stack)


def tried(victim: str, moment: float, room: Room) -> tuple[str, list[str]]:
    """Kill something amid a run: how that ended, and all that is wrong after the same run again."""
    output = "out"
    shutil.rmtree(room.folder / output, ignore_errors=True)
    wrong = []
    with cluster(room) as there:
        client = room.started(output, "--cluster", str(there.file))
        receipts = room.folder / output / "_lrp" / "receipts"
        begun = time.monotonic()
        # A moment between the start and the last part.
        wanted = int(moment * FILES)
        while client.poll() is None and time.monotonic() < begun + PATIENCE:
            if receipts.is_dir() and len(list(receipts.iterdir())) >= wanted:
                break
            time.sleep(0.002)
        time.sleep(0.05 * moment)
        _strike(victim, there, client)
        try:
            _, error = client.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            wrong.append(f"still ran after {PATIENCE} s")
            client.kill()
            _, error = client.communicate()
        allowed = {"scheduler": (0, 4), "client": (0, -signal.SIGKILL)}.get(victim, (0,))
        if client.returncode not in allowed:
            wrong.append(f"ended with status {client.returncode}: {error.decode()}")
        if b"Traceback" in error:
            wrong.append(error.decode())
        again = room.run(output)  # while a frozen worker wakes
        if victim == "frozen":
            time.sleep(1)
    if again.returncode:
        wrong.append(f"run again, it ended with status {again.returncode}: {again.stderr.decode()}")
    found = room.parts(output)
    for name in sorted({*found, *room.whole}):
        if found.get(name) != room.whole.get(name):
            wrong.append(f"{name} is not as in an undisturbed run")
    return f"{victim}: status {client.returncode}", wrong


def _strike(victim: str, there: Cluster, client: subprocess.Popen[bytes]) -> None:
    match victim:
        case "worker":
            there.workers[0].kill()
        case "workers":
            for worker in there.workers:
                worker.kill()
            there.worker()
        case "scheduler":
            there.scheduler.kill()
        case "client":
            client.kill()
        case "frozen":
            frozen = there.workers[0].pid
            os.kill(frozen, signal.SIGSTOP)
            # Woken when it was given up, and another one has its shards.
            threading.Timer(HEARD + 2, _wake, [frozen]).start()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    chance = random.Random(asked.seed)
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        room = Room(Path(folder))
        for number in range(asked.rounds):
            victim, moment = VICTIMS[number % len(VICTIMS)], chance.random()
            ended, wrong = tried(victim, moment, room)
            print(f"{number + 1}: {ended}, at {moment:.2f}", *wrong, sep="\n  ", flush=True)
            bad += bool(wrong)
    print(f"{asked.rounds} rounds, {bad} with something wrong")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
