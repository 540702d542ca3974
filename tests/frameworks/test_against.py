"""`lrp check --against` runs the frameworks on the person's own file, and they agree."""

import functools
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from installed import spec_of
from models import KERAS, PYTORCH, TESTS, WEATHER
from msgspec.structs import replace
from random_models import describable

from lstm_lrp_cli.check.against.torch import open_torch
from lstm_lrp_cli.engine.arrays import Packing
from lstm_lrp_cli.engine.forward import Given, Runner
from lstm_lrp_cli.loading.convert import convert
from lstm_lrp_cli.loading.load import load_model
from lstm_lrp_cli.loading.written import commented
from lstm_lrp_cli.model.layers import Activation, Scale
from lstm_lrp_cli.model.recurrent import Lstm

GOLDEN = TESTS / "golden"

# Of Keras, about its own files' past, and of PyTorch about its exporter's.
pytestmark = pytest.mark.filterwarnings("ignore")


def golden(folder, ending, without=()):
    """The golden files of a folder, each with its sequences."""
    expected = json.loads((GOLDEN / folder / "expected.json").read_text("utf-8"))
    return [
        pytest.param(GOLDEN / folder / f"{name}{ending}", found["sequences"], id=name)
        for name, found in expected.items()
        if name not in without
    ]


@pytest.fixture
def forward_check(run, tmp_path):
    """The forward check of a model against a framework, and its exit status."""

    def check(model, sequences, framework, *options, name="forward"):
        path = sequences
        if not isinstance(sequences, Path):
            path = tmp_path / "in.jsonl"
            if not isinstance(sequences[0], dict):  # else one has a key for each input
                key = "values" if np.ndim(sequences[0]) == 2 else "tokens"
                sequences = [{key: each} for each in sequences]
            path.write_text("".join(json.dumps(each) + "\n" for each in sequences))
        arguments = ("check", model, path, "--against", framework, "--format", "json", *options)
        result = run(*arguments)
        assert result.exit_code in (0, 1), result.output
        found = json.loads(result.stdout)["checks"]
        return next(each for each in found if each["name"] == name)

    return check


