"""Files of sequences, of expected scores, and of results."""

import io
from pathlib import Path

import numpy as np
from click.testing import CliRunner

from fuzz.mutation.archives import directory_changed, member_changed, members_changed
from fuzz.mutation.arrays import npy_changed
from fuzz.mutation.documents import json_spoilt, line_changed
from fuzz.mutation.tables import (
    arrow_rewritten,
    footer_changed,
    pages_changed,
    parquet_rewritten,
    stream_changed,
)
from fuzz.mutation.text import cell_changed, line_moved, other_signs, packed
from lstm_lrp_cli.cli import main
from . import GOLDEN, Kind, Seed
from .models import SERIES, TEXT, series_model, small_model

LINES = {cell_changed: 5, line_moved: 2, other_signs: 1, packed: 2}
LABELS = {"labels": ["good", "bad", "neither"]}
JSONL = (
    b'{"tokens":["the","bad"],"id":1,"label":"good"}\n{"text":"film is","id":"x","label":2}\n\n'
    b'{"text":"not bad","label":"bad"}\n'
)
VALUES = (
    b'{"values":[[1,2,3],[0.5,0,-1]],"features":["x","y","z"],"dates":["2012-01-01","2012-01-02"]}\n'
    b'{"values":[[1,2,3]],"id":"s"}\n'
)
WEATHER = (
    b"date,city,x,y,z\n2012-01-01,Rome,1,2,3\n2012-01-02,Rome,1.5,2,3\n2012-01-03,Rome,0,2,3\n"
    b"2012-01-01,Oslo,4,5,6\n2012-01-02,Oslo,4,5,6\n2012-01-03,Oslo,1e-3,5,6\n"
)
TABLE = (
    b'text\tlabel\tid\nthe film is bad\tgood\ta\n"not ""bad"""\tbad\tb\nfilm the\t2\tc\n\tgood\td\n'
)
TSV = ("--format", "tsv")


