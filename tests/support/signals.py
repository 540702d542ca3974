"""Signals at random moments: to a run of `lrp explain` or one of its processes, into all outputs.

    PYTHONPATH=. python tests/support/signals.py --signals 500 --seed 1

tells what came of them, and ends with status 1 where one hung, left something behind, or ended
otherwise than it should. Linux alone tells of processes.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
if __name__ == "__main__":  # as pytest sets it
    sys.path.insert(0, str(ROOT))

from models import KERAS, WEATHER  # noqa: E402
from processes import LRP, copies_of, members  # noqa: E402

NUMBERS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGKILL)
VICTIMS = ("parent", "worker")
OUTPUTS = ("out.tsv", "out.parquet", "out.html", "out.npz", "out.tsv.gz", "pipe", "spool")
# So many seconds after a signal a run has ended, and after its end there is no process left.
PATIENCE = 10.0
ORPHANED = 2.0


@dataclass(frozen=True)
class Case:
    """One signal.

    Parameters
    ----------
    number : signal.Signals
    victim : str
        The process that is sent it: the run's first one, or one that shares its work.
    output : str
        A file's name, "pipe", or "spool": a pipe, and an input that is copied to a temporary file.
    moment : float
        In what part of the time that such a run takes.
    """

    number: signal.Signals
    victim: str
    output: str
    moment: float

    def __str__(self) -> str:
        return f"{self.number.name} to the {self.victim}, {self.output}, at {self.moment:.2f}"


def cases(count: int, seed: int, into: Sequence[str] = OUTPUTS) -> list[Case]:
    """So many signals: every kind about as often, the rest by chance."""
    chance = random.Random(seed)
    outputs = [name for name in into if name != "out.parquet" or _has("pyarrow")]
    kinds = [(n, v, o) for n in NUMBERS for v in VICTIMS for o in outputs]
    chosen = [kind for _ in range(count // len(kinds)) for kind in kinds]
    chosen += chance.sample(kinds, count - len(chosen))
    return [Case(*kind, chance.uniform(0, 1.05)) for kind in chosen]


def _has(module: str) -> bool:
    from importlib.util import find_spec

    return find_spec(module) is not None


class Room:
    """Where runs are: inputs, what they take, and what they give when nothing disturbs them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.outputs = folder / "outputs"
        self.spools = folder / "spools"
        for made in (self.outputs, self.spools):
            made.mkdir()
        self.long = folder / "long.txt"
        self.long.write_bytes(KERAS.sequences.read_bytes() * 40)
        self.series = folder / "series.npy"
        np.save(self.series, np.random.default_rng(0).normal(size=(3000, 24, 4)))
        self._undisturbed: dict[str, tuple[float, bytes]] = {}

    def command(self, output: str) -> list[str]:
        """A run by two processes."""
        sample = WEATHER if output == "spool" else KERAS
        command = [*LRP, "explain", str(sample.model), "-", "-q", "--jobs", "2"]
        piped = output in ("spool", "pipe")
        return command if piped else [*command, "-o", str(self.outputs / output)]

    def start(self, output: str) -> subprocess.Popen[bytes]:
        given = self.series if output == "spool" else self.long
        with given.open("rb") as file:
            return subprocess.Popen(
                self.command(output),
                stdin=file,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(self.spools)},
            )

    def undisturbed(self, output: str) -> tuple[float, bytes]:
        """How many seconds a run takes, and what it gives."""
        if output not in self._undisturbed:
            begin = time.monotonic()
            process = self.start(output)
            data, error = process.communicate()
            assert (process.returncode, error) == (0, b""), error
            self._undisturbed[output] = (time.monotonic() - begin, self.found(output) or data)
        return self._undisturbed[output]

    def found(self, output: str) -> bytes:
        """What stands in the file, which is removed."""
        path = self.outputs / output
        data = path.read_bytes() if path.exists() else b""
        path.unlink(missing_ok=True)
        return data