class TestWhatToDoInstead:
    """The lines that an error gives are run as they are, and so is what it says of --expected."""

    def compared(self, run, arguments, framework, own, monkeypatch, tmp_path):
        refused = run("check", *arguments, "--against", framework)
        assert refused.exit_code == 3, refused.output
        message, *lines = refused.stderr.splitlines()[-3:]
        assert message.endswith("compare by --expected scores.npy:")
        monkeypatch.chdir(tmp_path)
        exec("\n".join(lines), own)
        return run("check", *arguments, "--expected", "scores.npy")

    def test_arrays_of_a_torch_model(self, run, framework, monkeypatch, tmp_path):
        torch = framework("torch")

        class Network(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.lstm = torch.nn.LSTM(3, 4, batch_first=True)
                self.head = torch.nn.Linear(4, 2)

            def forward(self, x):
                return self.head(self.lstm(x)[1][0][-1])

        torch.manual_seed(5)
        model = Network().eval()
        x = torch.randn(6, 5, 3)
        np.save(tmp_path / "x.npy", x.numpy())
        np.savez(tmp_path / "model.npz", **{k: v.numpy() for k, v in model.state_dict().items()})
        lstm = {
            "forward": {
                "input": "lstm.weight_ih_l0",
                "recurrent": "lstm.weight_hh_l0",
                "bias": ["lstm.bias_ih_l0", "lstm.bias_hh_l0"],
            },
            "gate_order": list("ifgo"),
            "layout": "gates_by_features",
        }
        head = {"weights": "head.weight", "bias": "head.bias", "layout": "classes_by_features"}
        document = {"format": 1, "task": "regression", "layers": [{"lstm": lstm}, {"dense": head}]}
        mapping = tmp_path / "model.yaml"
        arguments = (tmp_path / "model.npz", tmp_path / "x.npy")
        own = {"model": model, "x": x}
        mapping.write_text(yaml.safe_dump(document))
        found = self.compared(run, arguments, "torch", own, monkeypatch, tmp_path)
        assert found.exit_code == 0, found.output
        lstm["gate_order"] = list("igfo")
        mapping.write_text(yaml.safe_dump(document))
        assert self.compared(run, arguments, "torch", own, monkeypatch, tmp_path).exit_code == 1

    def test_weights_alone_of_keras(self, run, framework, monkeypatch, tmp_path):
        keras = framework("keras")
        layers = keras.layers
        model = keras.Sequential([keras.Input((None, 3)), layers.LSTM(4), layers.Dense(2)])
        path = tmp_path / "model.weights.h5"
        model.save_weights(path)
        x = np.random.default_rng(5).normal(size=(6, 5, 3)).astype(np.float32)
        np.save(tmp_path / "x.npy", x)
        own = {"model": model, "x": x}
        arguments = (path, tmp_path / "x.npy", "--assume")
        found = self.compared(run, arguments, "keras", own, monkeypatch, tmp_path)
        assert found.exit_code == 0, found.output


def test_a_sample_model_in_keras(forward_check, framework):
    """Keras makes float32 of float64 on every backend but TensorFlow."""
    keras = framework("keras")
    found = forward_check(KERAS.model, KERAS.sequences, "keras")
    version = f"keras {keras.__version__} ({keras.backend.backend()} backend) in float32"
    assert found["meaning"] == f"scores = scores of {version}"
    assert found["tolerance"] == 1e-5
    assert found["passed"]


# Keras 3 does not load the batch normalization that Keras 2 wrote in a model inside the model.
NOT_IN_KERAS_3 = {"cudnn", "inside"}
NOT_H5 = {"whole", "whole_inside", "whole_on_windows", "weights_numbered"}
# Weights alone say no architecture that Keras could run.
NO_ARCHITECTURE = {"weights_only", "weights_pooled"}


@pytest.mark.parametrize(
    ("model", "sequences"),
    [
        *golden("keras2", ".h5", without={"hard_sigmoid"}),
        *golden("keras2/graphs", ".h5", without=NOT_IN_KERAS_3 | NOT_H5 | NO_ARCHITECTURE),
    ],
)
def test_files_of_keras_2_in_keras_3(forward_check, framework, model, sequences):
    framework("keras")
    assert forward_check(model, sequences, "keras")["passed"]


@pytest.mark.parametrize(
    "name",
    ["bidirectional_concat", "bidirectional_mul", "masked_series", "graphs/time_distributed"],
)
def test_wrapped_layers_of_keras_before_2_13_in_keras_3(run, framework, tmp_path, name):
    """It did not write of what module a layer is, which Keras 3 asks of a wrapped one."""
    framework("keras")
    path = tmp_path / "model.h5"
    path.write_bytes((GOLDEN / "keras2" / f"{name}.h5").read_bytes())

    def older(part):
        if isinstance(part, list):
            return [older(each) for each in part]
        if not isinstance(part, dict):
            return part
        newer = ("module", "registered_name", "build_config")
        return {key: older(each) for key, each in part.items() if key not in newer}

    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = json.dumps(older(json.loads(file.attrs["model_config"])))
        file.attrs["keras_version"] = "2.4.0"
    result = run("check", path, "--against", "keras")
    assert result.exit_code == 0, result.output


class TestNothingToRun:
    """What a file does not say, Keras cannot run, and what lrp assumes would prove nothing."""

    def assert_refused(self, run, path, *options, as_what="says no architecture, so Keras cannot"):
        result = run("check", path, *options, "--against", "keras")
        assert result.exit_code == 3, result.output
        assert as_what in result.stderr
        assert "--expected" in result.stderr

    def test_plain_arrays(self, run, framework):
        framework("keras")
        self.assert_refused(run, PYTORCH.model, as_what="is NPZ, which Keras does not load")

    def test_plain_hdf5(self, run, framework):
        framework("keras")
        self.assert_refused(run, WEATHER.model)

    def test_weights_alone(self, run, framework):
        framework("keras")
        self.assert_refused(run, GOLDEN / "keras2" / "graphs" / "weights_only.h5")

    def test_weights_alone_with_a_mapping(self, run, framework, tmp_path):
        framework("keras")
        path = GOLDEN / "keras2" / "graphs" / "weights_only.h5"
        run("inspect", path, "--write-mapping", tmp_path / "whole.yaml")
        self.assert_refused(run, path, "--mapping", tmp_path / "whole.yaml")


class TestArchitectureBeside:
    """Weights with `model.to_json()` beside them are a whole model, to lrp and to Keras."""

    @pytest.fixture
    def network(self, framework):
        keras = framework("keras")
        keras.utils.set_random_seed(3)
        layers = keras.layers
        return keras.Sequential(
            [
                keras.Input((None, 3)),
                layers.Masking(-9.0),
                layers.LSTM(4, go_backwards=True, activation="softsign", name="reader"),
                layers.Dense(5, "tanh", name="between"),
                layers.Dense(2, name="out"),
            ]
        )

    @pytest.fixture
    def series(self, tmp_path):
        series = np.random.default_rng(3).normal(size=(3, 5, 3)).astype(np.float32)
        series[0, 3:] = -9
        np.save(tmp_path / "x.npy", series)
        return series

    def test_of_keras_3(self, run, forward_check, network, series, tmp_path):
        path = tmp_path / "model.weights.h5"
        network.save_weights(path)
        (tmp_path / "model.json").write_text(network.to_json())
        assert forward_check(path, tmp_path / "x.npy", "keras")["passed"]
        np.save(tmp_path / "y.npy", network.predict(series, verbose=0))
        result = run("check", path, tmp_path / "x.npy", "--expected", tmp_path / "y.npy")
        assert result.exit_code == 0, result.output

    @pytest.mark.parametrize("name", ["model.h5", "model.hdf5"])
    def test_of_keras_2(self, forward_check, network, series, tmp_path, name):
        """Its weights stand in a whole file below `model_weights`; alone, they stand on top."""
        network.save(tmp_path / "whole.h5")
        with h5py.File(tmp_path / "whole.h5") as whole, h5py.File(tmp_path / name, "w") as file:
            for layer in whole["model_weights"]:
                whole.copy(f"model_weights/{layer}", file)
            for key, value in whole["model_weights"].attrs.items():
                file.attrs[key] = value
        (tmp_path / "whole.h5").unlink()
        (tmp_path / "model.json").write_text(network.to_json())
        found = forward_check(tmp_path / name, tmp_path / "x.npy", "keras")
        assert found["passed"]

    def test_a_mapping_that_says_otherwise_fails(
        self, run, forward_check, network, series, tmp_path
    ):
        path = tmp_path / "model.weights.h5"
        network.save_weights(path)
        run("inspect", path, "--assume", "--write-mapping", tmp_path / "assumed.yaml")
        (tmp_path / "model.json").write_text(network.to_json())
        mapping = ("--mapping", tmp_path / "assumed.yaml")
        assert not forward_check(path, tmp_path / "x.npy", "keras", *mapping)["passed"]

    def test_that_names_code(self, run, network, series, tmp_path):
        path = tmp_path / "model.weights.h5"
        network.save_weights(path)
        run("inspect", path, "--assume", "--write-mapping", tmp_path / "assumed.yaml")
        document = json.loads(network.to_json())
        document["config"]["layers"][2]["config"]["kernel_regularizer"] = None
        document["config"]["layers"][2]["config"]["units_by"] = {
            "module": "subprocess", "class_name": "run", "config": {}
        }  # fmt: skip
        (tmp_path / "model.json").write_text(json.dumps(document))
        result = run("check", path, tmp_path / "x.npy", "--against", "keras")
        assert result.exit_code == 3
        assert "which may be code" in result.stderr


@pytest.mark.parametrize("name", ["fixed_length", "graphs/flattened"])
def test_random_sequences_fit_an_input_of_fixed_length(run, framework, name):
    framework("keras")
    result = run("check", GOLDEN / "keras2" / f"{name}.h5", "--against", "keras")
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("hard_sigmoid", "is that of Keras 2.15.0, and another function in Keras 3"),
        ("graphs/cudnn", "Keras does not load it"),
    ],
)
def test_files_of_keras_2_that_keras_3_does_not_run(run, framework, small, name, problem):
    framework("keras")
    ids = small.write("ids.txt", "1 2 3\n")
    model = GOLDEN / "keras2" / f"{name}.h5"
    result = run("check", model, ids, "--ids", "--against", "keras")
    assert result.exit_code == 3
    assert problem in result.stderr