def npy_of(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npy(folder: Path) -> list[Seed]:
    series, words = series_model(folder), small_model(folder)
    explain = ("explain", "model.npz", "in.npy", *TSV)
    seeds = [
        Seed("in.npy", npy_of(np.ones((2, 3, 3))), explain, series),
        Seed("in.npy", npy_of(np.ones((4, 3), "f4")), explain, series),
        Seed("in.npy", npy_of(np.array([[1, 2, 0], [4, 3, 1]])), explain, words),
        Seed("in.npy", npy_of(np.array([1, 2, 0])), ("predict", "model.npz", "in.npy"), words),
    ]
    files = words | {"in.txt": TEXT}
    labels = ("explain", "model.npz", "in.txt", "--label", "y.npy", *TSV)
    scores = ("check", "model.npz", "in.txt", "--expected", "e.npy")
    seeds.append(Seed("y.npy", npy_of(np.array([0, 1, 2])), labels, files))
    return [*seeds, Seed("e.npy", npy_of(np.zeros((3, 3))), scores, files)]


def npz(folder: Path) -> list[Seed]:
    file = io.BytesIO()
    np.savez_compressed(file, x=np.ones((2, 3, 3)), y=np.array([0, 1]))
    each = io.BytesIO()
    np.savez(each, s1=np.ones((2, 3)), s2=np.zeros((4, 3)), s10=np.ones((1, 3)))
    labelled = ("explain", "model.npz", "in.npz", "--labelled", *TSV)
    series = series_model(folder)
    seeds = [Seed("in.npz", file.getvalue(), labelled, series)]
    return [*seeds, Seed("in.npz", each.getvalue(), ("predict", "model.npz", "in.npz"), series)]


def text(folder: Path) -> list[Seed]:
    files = small_model(folder, **LABELS)
    explain = ("explain", "model.npz", "in.txt", *TSV)
    labelled = b"good\tthe film is bad\nbad\tfilm\n2\tnot bad\n"
    return [
        Seed("in.txt", TEXT, explain, files),
        Seed("in.txt", b"0 1 2\n4 3\n\n1\n", (*explain, "--ids"), files),
        Seed("in.txt", labelled, (*explain, "--labelled", "--target", "gold"), files),
        Seed("in.txt", TEXT, ("explain", "model.npz", "in.txt", "--format", "terminal"), files),
    ]


def jsonl(folder: Path) -> list[Seed]:
    files, series = small_model(folder, **LABELS), series_model(folder)
    explain = ("explain", "model.npz", "in.jsonl")
    return [
        Seed("in.jsonl", JSONL, (*explain, *TSV), files),
        Seed("in.jsonl", JSONL, (*explain, "--labelled", "--format", "jsonl"), files),
        Seed("in.jsonl", VALUES, (*explain, "--format", "csv"), series),
        Seed("in.jsonl", JSONL, (*explain, "--format", "terminal"), files),
    ]


def csv(folder: Path) -> list[Seed]:
    series = series_model(folder)
    named = series_model(folder, features=["z", "x", "y"])
    explain = ("explain", "model.npz", "in.csv", *TSV)
    windows = (*explain, "--window", "2", "--group", "city")
    return [
        Seed("in.csv", SERIES, explain, series),
        Seed("in.csv", WEATHER, windows, named),
        Seed("in.csv", WEATHER, (*windows, "--date", "date"), series),
        Seed(
            "in.csv",
            WEATHER[: WEATHER.index(b"2012-01-01,Oslo")]
            .replace(b",Rome", b"")
            .replace(b",city", b""),
            explain,
            named,
        ),
    ]


def tables(folder: Path) -> list[Seed]:
    files = small_model(folder, **LABELS, tokens={"unknown": "film"})
    as_csv = TABLE.replace(b"\t", b",")
    options = ("--text", "text", "--label", "label", "--id", "id", *TSV)
    expected = ("check", "model.npz", "in.txt", "--expected")
    beside = files | {"in.txt": TEXT}
    rows = b"sequence,good,bad,neither\n0,0.5,1,2\n1,0,1,2\n2,0,0,0\n"
    lines = b'{"scores": [0.1, 2, 3]}\n[1, 2, 3]\n[0, 0, 0]\n'
    return [
        Seed("in.tsv", TABLE, ("explain", "model.npz", "in.tsv", *options), files),
        Seed("in.csv", as_csv, ("explain", "model.npz", "in.csv", *options), files),
        Seed("e.csv", rows, (*expected, "e.csv"), beside),
        Seed("e.jsonl", lines, (*expected, "e.jsonl"), beside),
    ]


def parquet(folder: Path) -> list[Seed]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    files, series = small_model(folder, **LABELS), series_model(folder)
    words = pa.table(
        {"text": ["the film", "bad", ""], "label": ["good", "bad", "bad"], "id": [1, 2, 3]}
    )
    numbers = pa.table(
        {"date": ["2012-01-01", "2012-01-02"], "x": [1.0, 2], "y": [0.0, 1], "z": [3.0, 4]}
    )
    seeds = []
    options = ("--text", "text", "--label", "label", *TSV)
    for table, command, beside in ((words, options, files), (numbers, TSV, series)):
        file = io.BytesIO()
        pq.write_table(table, file)
        seeds.append(
            Seed(
                "in.parquet",
                file.getvalue(),
                ("explain", "model.npz", "in.parquet", *command),
                beside,
            )
        )
    return seeds


def arrow(folder: Path) -> list[Seed]:
    import pyarrow as pa

    files = small_model(folder, **LABELS)
    table = pa.table(
        {"text": ["the film", "bad", ""], "label": ["good", "bad", "bad"], "id": [1, 2, 3]}
    )
    seeds = []
    for way in (pa.ipc.new_file, pa.ipc.new_stream):
        file = io.BytesIO()
        with way(file, table.schema) as writer:
            writer.write_table(table)
        command = ("explain", "model.npz", "in.arrow", "--text", "text", *TSV)
        seeds.append(Seed("in.arrow", file.getvalue(), command, files))
    for spoilt in ("data-00000-of-00002.arrow", "state.json", "dataset_info.json"):
        top = GOLDEN / "datasets" / "5.2.0" / "shards"
        others = {f"shards/{path.name}": path.read_bytes() for path in top.iterdir()}
        data = others.pop(f"shards/{spoilt}")
        command = ("explain", "model.npz", "shards", "--text", "review", *TSV)
        unknown = small_model(folder, **LABELS, tokens={"unknown": "film"})
        seeds.append(Seed(f"shards/{spoilt}", data, command, unknown | others))
    return seeds


def arrow_changed(data, rng):
    """By what it is."""
    if data[:1] == b"{":
        return line_changed(data.replace(b"\n", b""), rng)
    return rng.choice((arrow_rewritten, stream_changed))(data, rng)


def results(folder: Path, ending: str) -> list[Seed]:
    """What `explain` wrote, as summarize and compare read it."""
    files, series = small_model(folder, **LABELS), series_model(folder)
    seeds = []
    for name, content, source, options in (
        ("words", files, JSONL, ("--labelled", "--method", "lrp-all,gradient-x-input")),
        ("series", series, VALUES, ()),
        ("plain", files, JSONL, ("--target", "all")),
    ):
        top = folder / name
        top.mkdir()
        for each, data in content.items():
            (top / each).write_bytes(data)
        (top / "in.jsonl").write_bytes(source)
        path = top / f"results.{ending}"
        command = (
            "explain",
            str(top / "model.npz"),
            str(top / "in.jsonl"),
            *options,
            "-q",
            "-o",
            str(path),
        )
        done = CliRunner().invoke(main, command)
        assert done.exit_code == 0, done.output
        data = path.read_bytes()
        others = {"before.jsonl": data}
        ours = f"r.{ending}"
        seeds.append(Seed(ours, data, ("summarize", ours)))
        seeds.append(Seed(ours, data, ("summarize", ours, "--format", "json")))
        if name == "words":
            seeds.append(
                Seed(ours, data, ("compare", ours, "--methods", "lrp-all,gradient-x-input"))
            )
        else:
            seeds.append(Seed(ours, data, ("compare", ours, "before.jsonl"), others))
    return seeds


def of_results_written_otherwise(folder: Path) -> list[Seed]:
    """Those that are refused, or read as something else."""
    return [seed for ending in ("tsv", "csv", "npz") for seed in _others(folder, ending)]


def _others(folder: Path, ending: str) -> list[Seed]:
    top = folder / ending
    top.mkdir()
    for seed_name, data in small_model(top, **LABELS).items():
        (top / seed_name).write_bytes(data)
    (top / "in.jsonl").write_bytes(JSONL)
    path = top / f"r.{ending}"
    command = ("explain", str(top / "model.npz"), str(top / "in.jsonl"), "-q", "-o", str(path))
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    data = path.read_bytes()
    return [
        Seed(path.name, data, ("summarize", path.name)),
        Seed(path.name, data, ("compare", path.name, path.name)),
    ]


PARQUET = {footer_changed: 4, pages_changed: 2, parquet_rewritten: 3}
RESULTS = {line_changed: 6, json_spoilt: 1, line_moved: 1, packed: 1}
INPUTS = {
    "npy-input": Kind(npy, {npy_changed: 8}),
    "npz-input": Kind(npz, {member_changed: 6, members_changed: 2, directory_changed: 2}),
    "text": Kind(text, LINES),
    "jsonl": Kind(jsonl, {line_changed: 6, json_spoilt: 1, **LINES}),
    "csv": Kind(csv, LINES),
    "table": Kind(tables, LINES),
    "parquet": Kind(parquet, PARQUET, "pyarrow"),
    "arrow": Kind(arrow, {arrow_changed: 6}, "pyarrow"),
    "results-jsonl": Kind(lambda folder: results(folder, "jsonl"), RESULTS),
    "results-parquet": Kind(lambda folder: results(folder, "parquet"), PARQUET, "pyarrow"),
    "results-other": Kind(
        of_results_written_otherwise, {cell_changed: 3, directory_changed: 1, members_changed: 1}
    ),
}
