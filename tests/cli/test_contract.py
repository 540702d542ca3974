"""What every command promises, each promise once for all commands and formats, as a shell sees it.

What a command has of its own is tested with it.
"""

import csv
import fcntl
import io
import json
import os
import re
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from corpora import Corpus
from forking import forked_lrp
from models import KERAS, WEATHER, SmallModel, json_lines
from pages import Page
from processes import LRP, run_lrp

from lstm_lrp_cli.cli import main
from lstm_lrp_cli.cli.main import COMMANDS
from lstm_lrp_cli.engine.methods import METHODS
from lstm_lrp_cli.explaining.explainer import Explainer
from lstm_lrp_cli.inputs.read import Source, read_blocks
from lstm_lrp_cli.loading.load import load_model
from lstm_lrp_cli.running.blocks import Rendering

# Of `lrp evaluate`: short sequences, and few draws.
QUICK = ("--methods", "lrp-all,random", "--min-length", "2", "--draws", "1")
TEXT = "the film is not bad\n\nbad film\nnot not not\n"
# Which commands write to standard output or to -o, and in which formats.
FORMATS = {
    "explain": (
        *("tsv", "csv", "jsonl", "html", "markdown", "terminal"),
        *("npz", "parquet", "parquet-nested"),
    ),
    "predict": ("tsv", "csv", "jsonl", "terminal"),
    "evaluate": ("table", "json"),
    "compare": ("table", "json"),
    "compare results": ("table", "json"),
    "summarize": ("table", "json", "html"),
    "check": ("table", "json"),
    "match": ("json",),
    "inspect": ("table", "json"),
}
OTHERS = {"convert", "completion"}
WITHOUT_INPUT = {"inspect"}
EVERY = [(command, form) for command, forms in FORMATS.items() for form in forms]
CORPUS = [(command, form) for command, form in EVERY if command in ("explain", "predict")]
READING = [(command, form) for command, form in EVERY if command not in WITHOUT_INPUT]

# What `lrp evaluate` measures, as JSON and in its last table.
TIMES = re.compile(rb'"(forward_)?seconds": [-+.e\d]+|\ntime: [^$]+$')

every_output = pytest.mark.parametrize(("command", "form"), EVERY)
every_corpus = pytest.mark.parametrize(("command", "form"), CORPUS)
every_reader = pytest.mark.parametrize(("command", "form"), READING)
unbuffered = pytest.mark.parametrize(
    "environment", [{}, {"PYTHONUNBUFFERED": "1"}], ids=["", "unbuffered"]
)


@dataclass(frozen=True)
class Folder:
    """A small model with its mapping and vocabulary, text, and what the model says of it."""

    path: Path

    def files(self) -> dict[str, bytes]:
        """All that is there."""
        return {each.name: each.read_bytes() for each in self.path.iterdir()}

    def input_of(self, command: str) -> str:
        return "results" if command in ("compare results", "summarize") else "text"

    def arguments(self, command: str, form: str, source: str | Path | None = None) -> list[str]:
        """What runs a command; its input is a file of this folder, or another one."""
        given = str(source or self.input_of(command))
        arguments = {
            "explain": ("explain", "model.npz", given),
            "predict": ("predict", "model.npz", given),
            "evaluate": ("evaluate", "model.npz", given, *QUICK),
            "compare": ("compare", "model.npz", "other.npz", "--input", given),
            "compare results": ("compare", given, "--methods", "lrp-all,occlusion"),
            "summarize": ("summarize", given),
            "check": ("check", "model.npz", given),
            "match": ("match", "model.npz", given, "--expected", "scores.jsonl"),
            "inspect": ("inspect", "model.npz"),
        }[command]
        return [*arguments, "--format", form]

    def run(self, *arguments: object, **options) -> subprocess.CompletedProcess[bytes]:
        """As a process."""
        return run_lrp(*arguments, cwd=self.path, **options)

    def call(self, *arguments: str) -> Result:
        """In this process, where nothing depends on how a process ends."""
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.path)
            return CliRunner().invoke(main, arguments)


