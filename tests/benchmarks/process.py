"""Runs a command, and tells how long it took and how much memory its processes had at most.

    python process.py COMMAND ...

prints it as JSON. This is a program of its own because the kernel counts for a new process the
memory of the one that started it: a small one must start what is measured.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

PROC = Path("/proc")
KIBIBYTE, MEGABYTE = 2**10, 10**6
SECONDS_BETWEEN_SAMPLES = 0.05


@dataclass(frozen=True, slots=True)
class Finished:
    """A run of a command.

    Parameters
    ----------
    seconds : float
        Wall time.
    cpu_seconds : float
        Time of all its processes on all cores, with the system's.
    peak : float or None
        MB of all its processes together at one time, where what they share counts once (PSS), as
        sampled; None where the system does not tell.
    largest : float
        MB of the largest of its processes at its peak (ru_maxrss), as the kernel kept it.
    """

    seconds: float
    cpu_seconds: float
    peak: float | None
    largest: float

    @property
    def memory(self) -> float:
        """MB at the peak: what samples missed of a single process, the kernel did not."""
        return max(self.peak or 0.0, self.largest)


def run(arguments: Sequence[str], folder: Path) -> Finished:
    """Run a command in a process of its own, started by a small one."""
    done = subprocess.run(
        [sys.executable, __file__, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)} failed: {done.stderr}")
    return Finished(**json.loads(done.stdout))


def _run(arguments: Sequence[str]) -> tuple[int, Finished]:
    peak = 0.0
    ended = threading.Event()

    def sample(pid: int) -> None:
        nonlocal peak
        while True:
            peak = max(peak, memory_of(pid))
            if ended.wait(SECONDS_BETWEEN_SAMPLES):
                return

    start = time.perf_counter()
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
    sampler = threading.Thread(target=sample, args=(process.pid,))
    sampler.start()
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    ended.set()
    sampler.join()
    unit = 1 if sys.platform == "darwin" else KIBIBYTE
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, Finished(
        seconds, used.ru_utime + used.ru_stime, peak or None, used.ru_maxrss * unit / MEGABYTE
    )


def memory_of(pid: int) -> float:
    """MB of a process and all that it started; 0 where there is none any more."""
    try:
        rollup = (PROC / str(pid) / "smaps_rollup").read_text("ascii")
        children = [
            int(child)
            for task in (PROC / str(pid) / "task").iterdir()
            for child in (task / "children").read_text("ascii").split()
        ]
    except OSError:
        return 0.0
    kibibytes = sum(int(line.split()[1]) for line in rollup.splitlines() if line[:4] == "Pss:")
    return kibibytes * KIBIBYTE / MEGABYTE + sum(map(memory_of, children))


if __name__ == "__main__":
    code, finished = _run(sys.argv[1:])
    print(json.dumps(asdict(finished)))
    sys.exit(code)
