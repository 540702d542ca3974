"""`lrp explain --jobs`: however many processes share the work, a user sees one command."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

import numpy as np
import pytest
from models import KERAS, WEATHER
from processes import LRP, copies_of, is_alive, pipe_has_data, run_lrp, wait_until
from together import lrp_all

from lstm_lrp_cli.explaining.explainer import Explainer
from lstm_lrp_cli.explaining.question import Question
from lstm_lrp_cli.loading.load import load_model
from lstm_lrp_cli.running.blocks import Rendering
from lstm_lrp_cli.sequences.read import Source, read_blocks

JOBS = 3
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux tells of child processes")


def shuffled(lines, times, seed=0):
    """Lines so many times, every time in another order."""
    rng = random.Random(seed)
    return [line for _ in range(times) for line in rng.sample(lines, len(lines))]


class Corpus:
    """Inputs of several blocks, made of the sample models' own."""

    def __init__(self, folder):
        self.folder = folder
        sentences = KERAS.sequences.read_text("utf-8").splitlines()
        labelled = KERAS.sequences.with_name("labelled.txt").read_text("utf-8").splitlines()
        lines = shuffled([*sentences, "", "qwertyuiop is no word"], 52)
        self.text = self._write("long.txt", lines)
        self.few = self._write("few.txt", shuffled(sentences, 8))
        self.labelled = self._write("labelled.txt", shuffled(labelled, 50))
        documents = [{"id": f"no {k}", "text": line} for k, line in enumerate(lines)]
        self.json_lines = self._write("long.jsonl", map(json.dumps, documents))
        header, *rows = WEATHER.sequences.read_text("utf-8").splitlines()
        series = {}
        for row in rows:
            name, _, values = row.partition(",")
            series.setdefault(name, []).append(values)
        several = shuffled(list(series.values()), 60)
        numbered = [f"{k},{row}" for k, steps in enumerate(several) for row in steps]
        self.series_csv = self._write("series.csv", [header, *numbered])
        self.series_npz = folder / "series.npz"
        arrays = [np.array([row.split(",")[1:] for row in steps], float) for steps in several]
        np.savez(self.series_npz, **{str(k): array for k, array in enumerate(arrays)})

    def _write(self, name, lines):
        path = self.folder / name
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return path


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return Corpus(tmp_path_factory.mktemp("corpus"))


# Of each kind of run its sample, its input and its options.
RUNS = {
    "tsv": (KERAS, "text", "--format", "tsv"),
    "csv": (KERAS, "text", "--format", "csv"),
    "jsonl": (KERAS, "text", "--format", "jsonl"),
    "float32": (KERAS, "text", "--dtype", "float32"),
    "every dimension": (KERAS, "few", "--by", "dimension"),
    "every dimension as JSON": (KERAS, "few", "--by", "dimension", "--format", "jsonl"),
    "every target": (KERAS, "labelled", "--labelled", "--target", "all"),
    "JSON lines": (KERAS, "json_lines", "--format", "jsonl"),
    "a page": (KERAS, "labelled", "--labelled", "--target", "all", "--format", "html"),
    "a page of a series": (WEATHER, "series_csv", "--format", "html"),
    "a series as .csv": (WEATHER, "series_csv"),
    "a series as .npz": (WEATHER, "series_npz", "--format", "jsonl"),
    "Markdown": (KERAS, "labelled", "--labelled", "--format", "markdown"),
    "npz": (KERAS, "few", "--format", "npz"),
    "a series as npz": (WEATHER, "series_csv", "--format", "npz"),
    "steps of a series": (WEATHER, "series_csv", "--by", "step"),
}


