"""`lrp explain --jobs`: however many processes share the work, a user sees one command."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest
from corpora import Corpus
from forking import forked_lrp
from models import KERAS, WEATHER
from processes import LRP, copies_of, is_alive, pipe_has_data, run_lrp, wait_until

JOBS = 3
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux tells of child processes")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return Corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """One for runs of blocks that are as much shorter."""
    return Corpus(tmp_path_factory.mktemp("short"), shorter=16)


def test_the_report_on_standard_error_is_the_same(corpus):
    arguments = ("explain", KERAS.model, corpus.text, "-o", "/dev/null")
    alone, shared = (run_lrp(*arguments, "--jobs", jobs) for jobs in (1, JOBS))
    assert b"5,304 sequences" in alone.stderr
    assert shared.stderr == alone.stderr


@pytest.mark.parametrize("jobs", ["0", "-1", "many", "1.5"])
def test_a_number_of_jobs_that_is_none_is_wrong_usage(jobs):
    result = run_lrp("explain", KERAS.model, KERAS.sequences, "--jobs", jobs)
    assert result.returncode == 2
    assert b"--jobs" in result.stderr
    assert result.stdout == b""


def spoilt(path, wrong, folder):
    """A copy of a file of which a line behind the middle, in a later block, is wrong."""
    lines = path.read_bytes().split(b"\n")
    at = len(lines) * 3 // 4
    copy = folder / path.name
    copy.write_bytes(b"\n".join([*lines[:at], wrong, *lines[at:]]))
    return copy, at


class TestABadLineInALaterBlock:
    @pytest.fixture(params=["text", "json_lines", "series_csv"])
    def bad(self, request, short, tmp_path):
        """What is explained, and the number of the wrong line from 1."""
        sample = WEATHER if request.param == "series_csv" else KERAS
        wrong = {"text": b"\xff\xfe", "json_lines": b'{"text": 3}', "series_csv": b"x,0,1,2,3"}
        path, before = spoilt(getattr(short, request.param), wrong[request.param], tmp_path)
        return ("explain", sample.model, path, "--format", "jsonl"), before + 1

    def test_is_the_error_of_one_job_after_the_same_output(self, bad, short):
        arguments, number = bad
        alone, shared = (
            run_lrp(*arguments, "--jobs", jobs, block_steps=short.block_steps) for jobs in (1, JOBS)
        )
        assert alone.returncode == 3
        assert f"line {number}: ".encode() in alone.stderr
        assert alone.stdout.count(b"\n") > 100
        assert (shared.returncode, shared.stderr) == (alone.returncode, alone.stderr)
        assert shared.stdout == alone.stdout

    def test_leaves_no_file(self, bad, short, tmp_path):
        arguments, _ = bad
        before = sorted(tmp_path.iterdir())
        output, report = tmp_path / "out.jsonl", tmp_path / "report.json"
        written = ("-o", output, "--report", report)
        result = run_lrp(*arguments, *written, "--jobs", JOBS, block_steps=short.block_steps)
        assert result.returncode == 3
        assert sorted(tmp_path.iterdir()) == before


class Running:
    """`lrp explain --jobs 3` with its processes, leader of a group as what a shell starts."""

    def __init__(self, source, *options, **environment):
        self.process = subprocess.Popen(
            [*LRP, "explain", str(KERAS.model), str(source), "-q", "--jobs", str(JOBS), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, **environment},
        )
        self.pid = self.process.pid
        self.stdin, self.stdout = self.process.stdin, self.process.stdout

    def workers(self):
        """The processes that share the work, once all are there."""
        wait_until(lambda: len(copies_of(self.pid)) == JOBS)
        return copies_of(self.pid)

    def ended(self):
        """The status, and what was said on standard error."""
        error = self.process.stderr.read()
        return self.process.wait(timeout=180), error

    def close(self):
        """End what is left of its group, which is nothing where all is well."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        for pipe in (self.stdin, self.stdout, self.process.stderr):
            with suppress(BrokenPipeError):
                pipe.close()
        self.process.wait()


@pytest.fixture
def start():
    """Start `lrp explain` in the background; the result is a `Running`."""
    started = []

    def start_lrp(*arguments, **environment):
        started.append(Running(*arguments, **environment))
        return started[-1]

    yield start_lrp
    for each in started:
        each.close()


@pytest.fixture
def waiting(start, corpus, tmp_path):
    """A run that has explained all that it was given, and waits for more, to write `out.tsv`."""
    running = start("-", "-o", str(tmp_path / "out.tsv"))
    running.stdin.write(corpus.text.read_bytes())
    running.stdin.flush()
    return running


