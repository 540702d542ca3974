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
from pathlib import Path

PROC = Path("/proc")
KIBIBYTE, MEGABYTE = 2**10, 10**6
SECONDS_BETWEEN_SAMPLES = 0.05


def run(arguments: Sequence[str], folder: Path) -> tuple[float, float]:
    """Run a command; its wall time, and the MB of all its processes together at the peak."""
    line = [sys.executable, __file__, *arguments]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)} failed: {done.stderr}")
    seconds, memory = json.loads(done.stdout)
    return seconds, memory


def _run(arguments: Sequence[str]) -> tuple[int, float, float]:
    samples = []
    start = time.perf_counter()
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
    ended = threading.Event()

    def sample() -> None:
        while not samples or not ended.wait(SECONDS_BETWEEN_SAMPLES):
            samples.append(memory_of(process.pid))

    sampler = threading.Thread(target=sample)
    sampler.start()
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    ended.set()
    sampler.join()
    process.returncode = os.waitstatus_to_exitcode(status)
    # What samples miss of a single process, the kernel does not.
    largest = used.ru_maxrss * (1 if sys.platform == "darwin" else KIBIBYTE) / MEGABYTE
    return process.returncode, seconds, max(*samples, largest)


def memory_of(pid: int) -> float:
    """MB of a process and all that it started, where what they share counts once (PSS); or 0."""
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
    code, *finished = _run(sys.argv[1:])
    print(json.dumps(finished))
    sys.exit(code)
