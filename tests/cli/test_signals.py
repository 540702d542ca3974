"""What asks a process to end ends it as is usual, and leaves neither half files nor processes."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from models import KERAS
from processes import LRP, copies_of, members, pipe_has_data, wait_until

if sys.platform != "linux":
    pytest.skip("Linux tells of processes", allow_module_level=True)

ROOT = Path(__file__).parents[2]
STATUS = {number: 128 + number for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)}
# Runs `lrp` where one function sleeps when it is called, which a file tells of.
PROGRAM = """
import os, sys, time
from pathlib import Path
folder, where = Path(sys.argv.pop(1)), sys.argv.pop(1)

def asleep(*arguments):
    if hasattr(arguments[0], "write"):
        arguments[0].write(b"half")
    (folder / "asleep").touch()
    for _ in range(6000):  # a signal that comes just before a long sleep is not heard amid it
        time.sleep(0.01)

class Destroyed:
    __del__ = asleep

class Field:
    __set_name__ = asleep

def patched():
    if where == "moving":
        os.replace = asleep
    elif where == "converting":
        from lstm_lrp_cli.loading import convert
        convert.WRITERS["npz"] = asleep
    elif where == "starting":
        from lstm_lrp_cli.loading import load
        load.load_model = asleep
    elif where == "destructor":
        from lstm_lrp_cli.loading import load
        load.load_model = lambda *arguments: (Destroyed() and None) or asleep(*arguments)
    elif where == "class":
        from lstm_lrp_cli.loading import load
        load.load_model = lambda *arguments: type("Made", (), {"field": Field()})

from lstm_lrp_cli import __main__
start_fast = __main__.start_fast
__main__.start_fast = lambda: (start_fast(), patched())
__main__.run()
"""


def once(pid, number):
    os.kill(pid, number)


def to_all(pid, number):
    os.killpg(pid, number)


def as_timeout(pid, number):
    """To the process, and then to its group."""
    os.kill(pid, number)
    os.killpg(pid, number)


TERM, HUP, INT = STATUS


def several(names, *cells):
    """Some cells of a grid: every signal, way and number of processes, not all with all.

    A start of `lrp` takes a third of a second; random signals hold what is between.
    """
    ids = [
        "-".join(
            getattr(each, "name", None) or str(getattr(each, "__name__", each)) for each in cell
        )
        for cell in cells
    ]
    return pytest.mark.parametrize(names, cells, ids=ids)


@pytest.fixture
def outputs(tmp_path):
    folder = tmp_path / "outputs"
    folder.mkdir()
    return folder


@pytest.fixture
def long(tmp_path):
    """An input of several blocks."""
    path = tmp_path / "long.txt"
    path.write_bytes(KERAS.sequences.read_bytes() * 60)
    return path


@pytest.fixture
def start():
    """Start a command as a shell does, the leader of a group; its processes end with the test."""
    started = []

    def start_command(*command, **options):
        process = subprocess.Popen(
            [*map(str, command)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            **options,
        )
        started.append(process)
        return process

    yield start_command
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            with suppress(BrokenPipeError):
                pipe.close()


def assert_ended_by(process, number):
    error = process.stderr.read()
    assert (process.wait(timeout=180), error) == (STATUS[number], b"")
    wait_until(lambda: not members(process.pid))


@several(
    ["number", "send", "jobs"],
    (TERM, as_timeout, 1),
    (HUP, once, 1),
    (INT, to_all, 1),
    (TERM, once, 2),
    (HUP, to_all, 2),
    (INT, as_timeout, 2),
)
def test_while_it_writes_a_file(start, outputs, long, number, send, jobs):
    command = (*LRP, "explain", KERAS.model, long, "-q", "--jobs", jobs)
    process = start(*command, "-o", outputs / "out.tsv")
    wait_until(lambda: any(path.stat().st_size for path in outputs.iterdir()))
    send(process.pid, number)
    assert_ended_by(process, number)
    assert not list(outputs.iterdir())


@several(["number", "send"], (TERM, to_all), (HUP, as_timeout), (INT, once))
def test_while_its_processes_compute(start, outputs, long, number, send):
    arguments = ("-q", "--jobs", 2, "--method", "occlusion", "-o", outputs / "out.jsonl")
    process = start(*LRP, "explain", KERAS.model, long, *arguments)
    wait_until(lambda: len(copies_of(process.pid)) == 2)
    send(process.pid, number)
    assert_ended_by(process, number)
    assert not list(outputs.iterdir())


@several(["number", "jobs"], (TERM, 1), (HUP, 2), (INT, 1), (INT, 2))
def test_while_it_waits_for_input(start, outputs, long, number, jobs):
    arguments = ("-q", "--jobs", jobs, "-o", outputs / "out.tsv", "--report", outputs / "out.json")
    process = start(*LRP, "explain", KERAS.model, "-", *arguments)
    process.stdin.write(long.read_bytes())
    process.stdin.flush()
    wait_until(lambda: bool(list(outputs.iterdir())))
    once(process.pid, number)
    assert_ended_by(process, number)
    assert not list(outputs.iterdir())


@several(["number", "send", "jobs"], (TERM, as_timeout, 2), (HUP, to_all, 1), (INT, once, 2))
def test_while_nobody_reads_what_it_writes(start, long, number, send, jobs):
    process = start(*LRP, "explain", KERAS.model, long, "-q", "--jobs", jobs)
    wait_until(lambda: pipe_has_data(process.stdout.fileno()))
    send(process.pid, number)
    assert_ended_by(process, number)


@several(["number"], (TERM,), (INT,))
def test_while_libraries_are_imported(start, outputs, number):
    process = start(*LRP, "explain", KERAS.model, KERAS.sequences, "-o", outputs / "out.tsv")
    maps = Path(f"/proc/{process.pid}/maps")
    wait_until(lambda: "_multiarray_umath" in maps.read_text())
    once(process.pid, number)
    assert_ended_by(process, number)
    assert not list(outputs.iterdir())


@several(["number", "send"], (TERM, as_timeout), (INT, once))
@several(
    ["command", "where"],
    ("explain", "starting"),
    ("explain", "destructor"),
    ("explain", "class"),
    ("explain", "moving"),
    ("convert", "converting"),
    ("convert", "moving"),
)
def test_at_one_moment(start, tmp_path, outputs, number, send, where, command):
    """At its start, where exceptions are lost or wrapped, amid a file, and before it is there."""
    arguments = {
        "explain": (KERAS.model, KERAS.sequences, "-q", "-o", outputs / "out.tsv"),
        "convert": (KERAS.model, outputs / "out.npz"),
    }[command]
    process = start(sys.executable, "-c", PROGRAM, tmp_path, where, command, *arguments)
    wait_until((tmp_path / "asleep").exists)
    send(process.pid, number)
    assert_ended_by(process, number)
    assert not list(outputs.iterdir())


def test_a_hangup_that_is_ignored_stays_so(start, outputs, long):
    arguments = ("-q", "--jobs", 2, "-o", outputs / "out.tsv")
    process = start("nohup", *LRP, "explain", KERAS.model, "-", *arguments)
    process.stdin.write(long.read_bytes())
    process.stdin.flush()
    wait_until(lambda: len(members(process.pid)) == 3)
    wait_until(lambda: bool(list(outputs.iterdir())))
    to_all(process.pid, signal.SIGHUP)
    process.stdin.close()
    assert process.wait(timeout=180) == 0
    assert [path.name for path in outputs.iterdir()] == ["out.tsv"]
