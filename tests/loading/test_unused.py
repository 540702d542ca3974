"""Weights that no layer uses are named, whatever the format; no honest file has any."""

import json

import h5py
import numpy as np
import pytest
import yaml
from models import KERAS, PYTORCH, SAMPLES, TESTS, WEATHER

from lstm_lrp_cli.loading.load import load_model

NAMED = "weights that no layer uses are no part of the model: "
WEIGHTS = (".h5", ".keras", ".onnx", ".npz")

FILES = sorted(
    path
    for folder in (SAMPLES, TESTS / "golden" / "keras2", TESTS / "golden" / "onnx")
    for path in folder.rglob("*")
    if path.suffix in WEIGHTS and "refused" not in path.parts
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_no_sample_model_and_no_file_of_a_framework_has_any(run, path):
    if path.suffix == ".onnx":
        pytest.importorskip("onnx")
    result = run("inspect", path)
    assert result.exit_code == 0, result.stderr
    assert NAMED not in result.stderr
    if SAMPLES in path.parents:
        assert "warning" not in result.stderr


@pytest.mark.parametrize("sample", [PYTORCH, KERAS, WEATHER], ids=["pytorch", "keras", "weather"])
def test_no_command_warns_of_a_sample_model(run, tmp_path, sample):
    report = tmp_path / "r.json"
    result = run(
        "predict", sample.model, sample.sequences, "--report", report, "-o", tmp_path / "o.tsv"
    )
    assert result.exit_code == 0, result.stderr
    assert "warning" not in result.stderr
    assert json.loads(report.read_text())["assumptions"] == []


def test_a_bias_that_a_mapping_leaves_out(run, small):
    """Of .npz: the scores are another model's without it, and conserve all the same."""
    text = small.write("in.txt", "not bad\n")
    del small.dense["bias"]
    result = run("explain", small.save(), text, "--format", "tsv")
    assert result.exit_code == 0, result.stderr
    assert f"{NAMED}c (unused)" in result.stderr
    small.mapping["unused"] = ["c"]
    assert "warning" not in run("explain", small.save(), text, "--format", "tsv").stderr


def test_a_layer_that_a_mapping_leaves_out_of_a_keras_file(run, tmp_path):
    model = tmp_path / "model.h5"
    model.write_bytes((TESTS / "golden" / "keras2" / "stacked.h5").read_bytes())
    mapping = tmp_path / "model.yaml"
    assert run("inspect", model, "--write-mapping", mapping).exit_code == 0
    document = yaml.safe_load(mapping.read_text())
    lstms = [layer for layer in document["layers"] if "lstm" in layer]
    embedding = [layer for layer in document["layers"] if "embedding" in layer]
    assert len(lstms) > 1
    document["layers"] = [*embedding, {"lstm": lstms[0]["lstm"] | {"returns": "last"}}]
    mapping.write_text(yaml.safe_dump(document))
    (tmp_path / "ids.txt").write_text("1 2\n")
    result = run("check", model, tmp_path / "ids.txt", "--ids", "--format", "json")
    assert result.exit_code == 0, result.stderr
    left_out = lstms[1]["lstm"]["forward"]["recurrent"]
    [assumed] = json.loads(result.stdout)["assumptions"]
    assert assumed.startswith(NAMED)
    assert left_out in assumed
    assert left_out in result.stderr


def test_an_onnx_graph_says_itself_what_it_takes_but_a_mapping_may_not(run, tmp_path):
    pytest.importorskip("onnx")
    model = tmp_path / "model.onnx"
    model.write_bytes((TESTS / "golden" / "onnx" / "no_biases.onnx").read_bytes())
    assert (
        NAMED not in run("inspect", model, "--format", "json").stderr
    )  # though it keeps biases of zeros
    mapping = tmp_path / "model.yaml"
    assert run("inspect", model, "--write-mapping", mapping).exit_code == 0
    assert NAMED not in run("inspect", model, "--format", "json").stderr
    document = yaml.safe_load(mapping.read_text())
    weights = document["layers"].pop()["dense"]["weights"]
    mapping.write_text(yaml.safe_dump(document))
    assert weights in run("inspect", model, "--format", "json").stderr


def test_of_many_the_first_are_named_and_all_are_in_inspects_json(run, small):
    path = small.save()
    with h5py.File(small.folder / "many.h5", "w") as file:
        for name, array in small.arrays.items():
            file[name] = array
        for number in range(30):
            file[f"extra/{number:02}"] = np.ones(2)
    (small.folder / "many.yaml").write_text(path.with_suffix(".yaml").read_text())
    result = run("inspect", small.folder / "many.h5", "--format", "json")
    assert "extra/00, extra/01" in result.stderr
    assert "extra/11 and 18 more (unused)" in result.stderr
    assert len(json.loads(result.stdout)["unused"]) == 30


def test_a_model_itself_says_what_was_assumed(small):
    del small.dense["bias"]
    path = small.save()
    model = load_model(path, None, np.dtype(np.float64)).model
    assert model.source == path
    [assumed] = model.assumptions
    assert assumed == f"{NAMED}c (unused)"
    assert model.warnings == [f"{path.name} does not say, and it is assumed: {assumed}"]
    small.mapping["unused"] = ["c"]
    assert load_model(small.save(), None, np.dtype(np.float64)).model.warnings == []