@pytest.mark.parametrize("name", RUNS)
def test_output_and_report_are_the_same_for_any_number_of_jobs(corpus, tmp_path, name):
    sample, source, *options = RUNS[name]
    found = set()
    for jobs in (1, 2, 5):
        output, report = tmp_path / f"{jobs}.out", tmp_path / f"{jobs}.json"
        form = () if "--format" in options else ("--format", "tsv")
        result = run_lrp(
            *("explain", sample.model, getattr(corpus, source), *options, *form),
            *("-o", output, "--report", report, "--jobs", jobs),
        )
        assert (result.returncode, result.stdout) == (0, b"")
        found.add((output.read_bytes(), report.read_bytes(), result.stderr))
    [(written, reported, _)] = found
    assert written
    assert json.loads(reported)["sequences"]


@pytest.mark.parametrize("name", RUNS)
def test_these_inputs_are_of_several_blocks(corpus, name):
    """Else there would be but one process."""
    sample, source, *options = RUNS[name]
    model = load_model(sample.model, None, np.dtype("float64")).model
    usual = "feature" if model.embedding is None else "token"
    if "npz" in options:
        usual = "dimension" if usual == "token" else usual
    detail = options[options.index("--by") + 1] if "--by" in options else usual
    question = Question("all" if "all" in options else "predicted")
    rendering = Rendering(Explainer(model, [lrp_all()], target=question, by=detail), "tsv")
    where = Source(str(getattr(corpus, source)), labelled="--labelled" in options)
    assert len(list(read_blocks(where, model, rendering.block_steps))) >= 3


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
    def bad(self, request, corpus, tmp_path):
        """What is explained, and the number of the wrong line from 1."""
        sample = WEATHER if request.param == "series_csv" else KERAS
        wrong = {"text": b"\xff\xfe", "json_lines": b'{"text": 3}', "series_csv": b"x,0,1,2,3"}
        path, before = spoilt(getattr(corpus, request.param), wrong[request.param], tmp_path)
        return ("explain", sample.model, path, "--format", "jsonl"), before + 1

    def test_is_the_error_of_one_job_after_the_same_output(self, bad):
        arguments, number = bad
        alone, shared = (run_lrp(*arguments, "--jobs", jobs) for jobs in (1, JOBS))
        assert alone.returncode == 3
        assert f"line {number}: ".encode() in alone.stderr
        assert alone.stdout.count(b"\n") > 100
        assert (shared.returncode, shared.stderr) == (alone.returncode, alone.stderr)
        assert shared.stdout == alone.stdout

    def test_leaves_no_file(self, bad, tmp_path):
        arguments, _ = bad
        before = sorted(tmp_path.iterdir())
        output, report = tmp_path / "out.jsonl", tmp_path / "report.json"
        result = run_lrp(*arguments, "-o", output, "--report", report, "--jobs", JOBS)
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
        return self.process.wait(timeout=60), error

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

    def test_comes_after_what_was_right(self, stalled, corpus):
        workers = stalled.workers()
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        written = stalled.stdout.read()
        assert stalled.ended()[0] == 3
        whole = run_lrp("explain", KERAS.model, corpus.text, "-q", "--jobs", 1).stdout
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
@pytest.mark.parametrize("form", ["tsv", "csv", "jsonl"])
def test_a_closed_pipe_ends_all_processes_quietly(start, corpus, form, environment):
    running = start(corpus.text, "--format", form, **environment)
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
def test_standard_input_that_comes_in_small_pieces_gives_the_same_as_the_file(corpus, name):
    path = getattr(corpus, name)
    sample = WEATHER if name.startswith("series") else KERAS
    options = ("-q", "--format", "jsonl", "--jobs", str(JOBS))
    process = subprocess.Popen(
        [*LRP, "explain", str(sample.model), "-", *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    )

    def feed():
        data, sizes = path.read_bytes(), random.Random(1)
        while data:
            size = sizes.choice([1, 7, 100, 5000, 20_000])
            process.stdin.write(data[:size])
            data = data[size:]
        process.stdin.close()

    feeder = threading.Thread(target=feed)
    feeder.start()
    with process:
        found = process.stdout.read()
        feeder.join()
    assert process.returncode == 0
    assert found == run_lrp("explain", sample.model, path, *options).stdout