@pytest.fixture
def folder(tmp_path_factory, made):
    """One of its own, of the same files."""
    path = tmp_path_factory.mktemp("folder")
    for name, content in made.items():
        (path / name).write_bytes(content)
    return Folder(path)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The files, made once."""
    path = tmp_path_factory.mktemp("made")
    small = SmallModel(path)
    small.mapping["labels"] = ["poor", "fair", "good"]
    small.save()
    for name in ("npz", "yaml"):
        (path / f"other.{name}").write_bytes((path / f"model.{name}").read_bytes())
    # By its name nothing is known of an input, as of standard input.
    small.write("text", TEXT)
    small.write("bad", TEXT.encode() + b"\xff\xfe\n")
    methods = ("--method", "lrp-all,occlusion", "--format", "jsonl", "-q")
    for done, name in (
        (run_lrp("explain", "model.npz", "text", *methods, cwd=path), "results"),
        (run_lrp("predict", "model.npz", "text", "--format", "jsonl", cwd=path), "scores.jsonl"),
    ):
        assert done.returncode == 0, done.stderr
        small.write(name, done.stdout)
    small.write("bad results", (path / "results").read_bytes() + b'{"text": 3}\n')
    return Folder(path).files()


@pytest.fixture(autouse=True)
def _needs(request, framework):
    """Skip where what a format needs is not installed."""
    call = getattr(request.node, "callspec", None)
    if call and str(call.params.get("form")).startswith("parquet"):
        framework("pyarrow")


def same(form: str, one: bytes, other: bytes) -> bool:
    """Whether two outputs are the same, but for the time that was taken.

    A zip in a pipe has its sizes behind its members.
    """
    if form != "npz":
        one, other = (re.sub(TIMES, b"", each) for each in (one, other))
        return one == other != b""
    with np.load(io.BytesIO(one)) as these, np.load(io.BytesIO(other)) as those:
        return these.files == those.files and all(
            these[name].tobytes() == those[name].tobytes() for name in these.files
        )


def test_no_command_is_forgotten():
    assert {command.split()[0] for command in FORMATS} | OTHERS == set(COMMANDS)


@every_corpus
def test_quiet_is_quiet(folder, command, form):
    """Where there is a report and a warning to keep quiet about."""
    loud = folder.run(*folder.arguments(command, form))
    assert b"4 sequences" in loud.stderr
    assert b"warning: 1 empty sequence" in loud.stderr
    quiet = folder.run(*folder.arguments(command, form), "-q")
    assert (quiet.returncode, quiet.stderr) == (0, b"")
    assert same(form, quiet.stdout, loud.stdout)


class TestStandardInput:
    @every_reader
    def test_is_the_same_as_the_file(self, folder, command, form):
        """Which has the name that standard input is called by."""
        name = folder.input_of(command)
        content = (folder.path / name).read_bytes()
        (folder.path / "standard input").write_bytes(content)
        read = folder.run(*folder.arguments(command, form, "standard input"))
        piped = folder.run(*folder.arguments(command, form, "-"), input=content)
        assert (read.returncode, piped.returncode) == (0, 0), read.stderr + piped.stderr
        assert same(form, piped.stdout, read.stdout)
        assert piped.stderr == read.stderr


@pytest.fixture(scope="module")
def several_pipes(tmp_path_factory):
    """Sentences of which every format tells more than a small pipe holds."""
    path = tmp_path_factory.mktemp("pipes") / "text"
    path.write_bytes(KERAS.sequences.read_bytes() * 12)
    return path


class TestStandardOutput:
    @every_output
    def test_is_what_a_file_would_hold(self, folder, command, form):
        before = folder.files()
        arguments = folder.arguments(command, form)
        printed = folder.run(*arguments)
        assert printed.returncode == 0, printed.stderr
        dash = folder.run(*arguments, "-o", "-")
        assert same(form, dash.stdout, printed.stdout)
        assert folder.files() == before
        silent = folder.run(*arguments, "-o", "written")
        assert (silent.returncode, silent.stdout) == (0, b"")
        assert same(form, (folder.path / "written").read_bytes(), printed.stdout)
        assert folder.files().keys() - before.keys() == {"written"}

    @every_output
    def test_that_is_closed_ends_the_run_quietly(self, folder, command, form):
        """It says no more than its warnings."""
        with nobody_reads() as pipe:
            done = subprocess.run(
                [*forked_lrp(), *folder.arguments(command, form)],
                cwd=folder.path,
                stdout=pipe,
                stderr=subprocess.PIPE,
                timeout=180,
            )
        assert done.returncode == 0
        assert all(line.startswith(b"lrp: warning: ") for line in done.stderr.splitlines())

    @unbuffered
    @pytest.mark.parametrize(
        ("command", "form"), [each for each in CORPUS if each != ("predict", "terminal")]
    )
    def test_that_is_closed_after_the_first_bytes_does_too(
        self, several_pipes, command, form, environment
    ):
        """As in `lrp explain ... | head -1`, where there is more than the pipe holds."""
        lrp = LRP if environment else forked_lrp()
        with small_pipe() as (reading, writing):
            process = subprocess.Popen(
                [*lrp, command, str(KERAS.model), str(several_pipes), "--format", form],
                stdout=writing,
                stderr=subprocess.PIPE,
                env={**os.environ, **environment},
            )
            writing.close()
            assert reading.read(1)
        with process:
            assert process.stderr.read() == b""
        assert process.returncode == 0


@contextmanager
def small_pipe():
    """A pipe's ends, which holds as little as it may: Parquet tells much in some ten kilobytes."""
    ends = os.pipe()
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, 4096)
    with open(ends[0], "rb", buffering=0) as reading, open(ends[1], "wb", buffering=0) as writing:
        yield reading, writing