@pytest.mark.parametrize(("model", "sequences"), golden("onnx", ".onnx"))
def test_onnx_files_in_onnxruntime(forward_check, framework, model, sequences):
    framework("onnx")
    runtime = framework("onnxruntime")
    found = forward_check(model, sequences, "onnxruntime")
    assert f"onnxruntime {runtime.__version__} in float32" in found["meaning"]
    assert found["passed"]


def test_a_mapping_that_reads_an_onnx_file_wrong_fails_in_onnxruntime(
    forward_check, run, framework, tmp_path
):
    """The file is run as it is, so nothing that the mapping says is on both sides."""
    framework("onnx")
    framework("onnxruntime")
    model, mapping = GOLDEN / "onnx" / "bidirectional.onnx", tmp_path / "model.yaml"
    run("inspect", model, "--write-mapping", mapping)
    right = yaml.safe_load(mapping.read_text())
    ids = [[1, 2, 3], [3, 2, 1, 1]]
    options = ("onnxruntime", "--mapping", mapping)
    assert forward_check(model, ids, *options)["passed"]
    [lstm] = [layer["lstm"] for layer in right["layers"] if "lstm" in layer]
    for wrong in ({"gate_order": list("ifgo")}, {"returns": "sequence"}):
        changed = [
            {**layer, "lstm": lstm | wrong} if "lstm" in layer else layer
            for layer in right["layers"]
        ]
        if "returns" in wrong:
            changed.insert(2, {"pool": "last"})
        mapping.write_text(yaml.safe_dump({**right, "layers": changed}))
        assert not forward_check(model, ids, *options)["passed"]