def tried(case: Case, room: Room) -> tuple[str, list[str]]:
    """Send one signal: how the run ended, and all that is wrong with it."""
    took, whole = room.undisturbed(case.output)
    process = room.start(case.output)
    drained = _Drained(process)
    if case.victim == "worker":
        _wait_for_workers(process)
    time.sleep(took * case.moment * (0.5 if case.victim == "worker" else 1))
    victim, heard = _victim(case, process)
    with suppress(ProcessLookupError):
        os.kill(victim, case.number)
    wrong = []
    try:
        status = process.wait(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        wrong.append(f"still ran after {PATIENCE} s")
        status = None
    end = time.monotonic() + ORPHANED
    while (left := members(process.pid)) and time.monotonic() < end:
        time.sleep(0.005)
    if left:
        wrong.append(f"{len(left)} processes outlived it by {ORPHANED} s")
        os.killpg(process.pid, signal.SIGKILL)
    said, data = drained.all()
    is_parent = victim == process.pid
    ended = _name_of(status, is_parent, case.number)
    if status not in _statuses(case.number, is_parent, heard):
        wrong.append(f"ended with status {status}")
    wrong += _wrong_words(said, status, is_parent, heard)
    wrong += _wrong_files(case, room, status, whole, is_parent)
    if case.output in ("pipe", "spool") and status == 0 and data != whole:
        wrong.append(f"gave {len(data)} bytes of {len(whole)}")
    return ended, wrong


def _wait_for_workers(process: subprocess.Popen[bytes]) -> None:
    """Imports are half of a run, and there are no others as yet."""
    while process.poll() is None and not copies_of(process.pid):
        time.sleep(0.005)


def _victim(case: Case, process: subprocess.Popen[bytes]) -> tuple[int, bool]:
    """Who is sent the signal, and whether `lrp` has set itself to hear it by now."""
    workers = copies_of(process.pid) if case.victim == "worker" else []
    pid = random.Random(case.moment).choice(workers) if workers else process.pid
    with suppress(FileNotFoundError, ProcessLookupError):
        status = Path(f"/proc/{process.pid}/status").read_text()
        caught = int(status.partition("SigCgt:")[2].split()[0] or "0", 16)
        return pid, bool(caught >> (signal.SIGTERM - 1) & 1)
    return pid, False


def _statuses(number: signal.Signals, is_parent: bool, heard: bool) -> set[int | None]:
    """How a run may end."""
    if not is_parent:
        # What it had to do may have been done; an interrupt is for the first process.
        return {0} if number == signal.SIGINT else {0, 3}
    if number == signal.SIGKILL:
        return {0, -number}
    # Before Python runs `lrp`, and when all is done, the system or Python ends the process.
    return {0, 128 + number, -number} | (set() if heard else {1})


def _name_of(status: int | None, is_parent: bool, number: signal.Signals) -> str:
    if is_parent and status in (128 + number, -number):
        return "128 + n"
    return f"status {status}"


def _wrong_words(said: bytes, status: int | None, is_parent: bool, heard: bool) -> list[str]:
    if status == 3 and not is_parent:
        right = said.startswith(b"lrp: --jobs: one of its processes ended early")
        right = right and said.count(b"\n") == 1
    else:
        right = said == b"" or (is_parent and not heard and b"KeyboardInterrupt" in said)
    return [] if right else [f"said {said[-3000:]!r}"]


def _wrong_files(
    case: Case, room: Room, status: int | None, whole: bytes, is_parent: bool
) -> list[str]:
    """What is there that should not be."""
    wrong = []
    data = room.found(case.output)
    if data and data != whole and not case.output.endswith(".gz"):  # which has the time in it
        wrong.append(f"a file of {len(data)} bytes, of {len(whole)}")
    if status == 0 and not data and case.output not in ("pipe", "spool"):
        wrong.append("no file")
    left = [path.name for path in room.outputs.iterdir()]
    may_stay = 1 if case.number == signal.SIGKILL and is_parent else 0
    if len(left) > may_stay or not all(_is_partial(name, case.output) for name in left):
        wrong.append(f"left {', '.join(left)}")
    if may_stay and left:
        # The next run into the same file takes it away.
        room.undisturbed(case.output)
        process = room.start(case.output)
        process.communicate()
        after = sorted(path.name for path in room.outputs.iterdir())
        if (process.returncode, after) != (0, [case.output]):
            wrong.append(f"the next run left {', '.join(after)}")
        room.found(case.output)
    spooled = [path.name for path in room.spools.iterdir()]
    if spooled:
        wrong.append(f"left {', '.join(spooled)} in TMPDIR")
    for path in (*room.outputs.iterdir(), *room.spools.iterdir()):
        if path.is_dir():
            for inner in path.iterdir():
                inner.unlink()
            path.rmdir()
        else:
            path.unlink()
    return wrong


def _is_partial(name: str, output: str) -> bool:
    return name.startswith(f".{output}.") and name.endswith(".partial")


class _Drained:
    """Reads what a run writes, so that it need not wait."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        from threading import Thread

        self._parts: dict[str, bytes] = {}
        self._threads = [
            Thread(target=self._read, args=(name, getattr(process, name)), daemon=True)
            for name in ("stdout", "stderr")
        ]
        for thread in self._threads:
            thread.start()

    def _read(self, name: str, pipe: object) -> None:
        with pipe:
            self._parts[name] = pipe.read()

    def all(self) -> tuple[bytes, bytes]:
        """What was said on standard error, and given on standard output."""
        for thread in self._threads:
            thread.join(PATIENCE)
        return self._parts.get("stderr", b""), self._parts.get("stdout", b"")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--signals", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    ends: Counter[str] = Counter()
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        room = Room(Path(folder))
        for case in cases(given.signals, given.seed):
            ended, wrong = tried(case, room)
            ends[f"{case.number.name} to the {case.victim}: {ended}"] += 1
            if wrong:
                failed += 1
                print(f"{case}: {'; '.join(wrong)}", flush=True)
    for end, count in sorted(ends.items()):
        print(f"{count:5} {end}")
    print(f"{given.signals} signals, {failed} with something wrong")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