@contextmanager
def nobody_reads():
    """The end of a pipe to write to, of which the other one is closed."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        yield writing
    finally:
        os.close(writing)


class TestIdsAndLabels:
    LINES = (
        '{"id": "r1", "text": "the film", "label": 2}\n'
        '{"id": 7, "tokens": ["bad"], "label": "poor"}\n'
        '{"text": "not bad", "label": "fair"}\n'
    )

    @pytest.fixture
    def output(self, folder):
        def run(command, form):
            (folder.path / "in.jsonl").write_text(self.LINES)
            arguments = folder.arguments(command, form, "in.jsonl")
            done = folder.call(*arguments, "--labelled")
            assert done.exit_code == 0, done.stderr
            return done.stdout_bytes

        return run

    @pytest.mark.parametrize("command", ["explain", "predict"])
    def test_are_kept_in_json_lines(self, output, command):
        found = json_lines(output(command, "jsonl").decode())
        assert [(line["id"], line.get("label")) for line in found] == [
            ("r1", "good"),
            (7, "poor"),
            (None, "fair"),
        ]

    def test_are_kept_in_arrays(self, output):
        with np.load(io.BytesIO(output("explain", "npz"))) as arrays:
            assert arrays["id_bytes"].tobytes() == b"r17"
            assert arrays["id_offsets"].tolist() == [0, 2, 3, 3]
            assert arrays["label"].tolist() == [2, 0, 1]

    def test_are_kept_in_a_page(self, output):
        page = Page(output("explain", "html").decode())
        found = [(each.get("id"), each.get("label")) for each in page.explanations]
        assert found == [("r1", 2), (7, 0), (None, 1)]

    @pytest.mark.parametrize("form", ["parquet-nested"])
    def test_are_kept_in_parquet(self, output, framework, form):
        read = framework("pyarrow.parquet").read_table(io.BytesIO(output("explain", form)))
        found = [(row["id"], row["label"]) for row in read.to_pylist()]
        assert found == [("r1", "good"), ("7", "poor"), (None, "fair")]

    def test_labels_are_kept_in_tables(self, output):
        rows = csv.DictReader(io.StringIO(output("predict", "csv").decode()))
        assert [row["label"] for row in rows] == ["good", "poor", "fair"]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
class TestNumbers:
    """They are those of the arrays in .npz, bit by bit."""

    @pytest.fixture
    def arrays(self, folder, dtype):
        done = folder.call(*folder.arguments("explain", "npz"), "--by", "token", "--dtype", dtype)
        with np.load(io.BytesIO(done.stdout_bytes)) as found:
            return dict(found)

    @pytest.fixture
    def output(self, folder, dtype):
        def run(command, form):
            done = folder.call(*folder.arguments(command, form), "--dtype", dtype)
            assert done.exit_code == 0, done.stderr
            return done.stdout_bytes

        return run

    def assert_exact(self, found, exact, dtype):
        assert exact.dtype == dtype
        assert exact.size
        assert np.array(found, dtype).tobytes() == exact.tobytes()
        # No digits are written that the precision does not hold.
        assert all(len(str(each)) <= {"float32": 15, "float64": 24}[dtype] for each in found)

    @pytest.mark.parametrize(("form", "delimiter"), [("tsv", "\t"), ("csv", ",")])
    def test_in_tables_read_back_exactly(self, output, arrays, dtype, form, delimiter):
        rows = [*csv.DictReader(io.StringIO(output("explain", form).decode()), delimiter=delimiter)]
        self.assert_exact([row["relevance"] for row in rows], arrays["relevance"], dtype)
        explained = np.repeat(np.arange(len(arrays["target"])), np.diff(arrays["offsets"]))
        scores = arrays["scores"][explained, arrays["target"][explained]]
        self.assert_exact([row["score"] for row in rows], scores, dtype)

    def test_in_json_lines_read_back_exactly(self, output, arrays, dtype):
        lines = json_lines(output("explain", "jsonl").decode())
        amounts = [amount for line in lines for amount in line["relevance"]]
        self.assert_exact(amounts, arrays["relevance"], dtype)
        scores = [score for line in lines for score in line["scores"]]
        self.assert_exact(scores, arrays["scores"].ravel(), dtype)

    @pytest.mark.parametrize(("form", "delimiter"), [("tsv", "\t"), ("csv", ","), ("jsonl", None)])
    def test_of_predictions_read_back_exactly(self, output, arrays, dtype, form, delimiter):
        text = output("predict", form).decode()
        if delimiter:
            rows = csv.DictReader(io.StringIO(text), delimiter=delimiter)
            names = [f"score:{label}" for label in ("poor", "fair", "good")]
            found = [row[name] for row in rows for name in names]
        else:
            found = [score for line in json_lines(text) for score in line["scores"]]
        self.assert_exact(found, arrays["scores"].ravel(), dtype)

    @pytest.mark.parametrize("form", ["parquet"])
    def test_in_parquet_read_back_exactly(self, output, arrays, framework, dtype, form):
        data = io.BytesIO(output("explain", form))
        column = framework("pyarrow.parquet").read_table(data).column("relevance")
        self.assert_exact(column.to_numpy(), arrays["relevance"], dtype)


class TestAnError:
    """Behind what was right, so that there is something to write already."""

    @every_reader
    def test_leaves_no_file_half_written(self, folder, command, form):
        bad = "bad results" if folder.input_of(command) == "results" else "bad"
        (folder.path / "old").write_text("what was there before\n")
        before = folder.files()
        for output in ("new", "old"):
            # `lrp match` reads no more than the first sequences, and its scores must be as many.
            more = ("--report", "report.json") if command in ("explain", "predict") else ()
            done = folder.call(*folder.arguments(command, form, bad), "-o", output, *more)
            assert done.exit_code == 3
            assert f"{bad}: line" in done.stderr
            assert done.stderr.count("\n") == 1
            assert folder.files() == before

    @pytest.mark.parametrize("form", FORMATS["inspect"])
    def test_of_a_model_leaves_none(self, folder, form):
        (folder.path / "model.npz").write_bytes((folder.path / "other.npz").read_bytes()[:-99])
        before = folder.files()
        for arguments in (
            ("inspect", "model.npz", "--format", form, "-o", "new", "--write-mapping", "new.yaml"),
            ("convert", "model.npz", "new.npz"),
        ):
            assert folder.call(*arguments).exit_code == 3
            assert folder.files() == before


# The files that a run reads, of which its output may be none.
OF_A_MODEL = ("model.npz", "model.yaml", "vocab.txt")
READ = {
    "explain": (*OF_A_MODEL, "text"),
    "predict": (*OF_A_MODEL, "text"),
    "evaluate": (*OF_A_MODEL, "text"),
    "compare": (*OF_A_MODEL, "other.npz", "other.yaml", "text"),
    "compare results": ("results",),
    "summarize": ("results",),
    "check": (*OF_A_MODEL, "text"),
    "match": (*OF_A_MODEL, "text", "scores.jsonl"),
    "inspect": OF_A_MODEL,
}
LINKS = {
    "by a link": lambda name, link: link.symlink_to(name),
    "by a hard link": lambda name, link: link.hardlink_to(link.with_name(name)),
}


@pytest.mark.parametrize("linked", ["itself", *LINKS])
@pytest.mark.parametrize(
    ("command", "name"), [(command, name) for command, names in READ.items() for name in names]
)
def test_the_output_is_no_file_that_is_read(folder, command, name, linked):
    output = "link" if linked in LINKS else name
    if linked in LINKS:
        LINKS[linked](name, folder.path / output)
    before = folder.files()
    done = folder.call(*folder.arguments(command, FORMATS[command][0]), "-o", output)
    assert done.exit_code == 2
    assert "is the same file as" in done.stderr
    assert done.stdout == ""
    assert folder.files() == before


@pytest.mark.parametrize("name", READ["match"])
def test_nor_is_a_mapping_that_is_written(folder, name):
    before = folder.files()
    for command in ("inspect", "match"):
        if name in READ[command]:
            arguments = folder.arguments(command, FORMATS[command][0])
            done = folder.call(*arguments, "--write-mapping", name)
            assert done.exit_code == 2
            assert "--write-mapping is the same file as" in done.stderr
    assert folder.files() == before


def test_nor_is_it_what_standard_input_comes_from(folder):
    """A file that the shell opened, whose name nobody says."""
    before = folder.files()
    with (folder.path / "text").open("rb") as text:
        arguments = ("explain", "model.npz", "-", "--format", "tsv", "-o", "text")
        done = folder.run(*arguments, stdin=text)
    assert (done.returncode, done.stdout) == (2, b"")
    assert folder.files() == before


@pytest.mark.parametrize(
    "options",
    [
        ("--baseline", "mean:beside.tsv", "--method", "occlusion"),
        ("--baseline", "a=1;b=beside.tsv", "--method", "occlusion"),
        ("--method", "occlusion:baseline=file:beside.tsv"),
        ("--set", "labels=beside.tsv"),
        ("--set", "scaling.file=beside.tsv"),
        ("--label", "beside.tsv"),
    ],
    ids=" ".join,
)
def test_nor_is_it_one_that_lies_beside(folder, options):
    (folder.path / "beside.tsv").write_text("kept\n")
    before = folder.files()
    done = folder.call(*folder.arguments("explain", "tsv"), *options, "-o", "beside.tsv")
    assert done.exit_code == 2
    assert "is the same file as" in done.stderr
    assert folder.files() == before


def test_what_is_no_name_of_a_file_is_none(folder):
    labels = f"labels=[{'x' * 300}, y]"
    done = folder.call(*folder.arguments("explain", "tsv"), "--set", labels, "-o", "out.tsv")
    assert "Traceback" not in done.stderr
    assert done.exit_code in (0, 3)


@pytest.mark.parametrize("option", ["--report", "--write-mapping"])
def test_nor_is_what_is_written_beside_it(folder, option):
    before = folder.files()
    command = "explain" if option == "--report" else "inspect"
    name = "text" if option == "--report" else "model.npz"
    done = folder.call(*folder.arguments(command, FORMATS[command][0]), option, name)
    assert done.exit_code == 2
    assert "is the same file as" in done.stderr
    twice = folder.call(*folder.arguments(command, FORMATS[command][0]), "-o", "new", option, "new")
    assert twice.exit_code == 2
    assert "is the same file as" in twice.stderr
    assert folder.files() == before


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return Corpus(tmp_path_factory.mktemp("corpus"), shorter=16)


EVERY_METHOD = ("--method", ",".join(METHODS), "--steps", "2", "--top", "3")
# Of each kind of run its command, its sample, its input and its options.
RUNS = {
    **{
        f"explain {form}": ("explain", KERAS, "text", "--by", "token", "--format", form)
        for form in FORMATS["explain"]
    },
    **{
        f"predict {form}": ("predict", KERAS, "labelled", "--labelled", "--format", form)
        for form in FORMATS["predict"]
    },
    "float32": ("explain", KERAS, "text", "--dtype", "float32", "--format", "tsv"),
    "every dimension": ("explain", KERAS, "few", "--by", "dimension", "--format", "tsv"),
    "every dimension as JSON": ("explain", KERAS, "few", "--by", "dimension", "--format", "jsonl"),
    "every dimension as npz": ("explain", KERAS, "few", "--format", "npz"),
    "every target": (
        *("explain", KERAS, "labelled", "--labelled", "--target", "all"),
        *("--format", "tsv"),
    ),
    "every target as a page": (
        *("explain", KERAS, "labelled", "--labelled", "--target", "all"),
        *("--format", "html"),
    ),
    "every method": ("explain", KERAS, "fewest", *EVERY_METHOD, "--format", "tsv"),
    "JSON lines": ("explain", KERAS, "json_lines", "--format", "jsonl"),
    "a page of a series": ("explain", WEATHER, "series_csv", "--format", "html"),
    "a series as .csv": ("explain", WEATHER, "series_csv", "--format", "tsv"),
    "a series as .npz": ("explain", WEATHER, "series_npz", "--format", "jsonl"),
    "a series as npz": ("explain", WEATHER, "series_csv", "--format", "npz"),
    "steps of a series": ("explain", WEATHER, "series_csv", "--by", "step", "--format", "tsv"),
}


def every_run(test):
    """A test of each, with its format, which may need what is not installed."""
    cases = [pytest.param(name, run[-1], id=name) for name, run in RUNS.items()]
    return pytest.mark.parametrize(("name", "form"), cases)(test)


@every_run
def test_output_and_report_are_the_same_for_any_number_of_jobs(corpus, tmp_path, name, form):
    command, sample, source, *options = RUNS[name]
    found = set()
    for jobs in (1, 3):
        output, report = tmp_path / f"{jobs}.out", tmp_path / f"{jobs}.json"
        result = run_lrp(
            *(command, sample.model, getattr(corpus, source), *options),
            *("-o", output, "--report", report, "--jobs", jobs),
            block_steps=corpus.block_steps,
        )
        assert (result.returncode, result.stdout) == (0, b"")
        found.add((output.read_bytes(), report.read_bytes(), result.stderr))
    [(written, reported, _)] = found
    assert written
    assert json.loads(reported)["sequences"]


@every_run
def test_these_inputs_are_of_several_blocks(monkeypatch, corpus, name, form):
    """Else there would be but one process."""
    monkeypatch.setattr("lstm_lrp_cli.running.blocks.BLOCK_STEPS", corpus.block_steps)
    _, sample, source, *options = RUNS[name]
    model = load_model(sample.model, None, np.dtype("float64")).model
    detail = "feature" if model.only_input.embedding is None else "token"
    if "--by" in options:
        detail = options[options.index("--by") + 1]
    elif form == "npz" and detail == "token":
        detail = "dimension"
    names = options[options.index("--method") + 1] if "--method" in options else "lrp-all"
    target = "all" if "all" in options else "predicted"
    rendering = Rendering(Explainer(model, names, target=target, by=detail), "tsv")
    where = Source(str(getattr(corpus, source)), labelled="--labelled" in options)
    assert len(list(read_blocks(where, model, rendering.block_steps))) >= 3