@pytest.mark.parametrize("fixed", [1, 2, 0], ids=["one sequence of 5", "two of 5", "any"])
@pytest.mark.parametrize("by_step", [True, False], ids=["by step", "last"])
@pytest.mark.parametrize("batch_first", [True, False], ids=["batch first", "steps first"])
def test_the_axis_of_steps_is_found(
    forward_check, framework, tmp_path, batch_first, by_step, fixed
):
    """Names that do not tell are given to the axes."""
    framework("onnx")
    framework("onnxruntime")
    torch = framework("torch")

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = torch.nn.LSTM(3, 4, batch_first=batch_first)
            self.linear = torch.nn.Linear(4, 2)

        def forward(self, x):
            steps, _ = self.lstm(x)
            if by_step:
                return self.linear(steps)
            return self.linear(steps[:, -1] if batch_first else steps[-1])

    torch.manual_seed(1)
    shape = (fixed or 1, 5, 3) if batch_first else (5, fixed or 1, 3)
    axes = None if fixed else {"x": {0: "a", 1: "b"}}
    path = tmp_path / "model.onnx"
    torch.onnx.export(
        *(Network().eval(), (torch.zeros(shape),), path),
        dynamo=False,
        input_names=["x"],
        dynamic_axes=axes,
    )
    lengths = (5, 5) if fixed else (5, 1, 8)
    series = [np.random.default_rng(n).normal(size=(n, 3)).tolist() for n in lengths]
    found = forward_check(path, series, "onnxruntime")
    assert found["passed"]
    assert found["compared"] == len(series)


