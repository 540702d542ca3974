"""Files that Keras 2 wrote, of models that are no chain, or of layers of a rarer kind.

`tests/golden/keras2/write.py` says how they were made, and with which version.
"""

import io
import json
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from lstm_lrp_cli.loading.keras.kinds import KINDS
from lstm_lrp_cli.loading.keras.refused import MENDS
from lstm_lrp_cli.loading.keras.roles import WEIGHTS, WRAPPERS
from lstm_lrp_cli.loading.load import load_model

GRAPHS = Path(__file__).resolve().parents[1] / "golden" / "keras2" / "graphs"
EXPECTED = json.loads((GRAPHS / "expected.json").read_text("utf-8"))
TOLERANCES = {"float64": 1e-10, "float32": 1e-5}
# Keras adds cuDNN's two biases in the precision of the file, float32, before it computes.
ROUNDED = {"cudnn": 1e-7}
# The same architecture as Keras writes it on Linux and on Windows.
ON_BOTH = ("whole", "whole_on_windows")
BY_STEP = ("output_at_every_step", "time_distributed", "masked_tagger")


def saved(name):
    """The file of a model; its ending says how Keras was asked to write it."""
    return next(path for path in GRAPHS.iterdir() if path.name.split(".")[0] == name)


def test_a_layer_whose_weights_are_known_is_read():
    assert {*WEIGHTS, *WRAPPERS} <= set(KINDS)


def test_no_layer_is_both_read_and_refused():
    assert not {*MENDS, "IntegerLookup"} & set(KINDS)


def test_every_file_has_numbers():
    files = [path.name for path in GRAPHS.iterdir() if path.suffix in (".h5", ".keras")]
    assert sorted(file.split(".")[0] for file in files) == sorted(EXPECTED)


def test_names_that_windows_joins_are_joined_by_slashes():
    """The groups of that file are called `layers\\lstm\\cell`, those that are listed are not."""
    weights = [load_model(saved(name), None, np.dtype("float64")) for name in ON_BOTH]
    one, other = (each.contents.datasets for each in weights)
    assert one == other
    with zipfile.ZipFile(saved(ON_BOTH[1])) as archive:
        content = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(content) as file:
        assert "layers\\lstm\\cell" in file


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("name", EXPECTED)
def test_outputs_are_those_of_keras(run, tmp_path, name, dtype):
    numbers, tolerance = EXPECTED[name], max(TOLERANCES[dtype], ROUNDED.get(name, 0))
    (tmp_path / "outputs.jsonl").write_text(
        "".join(json.dumps({"scores": each}) + "\n" for each in numbers[dtype])
    )
    (tmp_path / "ids.jsonl").write_text(
        "".join(json.dumps({"tokens": each}) + "\n" for each in numbers["sequences"])
    )
    result = run(
        *("check", saved(name), tmp_path / "ids.jsonl", "--target", "all"),
        *("--expected", tmp_path / "outputs.jsonl", "--tolerance", tolerance),
        *("--dtype", dtype),
    )
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("name", EXPECTED)
def test_the_whole_mapping_is_written_and_loads_to_the_same_model(run, tmp_path, name):
    path, whole = saved(name), tmp_path / "whole.yaml"
    assert run("inspect", path, "--write-mapping", whole).exit_code == 0
    (tmp_path / "ids.txt").write_text("3 1 4 1 5\n")
    arguments = ("explain", path, tmp_path / "ids.txt", "--ids", "-q", "--target", "all")
    steps = ("--step", "-1") if name in BY_STEP else ()
    before = run(*arguments, *steps)
    after = run(*arguments, *steps, "--mapping", whole)
    assert before.exit_code == after.exit_code == 0, before.output + after.output
    assert before.stdout == after.stdout


def test_no_dataset_is_left_over():
    for name in EXPECTED:
        unused = load_model(saved(name), None, np.dtype(np.float64)).unused
        assert [each for each in unused if "optimizer" not in each] == [], name


def test_a_model_trained_on_a_squared_error_is_a_regressor():
    model = load_model(GRAPHS / "regressor.h5", None, np.dtype(np.float64)).model
    assert [head.size for head in model.heads] == [1, 1]


def test_weights_alone_say_what_is_assumed(run):
    shown = run("inspect", GRAPHS / "weights_only.h5", "--format", "json").stdout
    document = json.loads(shown)
    assert document["origins"]["layers"] == "names and shapes in weights_only.h5"
    assert "`lstm_1`: reads forwards, tanh cells, sigmoid gates" in document["assumptions"][0]


@pytest.mark.parametrize("name", ["model.h5", "beside/model.h5"])
def test_convolutions_of_keras_2_on_theano(run, tmp_path, name):
    """Their kernels are turned round, but for those of separable ones, which Keras turns itself."""
    folder = GRAPHS.parent / "theano"
    numbers = json.loads((folder / "expected.json").read_text("utf-8"))
    for file, key, values in (("x", "tokens", "ids"), ("y", "scores", "outputs")):
        lines = "".join(json.dumps({key: each}) + "\n" for each in numbers[values])
        (tmp_path / f"{file}.jsonl").write_text(lines)
    result = run(
        *("check", folder / name, tmp_path / "x.jsonl", "--target", "all"),
        *("--expected", tmp_path / "y.jsonl", "--tolerance", 1e-10),
    )
    assert result.exit_code == 0, result.output
