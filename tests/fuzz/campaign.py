"""Numbered files of each kind, what became of them, and the findings with their files."""

import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from multiprocessing import get_context
from pathlib import Path

from .hostile import CASES, all_cases
from .judging import Judged, Limits, judge
from .mutation import mutated
from .sandbox import judged
from .seeds import Seed, write
from .seeds.inputs import INPUTS
from .seeds.models import MODELS

KINDS = {**MODELS, **INPUTS}
THERE = [name for name, kind in KINDS.items() if kind.is_there]
# Of each finding; others are counted.
KEPT = 3
COMMAND = "command.txt"
LARGEST_KEPT = 2 * 10**6
# What each file that was made on purpose may take.
HOSTILE = Limits(5.0, 300 * 10**6)


@dataclass(frozen=True)
class File:
    """A damaged file by its number, from which it can be made again."""

    kind: str
    number: int
    seed: int


@dataclass(frozen=True)
class Named:
    """A hostile file by its name."""

    kind: str
    number: str
    seed: str = "hostile"


@dataclass
class Figures:
    """What became of the files of one kind."""

    outcomes: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    memory: int = 0
    findings: Counter[str] = field(default_factory=Counter)
    nets: Counter[str] = field(default_factory=Counter)

    def count(self, found: Judged) -> None:
        self.outcomes[found.outcome] += 1
        self.slowest = max(self.slowest, found.seconds)
        self.memory = max(self.memory, found.memory)
        if found.finding:
            self.findings[found.finding] += 1
        if found.outcome == "net":
            self.nets[found.details] += 1


_seeds: dict[str, list[Seed]] = {}


def make_seeds(kinds: list[str]) -> None:
    """Make the seeds of some kinds, in a process that ends: threads of libraries end with it."""
    missing = [kind for kind in kinds if kind not in _seeds]
    if not missing:
        return
    with get_context("fork").Pool(1) as pool:
        _seeds.update(zip(missing, pool.map(_seeds_of, missing), strict=True))


def _seeds_of(kind: str) -> list[Seed]:
    with tempfile.TemporaryDirectory() as folder:
        return KINDS[kind].seeds(Path(folder))


def made(file: File) -> tuple[Seed, bytes]:
    """The seed of a file, and what it became."""
    rng = random.Random(f"{file.seed} {file.kind} {file.number}")
    seed = rng.choice(_seeds[file.kind])
    return seed, mutated(seed.data, KINDS[file.kind].mutators, rng)


def work(file: File | Named, folder: Path) -> Judged:
    """Make a file, and see what its command makes of it."""
    place = folder / "case"
    shutil.rmtree(place, ignore_errors=True)
    if isinstance(file, Named):
        with tempfile.TemporaryDirectory() as empty:
            seed = CASES[file.number](Path(empty))
        data, limits = seed.data, HOSTILE
    else:
        seed, data = made(file)
        limits = Limits()
    write(seed, data, place)
    told = f"spoilt: {seed.spoilt} ({len(data):,} bytes)\nlrp {' '.join(seed.command)}"
    (folder / COMMAND).write_text(told, "utf-8")
    os.chdir(place)
    command, size = seed.command, len(data)
    del seed, data  # they may be as large as what is judged, and in the same process
    return judge(command, size, limits)


def numbered(kinds: list[str], seed: int, until: float, most: int) -> Iterator[File]:
    """Files of each kind in turn, until a time or a number of each."""
    for number in range(most):
        for kind in kinds:
            if time.monotonic() > until:
                return
            yield File(kind, number, seed)


def hostile(pattern: str = "*") -> list[Named]:
    """The files that were made on purpose, whose kind is how their names begin."""
    names = [name for name, _ in all_cases() if fnmatch(name, pattern)]
    return [Named(name.partition("_")[0], name) for name in names]


def run(
    files: Iterator[File | Named], kinds: list[str], jobs: int, keep: Path | None
) -> dict[str, Figures]:
    """Judge files, and keep those that are findings.

    Parameters
    ----------
    keep
        Where: a folder for each kind, and in it one for each file, with all that its command reads.
    """
    figures = {kind: Figures() for kind in kinds}
    make_seeds([kind for kind in kinds if kind in KINDS])
    with tempfile.TemporaryDirectory() as folder:
        for file, found, place in judged(work, files, jobs, Path(folder)):
            if not (place / "case").exists():
                continue  # it was not made: no fault of what would have read it
            figures[file.kind].count(found)
            if found.finding and figures[file.kind].findings[found.finding] == 1:
                print(f"{file.kind} {file.number}: {found.finding!a}", file=sys.stderr, flush=True)
            if keep and found.finding and figures[file.kind].findings[found.finding] <= KEPT:
                _keep(file, found, place / "case", keep)
    return figures


def _keep(file: File | Named, found: Judged, place: Path, keep: Path) -> None:
    said = found.finding.encode("ascii", "backslashreplace").decode()
    told = place.with_name(COMMAND).read_text("utf-8")
    target = keep / file.kind / f"{file.seed}-{file.number}"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    if sum(path.stat().st_size for path in place.rglob("*")) < LARGEST_KEPT:
        shutil.copytree(place, target, dirs_exist_ok=True)
    taken = f"{found.seconds:.1f} s, {found.memory / 1e6:.0f} MB"
    (target / "FINDING").write_text(
        f"{said}\n{told}\n{taken}\n\n{found.details}\n", "utf-8", "backslashreplace"
    )
    with (keep / file.kind / "README").open("a", encoding="utf-8") as readme:
        readme.write(f"{target.name}: {said} ({told.splitlines()[-1]})\n")