@pytest.mark.parametrize("form", ["pt2", "onnx"])
@pytest.mark.parametrize("layout", ["flat", "turned", "turned scores", "rows", "several axes"])
def test_how_numbers_lie_is_found(forward_check, framework, tmp_path, layout, form):
    """Series without an axis of features, or with it first; scores laid out in other ways."""
    framework("onnx")
    framework("onnxruntime")
    torch = framework("torch")

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = torch.nn.LSTM(1 if layout == "flat" else 3, 4, batch_first=True)
            self.linear = torch.nn.Linear(4, 2 if "several" not in layout else 6)

        def forward(self, x):
            turned = x.transpose(1, 2) if layout == "turned" else x
            steps, _ = self.lstm(x.unsqueeze(-1) if layout == "flat" else turned)
            scores = self.linear(steps)
            if layout == "rows":
                return scores.reshape(-1, 2)
            if layout == "turned scores":
                return scores.transpose(1, 2)
            last = scores[:, -1]
            return last.view(-1, 3, 2) if "several" in layout else last

    torch.manual_seed(1)
    network = Network().eval()
    shape = {"flat": (2, 5), "turned": (2, 3, 5)}.get(layout, (2, 5, 3))
    path = tmp_path / f"model.{form}"
    if form == "pt2":
        torch.export.save(torch.export.export(network, (torch.zeros(shape),)), path)
    else:
        torch.onnx.export(network, (torch.zeros(shape),), path, dynamo=False)
    width = 1 if layout == "flat" else 3
    series = [np.random.default_rng(n).normal(size=(5, width)).tolist() for n in range(3)]
    found = forward_check(path, series, "torch" if form == "pt2" else "onnxruntime")
    assert found["passed"]
    assert found["compared"] == len(series)


