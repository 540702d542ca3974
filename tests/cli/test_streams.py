"""Pipelines: processes, as a shell runs them."""

import bz2
import gzip
import json
import lzma
import os
import signal
import subprocess
import sys

import pytest
from forking import forked_lrp
from models import KERAS, json_lines
from processes import LRP
from processes import run_lrp as lrp


def test_an_interrupt_leaves_no_half_file(tmp_path):
    output = tmp_path / "out.tsv"
    process = subprocess.Popen(
        [*LRP, "explain", str(KERAS.model), "-", "-o", str(output)],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write(KERAS.sequences.read_bytes())
    process.stdin.flush()
    while not list(tmp_path.iterdir()):  # the partial file appears before anything is read
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=180) == 130
    assert b"Traceback" not in process.stderr.read()
    process.stdin.close()
    process.stderr.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("ending", "form"),
    [("csv", "csv"), ("JSONL", "jsonl"), ("tsv", "tsv"), ("txt", "tsv"), ("md", "markdown")],
)
def test_the_ending_of_the_output_file_decides_its_format(tmp_path, ending, form):
    path = tmp_path / f"out.{ending}"
    lrp("explain", KERAS.model, KERAS.sequences, "-o", path)
    asked = lrp("explain", KERAS.model, KERAS.sequences, "--format", form)
    assert path.read_bytes() == asked.stdout


def test_output_to_a_device_is_written_directly():
    assert lrp("explain", KERAS.model, KERAS.sequences, "-o", "/dev/null").returncode == 0
    assert os.path.exists("/dev/null")


@pytest.mark.parametrize("compress", ["gzip", "xz", "bzip2"])
@pytest.mark.parametrize("piped", [False, True])
def test_compressed_input_is_read_as_it_is(tmp_path, compress, piped):
    module, ending = {"gzip": (gzip, "gz"), "xz": (lzma, "xz"), "bzip2": (bz2, "bz2")}[compress]
    path = tmp_path / f"sentences.txt.{ending}"
    path.write_bytes(module.compress(KERAS.sequences.read_bytes()))
    plain = lrp("explain", KERAS.model, KERAS.sequences, "-q")
    if piped:
        found = lrp("explain", KERAS.model, "-", "-q", input=path.read_bytes())
    else:
        found = lrp("explain", KERAS.model, path, "-q")
    assert found.stdout == plain.stdout
    assert found.returncode == 0


def test_json_lines_on_standard_input_are_recognised():
    lines = "".join(
        json.dumps({"id": number, "text": text}) + "\n"
        for number, text in enumerate(KERAS.sequences.read_text("utf-8").splitlines())
    )
    plain = lrp("explain", KERAS.model, KERAS.sequences, "-q")
    assert lrp("explain", KERAS.model, "-", "-q", input=lines.encode()).stdout == plain.stdout


def test_nothing_but_data_goes_to_standard_output():
    result = lrp("explain", KERAS.model, KERAS.sequences, "--format", "jsonl")
    lines = result.stdout.decode().splitlines()
    assert len(lines) == 100
    assert all(json.loads(line)["sequence"] == k for k, line in enumerate(lines))


def test_a_corpus_longer_than_a_window_keeps_its_order(run, tmp_path, monkeypatch):
    """Batches are sorted by length, output is not."""
    monkeypatch.setattr("lstm_lrp_cli.explaining.windows.BATCH_BYTES", 2**20)
    long = tmp_path / "long.txt"
    long.write_bytes(KERAS.sequences.read_bytes() * 12)
    found = json_lines(run("explain", KERAS.model, long, "--format", "jsonl").stdout)
    assert [line["sequence"] for line in found] == list(range(1200))
    for k in range(100, 1200):
        assert found[k]["tokens"] == found[k % 100]["tokens"]


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(["--version"], 0), (["explain"], 2), (["explode"], 2), (["explain", "none.h5", "-"], 3)],
)
def test_exit_statuses(arguments, status):
    assert lrp(*arguments).returncode == status


