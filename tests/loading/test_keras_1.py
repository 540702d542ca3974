"""Files that Keras 1.2.2 wrote, on Theano and on TensorFlow.

`tests/golden/keras1/write.py` says how they were made.
"""

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.load import load_model
from lstm_lrp_cli.model.layers import Convolution

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "keras1"
EXPECTED = {
    backend: json.loads((GOLDEN / backend / "expected.json").read_text("utf-8"))
    for backend in ("theano", "tensorflow")
}
# Keras 1 convolves in float32 on TensorFlow, and so that is what it gave.
TOLERANCES = {"theano": 1e-10, "tensorflow": 1e-5}
FLOAT64 = np.dtype(np.float64)
EVERY = [(backend, name) for backend, found in EXPECTED.items() for name in found]


def check(run, path, backend, name, folder, *options):
    """Compare a model's outputs with those that Keras gave."""
    numbers = EXPECTED[backend][name]
    names = [each.name for each in load_model(path, None, FLOAT64, assume=True).model.inputs]
    lines = []
    for given in zip(*numbers["inputs"], strict=True):
        if len(given) == 1:
            of_ids = not isinstance(given[0][0], list)
            lines.append({"tokens": given[0]} if of_ids else {"values": given[0]})
        else:
            lines.append(dict(zip(names, given, strict=True)))
    outputs = [
        np.concatenate(each, axis=-1).tolist() for each in zip(*numbers["outputs"], strict=True)
    ]
    for file, told in (("given", lines), ("outputs", [{"scores": each} for each in outputs])):
        (folder / f"{file}.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in told))
    result = run(
        *("check", path, folder / "given.jsonl", "--target", "all", *options),
        *("--expected", folder / "outputs.jsonl", "--tolerance", TOLERANCES[backend]),
    )
    assert result.exit_code == 0, result.output
    return result


@pytest.mark.parametrize("backend", EXPECTED)
def test_every_file_has_numbers(backend):
    assert {path.stem for path in (GOLDEN / backend).glob("*.h5")} == set(EXPECTED[backend])


@pytest.mark.parametrize(("backend", "name"), EVERY)
def test_outputs_are_those_of_keras_1(run, tmp_path, backend, name):
    check(run, GOLDEN / backend / f"{name}.h5", backend, name, tmp_path)


@pytest.mark.parametrize(("backend", "name"), EVERY)
def test_every_weight_is_used_and_named_as_the_file_names_it(run, backend, name):
    path = GOLDEN / backend / f"{name}.h5"
    found = json.loads(run("inspect", path, "--format", "json").stdout)
    with h5py.File(path) as file:
        for dataset in found["datasets"]:
            assert isinstance(file[dataset], h5py.Dataset)
    assert found["unused"] == []


@pytest.mark.parametrize("name", ["bidirectional", "graph"])
def test_weights_are_read_by_the_json_beside_them(run, tmp_path, name):
    check(run, GOLDEN / "theano" / "beside" / name / "model.h5", "theano", name, tmp_path)


def test_the_json_of_another_model_is_refused(tmp_path):
    beside = GOLDEN / "theano" / "beside"
    shutil.copy(beside / "graph" / "model.h5", tmp_path)
    shutil.copy(beside / "bidirectional" / "model.json", tmp_path)
    with pytest.raises(UnusableInput, match=r"is not the architecture of model\.h5: layer"):
        load_model(tmp_path / "model.h5", None, FLOAT64)


@pytest.mark.parametrize("name", ["bidirectional", "convolution"])
def test_a_written_mapping_says_the_same(run, tmp_path, name):
    """What is written out describes the same file, gate by gate, and kernels turned round."""
    path = Path(shutil.copy(GOLDEN / "theano" / f"{name}.h5", tmp_path / "model.h5"))
    written = run("inspect", path, "--write-mapping", tmp_path / "model.yaml")
    assert written.exit_code == 0, written.output
    with h5py.File(path, "r+") as file:
        del file.attrs["model_config"]
    check(run, path, "theano", name, tmp_path)


def test_theano_turns_kernels_round(tmp_path):
    """The same weights under the names of the other backend are another model."""

    def weights(path):
        layers = load_model(path, None, FLOAT64).model.layers
        return [layer.weights for layer in layers if isinstance(layer, Convolution)]

    path = Path(shutil.copy(GOLDEN / "theano" / "convolution.h5", tmp_path))
    found = weights(path)
    with h5py.File(path, "r+") as file:
        for group in file["model_weights"].values():
            names = list(group.attrs["weight_names"])
            for name in names:
                group.move(name, name + b":0")
            if names:
                group.attrs["weight_names"] = [name + b":0" for name in names]
    for one, other in zip(found, weights(path), strict=True):
        np.testing.assert_array_equal(one, other[:, :, ::-1])


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("maxout", r"`most` \(MaxoutDense\)"),
        ("lambda", r"`twice` \(Lambda\)"),
        ("of_the_batch", r"`of_the_batch` \(BatchNormalization\(mode=2\) of Keras 1\.2\.2\)"),
        ("cosine", r"`likeness` \(Merge\(mode=cos\)\)"),
    ],
)
def test_what_cannot_be_explained_is_refused_by_name(name, problem):
    with pytest.raises(UnusableInput, match=problem):
        load_model(GOLDEN / "theano" / "refused" / f"{name}.h5", None, FLOAT64)


@pytest.mark.parametrize("version", ["1.0.8", "1.2.2"])
def test_a_normalization_of_keras_1_0_is_refused(tmp_path, version):
    """What it calls `running_std` is a variance from 1.1 on, and was its root before."""
    path = Path(shutil.copy(GOLDEN / "theano" / "convolution.h5", tmp_path))
    with h5py.File(path, "r+") as file:
        file.attrs["keras_version"] = version
    if version == "1.2.2":
        load_model(path, None, FLOAT64)
        return
    with pytest.raises(UnusableInput, match=r"BatchNormalization\(mode=0\) of Keras 1\.0\.8"):
        load_model(path, None, FLOAT64)


def test_a_file_without_a_version_is_told_by_its_settings(run, tmp_path):
    path = Path(shutil.copy(GOLDEN / "theano" / "bidirectional.h5", tmp_path))
    with h5py.File(path, "r+") as file:
        del file.attrs["keras_version"]
    check(run, path, "theano", "bidirectional", tmp_path)


def test_weights_alone_are_of_gates_by_themselves(run, tmp_path):
    """The chain, and the hard sigmoid, which was the default of Keras 1."""
    check(
        run, GOLDEN / "theano" / "alone" / "sequential.h5", "theano", "sequential", tmp_path,
        "--assume",
    )  # fmt: skip


def test_a_draft_of_weights_alone_is_mended_in_two_lines(run, tmp_path):
    path = Path(shutil.copy(GOLDEN / "theano" / "alone" / "bidirectional.h5", tmp_path))
    asked = run("inspect", path)
    assert asked.exit_code == 3
    assert "nothing says whether `bidirectional_" in asked.stderr
    draft = asked.stderr[asked.stderr.index("format: 1") :]
    lstms = draft.split("- lstm:")
    lstms[-1] = lstms[-1].replace(
        "recurrent_activation: hard_sigmoid",
        "recurrent_activation: sigmoid\n    activation: softsign",
    )
    last = lstms[-1].replace("    forward:", "    backward:")
    padding = "padding: {length: 8, value: 0, masked: true}\n"
    path.with_suffix(".yaml").write_text("- lstm:".join([*lstms[:-1], last]) + padding)
    check(run, path, "theano", "bidirectional", tmp_path)
