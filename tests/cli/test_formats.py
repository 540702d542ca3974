"""`lrp explain --format`: files of bytes, and pages for people, as a shell makes them.

What is in them, tests/outputs and tests/frameworks/test_readers.py say.
"""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from models import KERAS, WEATHER, json_lines, table
from processes import LRP, run_lrp, wait_until

BINARY = ["parquet", "parquet-nested", "npz"]


@pytest.fixture
def needs(framework):
    """Skip where what a format needs is not installed."""
    return lambda form: form.startswith("parquet") and framework("pyarrow")


@pytest.fixture
def pyarrow(framework):
    return framework("pyarrow")


@pytest.fixture
def read(framework):
    """The rows of a Parquet file."""

    def rows(path):
        return framework("pyarrow.parquet").read_table(path).to_pylist()

    return rows


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Sentences of several blocks."""
    path = tmp_path_factory.mktemp("corpus") / "long.txt"
    path.write_bytes((KERAS.sequences.read_bytes() + b"\n") * 30)
    return path


@pytest.mark.usefixtures("pyarrow")
class TestParquet:
    def test_has_the_rows_of_the_table(self, run, read, tmp_path):
        arguments = ("explain", KERAS.model, KERAS.sequences, "-q")
        assert run(*arguments, "-o", tmp_path / "out.parquet").exit_code == 0
        wanted = table(run(*arguments).stdout)
        rows = read(tmp_path / "out.parquet")
        for row, fields in zip(rows, wanted, strict=True):
            assert list(row) == list(fields)
            assert list(row.values()) == [type(value)(fields[name]) for name, value in row.items()]

    def test_nested_has_the_objects_of_json_lines(self, run, read, tmp_path):
        labelled = KERAS.sequences.with_name("labelled.txt")
        arguments = ("explain", KERAS.model, labelled, "--labelled", "-q", "--format")
        assert run(*arguments, "parquet-nested", "-o", tmp_path / "out.parquet").exit_code == 0
        lines = json_lines(run(*arguments, "jsonl").stdout)
        assert any("unknown" in line for line in lines)
        assert read(tmp_path / "out.parquet") == [{"unknown": [], **line} for line in lines]

    def test_of_float32_holds_float32(self, run, framework, tmp_path):
        path = tmp_path / "out.parquet"
        run("explain", KERAS.model, KERAS.sequences, "-q", "--dtype", "float32", "-o", path)
        schema = framework("pyarrow.parquet").read_schema(path)
        assert str(schema.field("relevance").type) == str(schema.field("score").type) == "float"

    def test_tells_how_it_was_made(self, run, framework, tmp_path):
        path = tmp_path / "out.parquet"
        run("explain", KERAS.model, KERAS.sequences, "-q", "--eps", "0.01", "-o", path)
        about = json.loads(framework("pyarrow.parquet").read_schema(path).metadata[b"lrp"])
        assert about["model"] == str(KERAS.model)
        assert about["methods"] == [{"method": "lrp-all", "eps": 0.01, "bias_factor": 0.0}]
        assert about["targets"] == ["negative", "positive"]
        assert (about["dtype"], about["by"]) == ("float64", "token")

    @pytest.mark.parametrize("form", ["parquet", "parquet-nested"])
    def test_of_sequences_without_tokens_is_whole(self, run, read, tmp_path, form):
        (tmp_path / "in.txt").write_text("\n\n")
        path = tmp_path / "out.parquet"
        result = run(
            *("explain", KERAS.model, tmp_path / "in.txt", "-q"), "--format", form, "-o", path
        )
        assert result.exit_code == 0
        assert [row["tokens"] for row in read(path)] == ([] if form == "parquet" else [[], []])

    @pytest.mark.parametrize("form", ["parquet", "parquet-nested"])
    def test_without_the_package_the_command_to_install_it_is_named(
        self, run, monkeypatch, tmp_path, form
    ):
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        monkeypatch.delitem(sys.modules, "lstm_lrp_cli.outputs.parquet", raising=False)
        result = run(
            *("explain", KERAS.model, KERAS.sequences), "--format", form, "-o", tmp_path / "out"
        )
        assert result.exit_code == 3
        assert result.stderr.count("\n") == 1
        assert "pip install 'lstm-lrp-cli[parquet]'" in result.stderr
        assert not list(tmp_path.iterdir())


class TestNpz:
    @pytest.mark.parametrize(("sample", "width"), [(KERAS, 48), (WEATHER, 4)])
    def test_tells_every_dimension_or_feature(self, run, tmp_path, sample, width):
        path = tmp_path / "out.npz"
        assert run("explain", sample.model, sample.sequences, "-q", "-o", path).exit_code == 0
        with np.load(path, allow_pickle=False) as arrays:
            assert arrays["relevance"].shape == (arrays["offsets"][-1], width)
            totals = np.add.reduceat(arrays["relevance"].sum(axis=1), arrays["offsets"][:-1])
            shares = dict(zip(arrays["ledger_names"], arrays["ledger"].T, strict=True))
            np.testing.assert_allclose(totals, shares["tokens"], rtol=0, atol=1e-12)

    def test_tells_less_where_that_is_asked_for(self, run, tmp_path):
        path = tmp_path / "out.npz"
        run("explain", KERAS.model, KERAS.sequences, "-q", "--by", "token", "-o", path)
        with np.load(path, allow_pickle=False) as arrays:
            assert arrays["relevance"].shape == (arrays["offsets"][-1],)


class TestMarkdown:
    def test_has_a_section_a_sequence(self, run, tmp_path):
        path = tmp_path / "out.md"
        assert run("explain", KERAS.model, KERAS.sequences, "-q", "-o", path).exit_code == 0
        page = path.read_text("utf-8")
        assert page.startswith("# Relevance\n")
        assert page.count("\n## Sequence ") == page.count("\nscore ") == 100

    @pytest.mark.parametrize(
        ("by", "line"), [("feature", "precipitation"), ("step", "all features")]
    )
    def test_of_a_series_shows_its_features_or_whole_steps(self, run, tmp_path, by, line):
        path = tmp_path / "out.md"
        run("explain", WEATHER.model, WEATHER.sequences, "-q", "--by", by, "-o", path)
        text = path.read_text("utf-8")
        assert text.count(f"\n    {line} ") == 40
        assert ("| step " in text) == (by == "step")


@pytest.mark.parametrize("form", BINARY)
class TestBytes:
    def test_may_go_to_a_pipe_unbuffered(self, needs, tmp_path, form):
        needs(form)
        arguments = ("explain", KERAS.model, KERAS.sequences, "-q", "--format", form)
        unbuffered = {**os.environ, "PYTHONUNBUFFERED": "1"}
        piped = subprocess.run(
            [*LRP, *map(str, arguments)], capture_output=True, env=unbuffered, timeout=60
        )
        assert (piped.returncode, piped.stderr) == (0, b"")
        run_lrp(*arguments, "-o", tmp_path / "out")
        whole = (tmp_path / "out").read_bytes()
        if form == "npz":  # a zip that is written to a pipe has sizes behind its members
            (tmp_path / "piped.npz").write_bytes(piped.stdout)
            with np.load(tmp_path / "out") as one, np.load(tmp_path / "piped.npz") as other:
                assert one.files == other.files
                for name in one.files:
                    np.testing.assert_array_equal(one[name], other[name])
        else:
            assert piped.stdout == whole

    def test_are_not_for_a_terminal(self, form):
        import pty

        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [*LRP, "explain", str(KERAS.model), str(KERAS.sequences), "--format", form],
            stdout=theirs,
            stderr=subprocess.PIPE,
        )
        _, error = process.communicate(timeout=180)
        os.close(theirs)
        os.close(ours)
        assert process.returncode == 2
        assert b"is not for a terminal" in error

    @pytest.mark.parametrize("ending", ["gz", "xz", "bz2"])
    def test_are_not_compressed_once_more(self, tmp_path, form, ending):
        path = tmp_path / f"out.{ending}"
        result = run_lrp("explain", KERAS.model, KERAS.sequences, "--format", form, "-o", path)
        assert result.returncode == 2
        assert f"leave .{ending} out".encode() in result.stderr
        assert not list(tmp_path.iterdir())

    def test_of_an_input_that_fails_midway_are_nothing(self, needs, corpus, tmp_path, form):
        needs(form)
        bad = tmp_path / "bad.txt"
        bad.write_bytes(corpus.read_bytes() + b"\xff\n")
        piped = run_lrp("explain", KERAS.model, bad, "-q", "--format", form, "--by", "token")
        assert piped.returncode == 3
        assert piped.stdout in (b"", b"PAR1")  # which is how a Parquet file begins

    def test_that_are_interrupted_are_no_file(self, needs, tmp_path, form):
        needs(form)
        process = subprocess.Popen(
            [*LRP, "explain", str(KERAS.model), "-", "--format", form, "-o", tmp_path / "out"],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        process.stdin.write(KERAS.sequences.read_bytes() * 10)
        process.stdin.flush()
        wait_until(lambda: list(tmp_path.iterdir()))
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=180)
        assert (process.returncode, error) == (130, b"")
        assert not list(tmp_path.iterdir())

    def test_are_no_format_of_predictions(self, run, form):
        result = run("predict", KERAS.model, KERAS.sequences, "--format", form)
        assert result.exit_code == 2
        assert f"'{form}' is not one of" in result.stderr


def test_a_parquet_file_is_no_prediction(run, tmp_path):
    result = run("predict", KERAS.model, KERAS.sequences, "-o", tmp_path / "out.parquet")
    assert result.exit_code == 2
    assert ".csv, .jsonl or .ndjson" in result.stderr