def test_version_does_not_import_what_it_does_not_use():
    code = (
        "import sys; from lstm_lrp_cli.cli import main\n"
        "main(['--version'], standalone_mode=False)\n"
        "heavy = {'numpy', 'h5py', 'rich', 'yaml', 'msgspec'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("before", [b"\xef\xbb\xbf", b"\n", b""])
def test_json_lines_on_standard_input_may_begin_with_nothing(before):
    data = before + b'{"text": "a good film"}\n'
    found = lrp("explain", KERAS.model, "-", "-q", "--format", "jsonl", input=data)
    assert json.loads(found.stdout.splitlines()[-1])["tokens"] == ["a", "good", "film"]


def test_data_is_utf_8_whatever_the_locale():
    plain = {
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PATH": os.environ["PATH"],
    }
    data = json.dumps({"tokens": ["naïve", "film"]}).encode()
    command = [*LRP, "explain", str(KERAS.model), "-", "-q"]
    found = subprocess.run(command, input=data, env=plain, capture_output=True, timeout=180)
    assert found.returncode == 0, found.stderr
    assert "naïve" in found.stdout.decode("utf-8")


class TestOutputFile:
    def test_a_link_goes_on_pointing_at_the_file(self, tmp_path):
        (tmp_path / "real.tsv").write_text("old\n")
        (tmp_path / "link.tsv").symlink_to(tmp_path / "real.tsv")
        assert lrp("explain", KERAS.model, KERAS.sequences, "-o", tmp_path / "link.tsv")
        assert (tmp_path / "link.tsv").is_symlink()
        assert (tmp_path / "real.tsv").read_text().startswith("sequence\t")

    def test_dev_stdout_is_written_to_and_stays(self, tmp_path):
        with (tmp_path / "redirected").open("wb") as redirected:
            subprocess.run(
                [*LRP, "explain", str(KERAS.model), str(KERAS.sequences), "-o", "/dev/stdout"],
                stdout=redirected,
                stderr=subprocess.DEVNULL,
                check=True,
            )
        assert os.path.islink("/dev/stdout")
        assert (tmp_path / "redirected").read_text().startswith("sequence\t")

    @pytest.mark.parametrize(("ending", "module"), [("gz", gzip), ("xz", lzma), ("bz2", bz2)])
    def test_is_compressed_by_its_ending(self, tmp_path, ending, module):
        path = tmp_path / f"out.jsonl.{ending}"
        lrp("explain", KERAS.model, KERAS.sequences, "-o", path)
        plain = lrp("explain", KERAS.model, KERAS.sequences, "--format", "jsonl")
        assert module.decompress(path.read_bytes()) == plain.stdout

    @pytest.mark.parametrize("name", ["out.doc", "out.xlsx", "out.tsv.zip"])
    def test_of_an_unknown_ending_is_wrong_usage(self, tmp_path, name):
        result = lrp("explain", KERAS.model, KERAS.sequences, "-o", tmp_path / name)
        assert result.returncode == 2
        assert b"--format" in result.stderr
        assert not list(tmp_path.iterdir())

    def test_of_any_ending_takes_the_format_asked_for(self, tmp_path):
        path = tmp_path / "out.data"
        lrp("explain", KERAS.model, KERAS.sequences, "--format", "csv", "-o", path)
        assert path.read_text().startswith("sequence,position,")

    @pytest.mark.parametrize("form", ["tsv", "npz", "terminal"])
    @pytest.mark.parametrize("unbuffered", ["", "1"], ids=["", "unbuffered"])
    def test_on_a_full_disk_is_an_error(self, form, unbuffered):
        program = LRP if unbuffered else forked_lrp()
        with open("/dev/full", "wb") as full:
            result = subprocess.run(
                [*program, "explain", str(KERAS.model), str(KERAS.sequences), "--format", form],
                env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
                stdout=full,
                stderr=subprocess.PIPE,
                check=False,
            )
        assert result.returncode == 3
        assert result.stderr.count(b"No space left on device") == 1
        assert b"Traceback" not in result.stderr
        assert b"internal error" not in result.stderr