@pytest.fixture
def stalled(start, corpus):
    """A run that can write no more, for nobody reads what it has written."""
    running = start(corpus.text)
    wait_until(lambda: pipe_has_data(running.stdout.fileno()))
    return running


def assert_gone(*pids):
    wait_until(lambda: not any(map(is_alive, pids)))


@on_linux
class TestAnInterrupt:
    @pytest.mark.parametrize("send", [os.kill, os.killpg], ids=["one process", "all of them"])
    def test_while_it_waits_leaves_neither_file_nor_process(self, waiting, tmp_path, send):
        workers = waiting.workers()
        send(waiting.pid, signal.SIGINT)
        assert waiting.ended() == (130, b"")
        assert_gone(*workers)
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("send", [os.kill, os.killpg], ids=["one process", "all of them"])
    def test_while_it_writes_ends_it_too(self, stalled, send):
        workers = stalled.workers()
        send(stalled.pid, signal.SIGINT)
        assert stalled.ended() == (130, b"")
        assert_gone(*workers)


@on_linux
class TestAProcessThatIsKilled:
    """As where memory runs out: the system ends one of them."""

    @pytest.mark.parametrize("number", [0, JOBS - 1], ids=["at work", "idle"])
    def test_is_one_error_and_leaves_no_file(self, waiting, tmp_path, number):
        workers = waiting.workers()
        os.kill(workers[number], signal.SIGKILL)
        waiting.stdin.close()
        status, error = waiting.ended()
        assert status == 3
        assert error.count(b"\n") == 1
        assert error.startswith(b"lrp: --jobs: one of its processes ended early")
        assert b"Try fewer" in error
        assert_gone(*workers)
        assert not list(tmp_path.iterdir())

    def test_comes_after_what_was_right(self, start, corpus, tmp_path):
        # Of so many blocks that not all are done before the first is read, on whatever machine.
        long = tmp_path / "long.txt"
        long.write_bytes(corpus.text.read_bytes() * 6)
        running = start(long)
        wait_until(lambda: pipe_has_data(running.stdout.fileno()))
        for worker in running.workers():
            os.kill(worker, signal.SIGKILL)
        written = running.stdout.read()
        assert running.ended()[0] == 3
        whole = run_lrp("explain", KERAS.model, long, "-q", "--jobs", 1).stdout
        assert written
        assert whole.startswith(written)


@on_linux
@pytest.mark.parametrize("state", ["waiting", "stalled"])
def test_processes_end_where_the_first_one_is_killed(request, state):
    running = request.getfixturevalue(state)
    workers = running.workers()
    os.kill(running.pid, signal.SIGKILL)
    running.process.wait()
    assert_gone(*workers)


@on_linux
@pytest.mark.parametrize("environment", [{}, {"PYTHONUNBUFFERED": "1"}], ids=["", "unbuffered"])
def test_a_closed_pipe_ends_all_processes(start, corpus, environment):
    running = start(corpus.text, **environment)
    workers = running.workers()
    assert running.stdout.readline()
    running.stdout.close()
    assert running.ended() == (0, b"")
    assert_gone(*workers)


@on_linux
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_slow_reader_gets_everything(start, corpus, unbuffered):
    """A write that waits for the reader is cut short where the process is stopped meanwhile."""
    running = start(corpus.text, PYTHONUNBUFFERED=unbuffered)
    received = []
    while True:
        if len(received) < 40:
            time.sleep(0.01)
            os.kill(running.pid, signal.SIGSTOP)
            os.kill(running.pid, signal.SIGCONT)
        piece = running.stdout.read1(50_000)
        if not piece:
            break
        received.append(piece)
    assert running.ended() == (0, b"")
    whole = run_lrp("explain", KERAS.model, corpus.text, "-q", "--jobs", 1).stdout
    assert b"".join(received) == whole


@pytest.mark.parametrize("name", ["text", "json_lines", "series_csv", "series_npz"])
def test_standard_input_that_comes_in_small_pieces_gives_the_same_as_the_file(short, name):
    path, steps = getattr(short, name), short.block_steps
    sample = WEATHER if name.startswith("series") else KERAS
    options = ("-q", "--format", "jsonl", "--jobs", str(JOBS))
    process = subprocess.Popen(
        [*forked_lrp(steps), "explain", str(sample.model), "-", *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    )

    def feed():
        data, sizes = path.read_bytes(), random.Random(1)
        while data:
            size = sizes.choice([1, 7, 100, 1000])
            process.stdin.write(data[:size])
            data = data[size:]
        process.stdin.close()

    feeder = threading.Thread(target=feed)
    feeder.start()
    with process:
        found = process.stdout.read()
        feeder.join()
    assert process.returncode == 0
    assert found == run_lrp("explain", sample.model, path, *options, block_steps=steps).stdout