@pytest.mark.parametrize("framework", ["tensorflow", "keras"])
def test_in_tensorflow(framework):
    """In a process of its own, in which Keras has not chosen a backend yet; in float64.

    Where TensorFlow is installed Keras runs on it, also beside torch: it starts quicker.
    """
    spec_of("tensorflow")
    environment = {key: value for key, value in os.environ.items() if key != "KERAS_BACKEND"}
    command = [sys.executable, "-m", "lstm_lrp_cli", "check", KERAS.model, KERAS.sequences]
    done = subprocess.run(
        [*map(str, command), "--against", framework, "--format", "json"],
        capture_output=True,
        text=True,
        env=environment | {"PYTHONPATH": str(TESTS.parent)},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert "tensorflow" in document["against"]
    assert document["checks"][-1]["tolerance"] == 1e-10


class TestStateDicts:
    """What torch's own names say is not asked of the mapping, so its mistakes are found."""

    @pytest.fixture
    def saved(self, framework, tmp_path):
        torch = framework("torch")
        torch.manual_seed(3)
        nn = torch.nn
        # Hidden and embedding sizes are such that no shape tells a layout.
        modules = nn.ModuleDict(
            {
                "embedding": nn.Embedding(9, 6),
                "lstm": nn.LSTM(6, 6, 2, bidirectional=True, batch_first=True),
                "head": nn.Linear(12, 12),
            }
        )
        torch.save({"model": modules.state_dict(), "epoch": 3}, tmp_path / "model.pt")
        return tmp_path / "model.pt"

    IDS = ((1, 2, 3, 4), (5,), (8, 7, 0))

    @pytest.fixture
    def modules_check(self, forward_check):
        return functools.partial(forward_check, name="modules")

    @pytest.fixture
    def mapping(self, run, saved):
        """The mapping that is inferred, to be changed and saved."""
        path = saved.with_suffix(".yaml")
        run("inspect", saved, "--assume", "--write-mapping", path)
        document = yaml.safe_load(path.read_text())
        return document, lambda: path.write_text(yaml.safe_dump(document))

    @pytest.mark.parametrize(("dtype", "allowed"), [("float64", 1e-10), ("float32", 1e-5)])
    def test_a_checkpoint(self, modules_check, saved, dtype, allowed):
        found = modules_check(saved, self.IDS, "torch", "--assume", "--dtype", dtype)
        assert (found["passed"], found["tolerance"]) == (True, allowed)
        assert found["compared"] == len(self.IDS)

    def test_what_is_open_is_asked_here_too(self, run, saved):
        result = run("check", saved, "--against", "torch")
        assert result.exit_code == 3
        assert "nothing says what `head.weight` is given" in result.stderr

    def test_it_says_that_connections_were_not_checked(self, run, framework, saved):
        """A head that is given the last step passes as well as one of the last states."""
        torch = framework("torch")
        table = run("check", saved, "--assume", "--against", "torch")
        assert table.exit_code == 0, table.output
        assert table.stdout.splitlines()[-1] == (
            "Scores as a whole were not compared: the mapping's word on how layers are connected "
            "stands on both sides. Use --expected."
        )
        found = run("check", saved, "--assume", "--against", "torch", "--format", "json")
        document = json.loads(found.stdout)
        assert document["against"] == f"torch {torch.__version__} in float64"
        assert document["compared_with"] is None
        assert document["unproven"] == table.stdout.splitlines()[-1]
        names = [check["name"] for check in document["checks"]]
        assert names == ["conservation", "reference", "modules"]
        assert document["checks"][-1]["meaning"] == (
            f"scores = scores of torch {torch.__version__} in float64, module by module, connected "
            "as the mapping says"
        )

    @pytest.mark.parametrize(
        ("old", "new", "problem"),
        [
            ("lstm.weight_ih_l1", "lstm.Wx", "is not what torch calls an nn.LSTM's weights"),
            ("head.weight", "head.matrix", "is not what torch calls an nn.Linear's weights"),
            ("head.bias", "head.added", "is not what torch calls the bias of an nn.Linear"),
        ],
    )
    def test_names_that_are_not_torchs(
        self, run, framework, saved, mapping, tmp_path, old, new, problem
    ):
        torch = framework("torch")
        _, save = mapping
        save()
        text = saved.with_suffix(".yaml").read_text()
        state = torch.load(saved)["model"]
        state[new] = state.pop(old)
        torch.save(state, tmp_path / "renamed.pt")
        (tmp_path / "renamed.yaml").write_text(text.replace(f"{old}\n", f"{new}\n"))
        result = run("check", tmp_path / "renamed.pt", "--against", "torch")
        assert result.exit_code == 3
        assert problem in result.stderr
        assert run("check", tmp_path / "renamed.pt").exit_code == 0

    def test_safetensors(self, modules_check, framework, saved, tmp_path):
        from safetensors.torch import save_file

        torch = framework("torch")
        save_file(torch.load(saved)["model"], tmp_path / "other.safetensors")
        assert modules_check(tmp_path / "other.safetensors", self.IDS, "torch", "--assume")[
            "passed"
        ]

    def test_right_mapping(self, modules_check, saved, mapping):
        _, save = mapping
        save()
        assert modules_check(saved, self.IDS, "torch")["passed"]

    def test_wrong_gate_order(self, modules_check, saved, mapping):
        document, save = mapping
        document["layers"][1]["lstm"]["gate_order"] = ["i", "g", "f", "o"]
        save()
        assert not modules_check(saved, self.IDS, "torch")["passed"]

    def test_one_bias_of_two(self, modules_check, saved, mapping):
        document, save = mapping
        document["layers"][1]["lstm"]["forward"]["bias"] = "lstm.bias_ih_l0"
        save()
        assert not modules_check(saved, self.IDS, "torch")["passed"]

    def test_a_forget_bias_that_torch_does_not_add(self, modules_check, saved, mapping):
        document, save = mapping
        document["layers"][1]["lstm"]["forget_bias"] = 1.0
        save()
        assert not modules_check(saved, self.IDS, "torch")["passed"]

    def test_directions_swapped(self, modules_check, saved, mapping):
        document, save = mapping
        lstm = document["layers"][1]["lstm"]
        lstm["forward"], lstm["backward"] = lstm["backward"], lstm["forward"]
        save()
        assert not modules_check(saved, self.IDS, "torch")["passed"]

    def test_a_square_matrix_transposed(self, modules_check, saved, mapping):
        document, save = mapping
        document["layers"][-1]["dense"]["layout"] = "features_by_classes"
        save()
        assert not modules_check(saved, self.IDS, "torch")["passed"]

    def test_a_linear_layers_bias_dropped(self, modules_check, saved, mapping):
        document, save = mapping
        document["layers"][-1]["dense"]["bias"] = None
        save()
        assert not modules_check(saved, self.IDS, "torch")["passed"]


class TestNormalization:
    """What is what in an nn.BatchNorm1d is torch's word, whatever the mapping makes of it."""

    @pytest.fixture
    def saved(self, framework, run, tmp_path):
        torch = framework("torch")
        torch.manual_seed(4)
        norm = torch.nn.BatchNorm1d(4)
        for tensor in (norm.running_mean, norm.running_var, norm.weight.data, norm.bias.data):
            tensor.uniform_(0.5, 1.5)
        modules = {"lstm": torch.nn.LSTM(3, 4), "norm": norm, "head": torch.nn.Linear(4, 2)}
        state = torch.nn.ModuleDict(modules).state_dict()
        torch.save(state, tmp_path / "model.pt")
        return tmp_path / "model.pt", state

    NORM = {  # noqa: RUF012
        "mean": "norm.running_mean",
        "variance": "norm.running_var",
        "scale": "norm.weight",
        "offset": "norm.bias",
        "epsilon": 1e-5,
    }

    def check(self, run, path, norm):
        lstm = {
            "forward": {
                "input": "lstm.weight_ih_l0",
                "recurrent": "lstm.weight_hh_l0",
                "bias": ["lstm.bias_ih_l0", "lstm.bias_hh_l0"],
            },
            "gate_order": list("ifgo"),
            "layout": "gates_by_features",
        }
        head = {"weights": "head.weight", "bias": "head.bias", "layout": "classes_by_features"}
        layers = [{"lstm": lstm}, {"batch_norm": norm}, {"dense": head}]
        document = {"format": 1, "task": "regression", "layers": layers}
        path.with_suffix(".yaml").write_text(yaml.safe_dump(document))
        return run("check", path, "--against", "torch")

    def test_as_it_is(self, run, saved):
        path, _ = saved
        result = self.check(run, path, self.NORM)
        assert result.exit_code == 0, result.output

    @pytest.mark.parametrize(
        "swapped", [("mean", "variance"), ("scale", "offset"), ("mean", "offset")]
    )
    def test_roles_swapped(self, run, saved, swapped):
        path, _ = saved
        one, other = swapped
        norm = {**self.NORM, one: self.NORM[other], other: self.NORM[one]}
        assert self.check(run, path, norm).exit_code == 1

    def test_names_that_are_not_torchs(self, run, framework, saved):
        path, state = saved
        renamed = {name.replace("running_mean", "middle"): each for name, each in state.items()}
        framework("torch").save(renamed, path)
        result = self.check(run, path, {**self.NORM, "mean": "norm.middle"})
        assert result.exit_code == 3
        assert "is not what torch calls part of an nn.BatchNorm1d" in result.stderr


@st.composite
def random_cases(draw):
    """Random graphs of sequences that have steps, with cells that every framework has."""
    case = draw(describable())
    assume(all(len(sequence) for sequence in case.sequences))

    def usual(layer):
        # Written as a scale and an offset, normalization is no module of torch's.
        if layer == Activation("hard_sigmoid") or isinstance(layer, Scale):
            return Activation("tanh")
        if not isinstance(layer, Lstm):
            return layer
        projected = layer.cells[0].projection is not None
        assume(not projected or layer.cells[0].output_size < layer.cells[0].hidden_size)
        return replace(layer, activation="tanh", gate_activation="sigmoid")

    nodes = tuple(replace(node, layer=usual(node.layer)) for node in case.model.nodes)
    return case._replace(model=replace(case.model, nodes=nodes))


def torchs_name(name):
    """What torch calls an array that `convert` names."""
    layer, *_, role = name.split(".")
    roles = {"input": "weight_ih", "recurrent": "weight_hh", "projection": "weight_hr"}
    if layer.startswith("lstm"):
        role = {**roles, "bias": "bias_ih"}.get(role, role)
        return f"{layer}.{role}_l0{'_reverse' if '.backward.' in name else ''}"
    return f"{layer}.{'weight' if role == 'weights' else role}"


def engine_scores(model, sequence):
    packing = Packing(np.array([len(sequence)]))
    given = Given(sequence, packing, model.only_input.embedding)
    return Runner(model).forward([given]).scores


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(case=random_cases())
def test_random_graphs_in_torch(framework, case):
    """As they are converted and loaded again, by the names that torch gives to weights."""
    torch = framework("torch")
    model = case.model
    found = convert(model, "model")
    names = {name: torchs_name(name) for name in found.arrays}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.pt"
        torch.save({names[name]: torch.tensor(a) for name, a in found.arrays.items()}, path)
        text = commented("A model.", found.document, {})
        for name in sorted(names, key=len, reverse=True):
            text = re.sub(rf"(?<![\w.]){re.escape(name)}(?![\w.])", names[name], text)
        path.with_suffix(".yaml").write_text(text, "utf-8")
        loaded = load_model(path, None, model.dtype)
        ran = open_torch(loaded)
        for sequence in case.sequences:
            ours = engine_scores(loaded.model, sequence)
            [theirs] = ran.run(sequence[np.newaxis])
            np.testing.assert_allclose(theirs, ours.reshape(theirs.shape), rtol=1e-9, atol=1e-10)


class TestHostileFiles:
    """The person's framework is given a stranger's file: it must not run what that names."""

    @pytest.fixture
    def keras_file(self, tmp_path):
        """A Keras file whose architecture is changed, with a mapping so that lrp needs it not."""
        path = tmp_path / "model.h5"
        path.write_bytes((GOLDEN / "keras2" / "no_biases.h5").read_bytes())

        def change(layer):
            with h5py.File(path, "r+") as file:
                config = json.loads(file.attrs["model_config"])
                config["config"]["layers"].append(layer)
                file.attrs["model_config"] = json.dumps(config).encode()
            return path

        return change

    @pytest.mark.parametrize(
        "layer",
        [
            {"class_name": "Lambda", "config": {"name": "x", "function": ["4wEA", None, None]}},
            {"module": "os", "class_name": "system", "config": "true"},
            {"module": "keras.utils", "class_name": "function", "config": "get_file"},
            {"module": "keras.layers", "class_name": "TorchModuleWrapper", "config": {}},
            {"module": "builtins", "class_name": "eval", "config": "1"},
            {
                "module": "keras.layers",
                "class_name": "Dense",
                "config": {"units": {"module": "subprocess", "class_name": "run", "config": {}}},
            },
        ],
        ids=lambda layer: layer["class_name"],
    )
    def test_an_architecture_that_names_code(self, run, framework, keras_file, layer, tmp_path):
        framework("keras")
        mapping = tmp_path / "given.yaml"
        run("inspect", GOLDEN / "keras2" / "no_biases.h5", "--write-mapping", mapping)
        (tmp_path / "ids.txt").write_text("1 2 3\n")
        arguments = ("--ids", "--mapping", mapping, "--against", "keras")
        result = run("check", keras_file(layer), tmp_path / "ids.txt", *arguments)
        assert result.exit_code == 3
        assert "which may be code" in result.stderr

    def test_a_torch_that_a_file_can_have_run_code(self, run, framework, monkeypatch, tmp_path):
        torch = framework("torch")
        modules = {"lstm": torch.nn.LSTM(3, 4), "head": torch.nn.Linear(4, 2)}
        torch.save(torch.nn.ModuleDict(modules).state_dict(), tmp_path / "model.pt")
        monkeypatch.setattr(torch, "__version__", "2.5.1")
        result = run("check", tmp_path / "model.pt", "--assume", "--against", "torch")
        assert result.exit_code == 3
        assert "CVE-2025-32434" in result.stderr

    def test_torchscript(self, run, framework, tmp_path):
        torch = framework("torch")
        script = torch.jit.script(torch.nn.LSTM(3, 4))
        script.save(str(tmp_path / "model.pt"))
        result = run("check", tmp_path / "model.pt", "--against", "torch")
        assert result.exit_code == 3
        assert "is a TorchScript program. Save its state dict:" in result.stderr
