"""What pandas, polars and DuckDB read of an output is what was explained, bit for bit.

The commands and programs of docs/output.md below `<!-- run: PACKAGES -->` are run as they stand.
"""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from models import KERAS, WEATHER
from shell import run_block

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^<!-- run: ([^\n]+) -->\n```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LABELLED = KERAS.sequences.with_name("labelled.txt")
RUNS = {
    "tokens": (KERAS.model, LABELLED, "--labelled"),
    "every dimension": (KERAS.model, KERAS.sequences, "--by", "dimension"),
    "several methods": (KERAS.model, KERAS.sequences, "--method", "lrp-all,gradient"),
    "a series": (WEATHER.model, WEATHER.sequences),
}
READERS = ("pandas", "polars", "duckdb")


@pytest.fixture
def arrays(run, tmp_path):
    """Run `lrp explain` once to a table and once to NPZ, which gives the numbers themselves."""

    def explained(name, dtype, *forms):
        files = {}
        for form in (*forms, "npz"):
            files[form] = tmp_path / f"out.{form}"
            by = () if "--by" in RUNS[name] or name == "a series" else ("--by", "token")
            arguments = (*RUNS[name], *by, "--dtype", dtype, "-q", "--format", form)
            assert run("explain", *arguments, "-o", files[form]).exit_code == 0
        with np.load(files.pop("npz")) as file:
            return files, dict(file)

    return explained


def columns_of(reader, framework, path, names):
    """Columns of a file as NumPy arrays."""
    package = framework(reader)
    kind = path.suffix.removeprefix(".")
    if reader == "pandas":
        framework("pyarrow")
        if kind == "tsv":
            # The other engine's numbers are off by a last digit in some versions.
            # Nothing but the empty cell of a masked step is NaN: a token may be called so.
            kept = {"keep_default_na": False, "na_values": {"relevance": [""]}}
            read = package.read_csv(path, sep="\t", engine="python", **kept)
        else:
            read = package.read_parquet(path)
        return {name: read[name].to_numpy() for name in names}
    if reader == "polars":
        if kind == "tsv":
            read = package.read_csv(path, separator="\t", infer_schema_length=None)
        else:
            read = package.read_parquet(path)
        return {name: read[name].to_numpy() for name in names}
    source = f"read_csv('{path}', delim='\t', header=true)" if kind == "tsv" else f"'{path}'"
    read = package.sql(f"SELECT {', '.join(names)} FROM {source}").fetchnumpy()
    return {name: np.asarray(read[name]) for name in names}


@pytest.mark.parametrize("form", ["parquet", "tsv"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("reader", READERS)
def test_rows_have_the_same_numbers(framework, arrays, reader, name, dtype, form):
    framework("pyarrow")
    files, wanted = arrays(name, dtype, form)
    read = columns_of(
        reader, framework, files[form], ["sequence", "position", "relevance", "score"]
    )
    relevance = wanted["relevance"]
    width = relevance.shape[1] if relevance.ndim == 2 else 1
    if form == "parquet":
        assert read["relevance"].dtype == read["score"].dtype == dtype
    # Text is the shortest that reads back in the precision of the run.
    assert read["relevance"].astype(dtype).tobytes() == relevance.tobytes()
    rows = np.diff(wanted["offsets"]) * width
    assert read["sequence"].tolist() == np.repeat(wanted["sequence"], rows).tolist()
    # A single score is that of class 1, which is the target here.
    places = np.minimum(wanted["target"], wanted["scores"].shape[1] - 1)
    scores = np.take_along_axis(wanted["scores"], places[:, np.newaxis], axis=1)
    assert read["score"].astype(dtype).tobytes() == np.repeat(scores, rows).tobytes()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("reader", READERS)
def test_nested_rows_have_the_same_numbers(framework, arrays, reader, name, dtype):
    framework("pyarrow")
    files, wanted = arrays(name, dtype, "parquet-nested")
    path = files["parquet-nested"].rename(files["parquet-nested"].with_name("nested.parquet"))
    package = framework(reader)
    if reader == "pandas":
        rows = package.read_parquet(path).to_dict("records")
    elif reader == "polars":
        rows = package.read_parquet(path).to_dicts()
    else:
        found = package.sql(f"SELECT * FROM '{path}'")
        rows = [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]
    assert len(rows) == len(wanted["sequence"])
    for k, row in enumerate(rows):
        relevance = np.array([np.array(each, dtype=dtype) for each in row["relevance"]])
        here = slice(*wanted["offsets"][k : k + 2])
        assert relevance.astype(dtype).tobytes() == wanted["relevance"][here].tobytes()
        assert np.array(row["scores"], dtype=dtype).tobytes() == wanted["scores"][k].tobytes()
        assert row["target"] == str(wanted["targets"][wanted["target"][k]])
        for amount, there in zip(wanted["ledger_names"], wanted["ledger"][k], strict=True):
            given = None if row["ledger"] is None else row["ledger"][str(amount)]
            assert np.isnan(there) if given is None else given == there


@pytest.mark.parametrize("reader", READERS)
def test_json_lines_have_the_same_numbers(framework, arrays, reader):
    files, wanted = arrays("tokens", "float64", "jsonl")
    package = framework(reader)
    path = files["jsonl"]
    if reader == "pandas":
        # Its own reader of numbers is off by a last digit where it is not told otherwise.
        column = package.read_json(path, lines=True, precise_float=True)["relevance"]
    elif reader == "polars":
        column = package.read_ndjson(path)["relevance"]
    else:
        column = [row for (row,) in package.sql(f"SELECT relevance FROM '{path}'").fetchall()]
    read = np.concatenate([np.array(each) for each in column])
    assert read.tobytes() == wanted["relevance"].tobytes()


def test_pandas_takes_a_masked_step_for_nan_and_leaves_tokens(framework, run, small, tmp_path):
    small.mapping["padding"] = {"masked": True, "value": 0}
    small.vocabulary = "NA\nfilm\nis\nnull\nbad\n"
    path = tmp_path / "out.tsv"
    text = small.write("in.txt", "NA null bad\n")
    assert run("explain", small.save(), text, "-q", "-o", path).exit_code == 0
    read = columns_of("pandas", framework, path, ["token", "relevance"])
    assert read["token"].tolist() == ["NA", "null", "bad"]
    assert np.isnan(read["relevance"]).tolist() == [True, False, False]


def test_the_programs_of_the_page_run(framework, tmp_path):
    (tmp_path / "sample_models").symlink_to(ROOT / "sample_models")
    blocks = BLOCK.findall((ROOT / "docs" / "output.md").read_text("utf-8"))
    assert {language for _, language, _ in blocks} == {"sh", "python"}
    for needed, language, block in blocks:
        for package in needed.split(", "):
            framework(package)
        if language == "sh":
            assert set(run_block(block, tmp_path)) == {"0"}
        else:
            done = subprocess.run(
                [sys.executable, "-c", block], cwd=tmp_path, capture_output=True, timeout=120
            )
            assert done.returncode == 0, done.stderr.decode()
            assert done.stdout.strip()
