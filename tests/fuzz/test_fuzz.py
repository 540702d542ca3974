"""Nothing that a file may hold crashes, hangs or fills the memory; and what would is found."""

import os
import subprocess
import sys
import time
from pathlib import Path

import click
import numpy as np
import pytest
from installed import spec_of

from fuzz.campaign import KINDS, File, made, make_seeds
from fuzz.hostile.corpus import FOLDER
from fuzz.judging import Judged, Limits, judge
from fuzz.sandbox import judged
from fuzz.seeds import write
from lstm_lrp_cli.errors import UnusableInput

TOP = Path(__file__).parents[2]
# A few of each kind; `python -m tests.fuzz` tries as many as there is time for.
FILES = 4


def campaign(*options: str) -> str:
    """The table that it prints; a finding fails the test."""
    environment = {**os.environ, "PYTHONPATH": str(TOP)}
    command = [sys.executable, "-m", "tests.fuzz", *options]
    done = subprocess.run(command, cwd=TOP, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def kinds_that_need(package: str) -> list[str]:
    """They run where what the package brings is tested; else the package is said to be missing."""
    spec_of(package)
    return [name for name, kind in KINDS.items() if kind.needs == package]


@pytest.mark.parametrize("package", ["numpy", "onnx", "pyarrow"])
def test_damaged_files_of_every_kind(package):
    kinds = kinds_that_need(package)
    chosen = [part for kind in kinds for part in ("--kind", kind)]
    found = campaign("--files", str(FILES), "--seed", "18", *chosen)
    assert f"{FILES * len(kinds)} files in" in found


# The first is of all but `.parquet`.
@pytest.mark.parametrize(
    ("package", "pattern"), [("numpy", "*[!e]?"), ("pyarrow", "*et")], ids=["numpy", "pyarrow"]
)
def test_what_was_found_once(package, pattern):
    spec_of(package)
    found = campaign("--hostile", f"corpus_{pattern}")
    assert f"{len(list(FOLDER.glob(f'{pattern}.gz')))} files in" in found


def test_the_corpus_is_small():
    assert sum(path.stat().st_size for path in FOLDER.glob("*.gz")) < 300_000


@pytest.mark.parametrize(
    ("package", "kind"),
    [(each.needs, kind) for kind, each in KINDS.items() if kind != "results-other"],
)
def test_what_is_damaged_can_be_read_before(tmp_path, monkeypatch, package, kind):
    """Else all damage would be refused for another reason."""
    spec_of(package)
    seeds = KINDS[kind].seeds(tmp_path)
    for seed in seeds[:: max(1, len(seeds) // 3)]:
        place = tmp_path / "case"
        place.mkdir()
        write(seed, seed.data, place)
        monkeypatch.chdir(place)
        found = judge(seed.command, len(seed.data))
        assert (found.outcome, found.finding) == ("read", ""), (seed.spoilt, seed.command)
        monkeypatch.undo()
        place.rename(tmp_path / f"read {seeds.index(seed)}")


def test_a_file_is_made_again_from_its_number():
    make_seeds(["npz"])
    all_made = [made(File("npz", number, 3))[1] for number in range(20)]
    assert all_made == [made(File("npz", number, 3))[1] for number in range(20)]
    assert len(set(all_made)) > 15


def killed(_: str, folder: Path) -> Judged:
    os.kill(os.getpid(), 11)
    return Judged("read")


def endless(task: str, folder: Path) -> Judged:
    while task == "second":
        time.process_time()
    return Judged("read")


@pytest.mark.parametrize(("work", "finding"), [(killed, "crash: SIGSEGV"), (endless, "hang:")])
def test_a_process_that_dies_or_hangs_is_found(tmp_path, monkeypatch, work, finding):
    """And replaced: what comes next is tried."""
    monkeypatch.setattr("fuzz.sandbox.SECONDS", 0.2)
    tasks = ["first", "second", "third"]
    results = {task: result for task, result, _ in judged(work, tasks, 1, tmp_path)}
    assert set(results) == set(tasks)
    assert results["second"].finding.startswith(finding)
    assert (results["third"].outcome == "read") == (work is endless)


@pytest.fixture
def shown_by(small, monkeypatch):
    """Judge `lrp inspect` of a good model, which shows it by a function of the test's."""

    def judged_by(show, limits=Limits()) -> Judged:  # noqa: B008
        monkeypatch.setattr("lstm_lrp_cli.check.inspection.print_inspection", show)
        monkeypatch.chdir(small.save().parent)
        return judge(("inspect", "model.npz"), 100, limits)

    return judged_by


@pytest.mark.parametrize(
    ("raised", "finding"),
    [
        (KeyError("weights"), "internal error: KeyError"),
        (RecursionError(), "internal error: RecursionError"),
        (MemoryError(), "no memory: MemoryError"),
        (UnusableInput("model.npz", "has \x1b[2J; expected none"), ""),
    ],
)
def test_an_error_that_no_file_may_bring_about_is_found(shown_by, raised, finding):
    def show(*_: object) -> None:
        raise raised

    found = shown_by(show)
    assert found.outcome == ("finding" if finding else "refused")
    assert found.finding.startswith(finding)


LONG, LARGE = Limits(seconds=0.0), Limits(memory=10**7)


@pytest.mark.parametrize(
    ("show", "limits", "finding"),
    [
        (lambda *_: click.echo("a\x1b[2J"), Limits(), "control characters: U+001B"),
        (lambda *_: click.echo("a\u202e", err=True), Limits(), "control characters: U+202E"),
        (lambda *_: np.exp(np.full(1, 1e9)), Limits(), "warning: RuntimeWarning"),
        (lambda *_: np.ones(10_000_000).sum(), LARGE, "takes memory"),
        (lambda *_: sum(range(100_000)), LONG, "takes long"),
        (lambda *_: click.echo("a"), Limits(), ""),
    ],
)
def test_what_no_file_may_do_is_found(shown_by, show, limits, finding):
    found = shown_by(show, limits)
    assert found.finding.startswith(finding)
    assert bool(found.finding) == bool(finding)
