"""Whether scores are of classes or values is told where a file does not say it, and no class is
predicted until somebody does."""

import json
import re

import h5py
import numpy as np
import pytest
from models import TESTS

from lstm_lrp_cli.loading.files.safetensors import write_safetensors

GOLDEN = TESTS / "golden"
# A model of embedding, LSTM and a linear layer of three units, which was not compiled.
LINEAR = GOLDEN / "keras2" / "no_biases.h5"
WARNING = "its scores are of no classes, so none is predicted (task or labels)"


@pytest.fixture
def keras_file(tmp_path):
    """A copy of the model with a loss, and another last activation."""

    def make(loss, activation="linear", units=3):
        path = tmp_path / "model.h5"
        path.write_bytes(LINEAR.read_bytes())
        with h5py.File(path, "r+") as file:
            document = json.loads(file.attrs["model_config"])
            [group] = [each for name, each in file["model_weights"].items() if "dense" in name]
            [name] = group.attrs["weight_names"]
            kernel = group[name][:, :units]
            del group[name]
            group[name] = kernel
            document["config"]["layers"][-1]["config"] |= {"activation": activation, "units": units}
            file.attrs["model_config"] = json.dumps(document)
            if loss is not None:
                file.attrs["training_config"] = json.dumps({"loss": loss})
        (tmp_path / "ids.txt").write_text("1 2 3\n4 5\n")
        return path

    return make


@pytest.fixture
def state_dict(tmp_path):
    """A state dict of an LSTM and one linear layer."""

    def make(outputs):
        rng = np.random.default_rng(1)
        shapes = {
            "lstm.weight_ih_l0": (8, 3), "lstm.weight_hh_l0": (8, 2),
            "lstm.bias_ih_l0": (8,), "lstm.bias_hh_l0": (8,),
            "fc.weight": (outputs, 2), "fc.bias": (outputs,),
        }  # fmt: skip
        arrays = {name: rng.normal(size=shape) for name, shape in shapes.items()}
        path = tmp_path / "model.safetensors"
        with path.open("wb") as file:
            write_safetensors(file, arrays)
        np.save(tmp_path / "x.npy", rng.normal(size=(2, 5, 3)))
        return path

    return make


@pytest.fixture
def predicted(run, tmp_path):
    """What `lrp predict` tells of each sequence, and on standard error."""

    def predict(model, source, *options):
        result = run("predict", model, tmp_path / source, "--format", "jsonl", *options)
        assert result.exit_code == 0, result.output
        return [json.loads(line) for line in result.stdout.splitlines()], result.stderr

    return predict


OWN = {"class_name": "function", "config": "my_loss", "module": "builtins"}
OWN_CLASS = {"class_name": "MeanSquaredError", "module": "mine", "config": {}}


class TestKerasFiles:
    @pytest.mark.parametrize("loss", [None, "my_loss", OWN, OWN_CLASS, "hinge"])
    @pytest.mark.parametrize("units", [1, 3])
    @pytest.mark.parametrize("activation", ["linear", "relu"])
    def test_a_loss_of_its_own_tells_of_no_class(
        self, keras_file, predicted, loss, units, activation
    ):
        found, told = predicted(keras_file(loss, activation, units), "ids.txt", "--ids")
        assert [each.get("predicted") for each in found] == [None, None]
        assert {each.get("probabilities") for each in found} == {None}
        assert all(len(each["scores"]) == units for each in found)
        assert WARNING in told

    @pytest.mark.parametrize(
        ("loss", "units"),
        [
            ("sparse_categorical_crossentropy", 3),
            ({"class_name": "CategoricalCrossentropy", "config": {"from_logits": True}}, 3),
            (["binary_crossentropy"], 1),
            ({"dense_1": "binary_crossentropy"}, 1),
        ],
    )
    def test_a_loss_of_classes(self, keras_file, predicted, loss, units):
        if isinstance(loss, dict) and "dense_1" in loss:
            with h5py.File(keras_file(None, units=units)) as file:
                layers = json.loads(file.attrs["model_config"])["config"]["layers"]
            loss = {layers[-1]["config"]["name"]: "binary_crossentropy"}
        found, told = predicted(keras_file(loss, units=units), "ids.txt", "--ids")
        for each in found:
            scores = each["scores"]
            taken = int(scores[0] > 0) if units == 1 else int(np.argmax(scores))
            assert each["predicted"] == taken
        assert "warning" not in told

    @pytest.mark.parametrize("loss", ["mse", "LogCosh", "mean_absolute_error", "huber_loss"])
    def test_a_loss_of_values(self, keras_file, predicted, loss):
        found, told = predicted(keras_file(loss), "ids.txt", "--ids")
        assert [each.get("predicted") for each in found] == [None, None]
        assert "warning" not in told

    def test_several_logits_of_a_yes_or_no_each_are_no_classes(self, keras_file, predicted):
        """A softmax would make of them what the model does not."""
        found, told = predicted(keras_file("binary_crossentropy"), "ids.txt", "--ids")
        assert [each.get("predicted") for each in found] == [None, None]
        assert WARNING in told

    @pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
    def test_a_last_activation_of_classes_says_it(self, keras_file, predicted, activation):
        _, told = predicted(keras_file(OWN, activation, 1), "ids.txt", "--ids")
        assert "warning" not in told

    @pytest.mark.parametrize("loss", ["binary_crossentropy", None, "my_loss"])
    def test_several_sigmoids_may_be_of_labels_of_which_several_hold(
        self, keras_file, predicted, tmp_path, loss
    ):
        """Of which the highest need not be the class: that it is taken for it is told."""
        path = keras_file(loss, "sigmoid")
        found, told = predicted(path, "ids.txt", "--ids")
        assert [each["predicted"] for each in found] == [
            int(np.argmax(each["scores"])) for each in found
        ]
        assert "its 3 scores, each with a sigmoid, the highest is the predicted class" in told
        for said in ("labels: [a, b, c]", "task: classification", "task: regression"):
            (tmp_path / "model.yaml").write_text(f"format: 1\n{said}\n")
            assert "warning" not in predicted(path, "ids.txt", "--ids")[1]

    def test_several_sigmoids_with_a_loss_of_classes(self, keras_file, predicted):
        _, told = predicted(keras_file("categorical_crossentropy", "sigmoid"), "ids.txt", "--ids")
        assert "warning" not in told

    @pytest.mark.parametrize("loss", ["mse", "mean_absolute_error", ["huber_loss"]])
    def test_a_sigmoid_with_a_loss_of_values(self, keras_file, predicted, tmp_path, loss):
        path = keras_file(loss, "sigmoid", 1)
        found, told = predicted(path, "ids.txt", "--ids")
        assert [each["predicted"] for each in found] == [
            int(each["scores"][0] > 0) for each in found
        ]
        assert "its sigmoid is of classes, though its loss, " in told
        for said, none in (("task: regression", True), ("labels: [no, yes]", False)):
            (tmp_path / "model.yaml").write_text(f"format: 1\n{said}\n")
            found, told = predicted(path, "ids.txt", "--ids")
            assert "warning" not in told
            assert all((each["predicted"] is None) == none for each in found)


class TestUntilSomebodySaysIt:
    @pytest.mark.parametrize(
        "said", ["task: classification", "labels: [a, b, c]"], ids=["task", "labels"]
    )
    def test_classes(self, keras_file, predicted, tmp_path, said):
        path = keras_file(OWN)
        (tmp_path / "model.yaml").write_text(f"format: 1\n{said}\n")
        found, told = predicted(path, "ids.txt", "--ids")
        classes = ["a", "b", "c"] if "labels" in said else [0, 1, 2]
        assert [each["predicted"] for each in found] == [
            classes[int(np.argmax(each["scores"]))] for each in found
        ]
        assert all(sum(each["probabilities"]) == pytest.approx(1) for each in found)
        assert "warning" not in told

    @pytest.mark.parametrize("task", ["regression", "unknown"])
    def test_no_classes(self, keras_file, predicted, tmp_path, task):
        path = keras_file(OWN)
        (tmp_path / "model.yaml").write_text(f"format: 1\ntask: {task}\n")
        found, told = predicted(path, "ids.txt", "--ids")
        assert [each.get("predicted") for each in found] == [None, None]
        assert "warning" not in told

    def test_a_heat_map_calls_no_output_a_class_or_a_bare_number(self, keras_file, run, tmp_path):
        path = keras_file(OWN)
        (tmp_path / "model.yaml").write_text("format: 1\ntask: regression\n")
        shown = run("explain", path, tmp_path / "ids.txt", "--ids", "--format", "terminal", "-q")
        headings = [line for line in shown.stdout.splitlines() if line.startswith(("0  ", "1  "))]
        outputs = [re.fullmatch(r"[01]  output ([012]) [+-]\d+\.\d{3}", line) for line in headings]
        assert [found and found[1] for found in outputs] == ["0", "1", "2"] * 2

    @pytest.mark.parametrize("command", ["explain", "predict", "evaluate"])
    def test_labels_of_sequences_need_it(self, keras_file, run, tmp_path, command):
        path = keras_file(OWN)
        (tmp_path / "labelled.txt").write_text("1\t1 2 3\n")
        result = run(command, path, tmp_path / "labelled.txt", "--labelled", "--ids")
        assert result.exit_code == 2
        assert "add `task: classification` to its mapping" in result.stderr

    def test_a_written_mapping_does_not_say_more(self, keras_file, predicted, run, tmp_path):
        path = keras_file(OWN)
        shown = run("inspect", path, "--write-mapping", tmp_path / "model.yaml")
        assert "unknown: no class is predicted but by a softmax" in " ".join(shown.stdout.split())
        assert "task: unknown" in (tmp_path / "model.yaml").read_text()
        found, _ = predicted(path, "ids.txt", "--ids")
        assert [each.get("predicted") for each in found] == [None, None]

    def test_classes_are_not_compared_with_what_may_be_none(self, keras_file, run, tmp_path):
        path = keras_file(OWN)
        (tmp_path / "classes.yaml").write_text("format: 1\ntask: classification\n")
        source = ("--input", tmp_path / "ids.txt", "--ids")
        result = run("compare", path, path, *source, "--mapping-b", tmp_path / "classes.yaml")
        assert result.exit_code == 3
        assert "does not say whether it predicts classes or values (`task` in" in result.stderr
        result = run("compare", path, path, *source, "--mapping", tmp_path / "classes.yaml")
        assert result.exit_code == 0, result.output

    def test_methods_are_compared_by_the_score_that_is_named(self, keras_file, run, tmp_path):
        """There is no predicted class to go by."""
        asked = ("evaluate", keras_file(OWN), tmp_path / "ids.txt", "--ids", "--min-length", "2")
        result = run(*asked, "--methods", "lrp-all")
        assert result.exit_code == 2
        assert "several scores, and predicts no class; say which is explained" in result.stderr
        result = run(*asked, "--methods", "lrp-all", "--target", "1", "--format", "json")
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout)["explained"] == 1

    @pytest.mark.parametrize("task", ["regression", "unknown"])
    def test_a_target_that_is_not_there_is_no_class(self, keras_file, run, tmp_path, task):
        path = keras_file(OWN)
        (tmp_path / "model.yaml").write_text(f"format: 1\ntask: {task}\n")
        result = run("explain", path, tmp_path / "ids.txt", "--ids", "--target", "3")
        assert result.exit_code == 2
        assert "there is no score '3'; the model has 3, from 0 to 2" in result.stderr

    def test_nor_do_converted_files(self, keras_file, predicted, run, tmp_path):
        converted = tmp_path / "plain.npz"
        assert run("convert", keras_file(OWN), converted).exit_code == 0
        found, _ = predicted(converted, "ids.txt", "--ids")
        assert [each.get("predicted") for each in found] == [None, None]

    def test_predictions_of_either_kind_are_compared(self, keras_file, run, tmp_path):
        """Keras's own predictions may be probabilities all the same."""
        path = keras_file(None, units=1)
        (tmp_path / "model.yaml").write_text("format: 1\ntask: classification\n")
        lines = run("predict", path, tmp_path / "ids.txt", "--ids", "--format", "jsonl", "-q")
        likely = [json.loads(line)["probabilities"] for line in lines.stdout.splitlines()]
        (tmp_path / "model.yaml").unlink()
        np.save(tmp_path / "y.npy", likely)
        expected = ("--expected", tmp_path / "y.npy")
        result = run("check", path, tmp_path / "ids.txt", "--ids", *expected)
        assert result.exit_code == 0, result.output


class TestExplained:
    """What `lrp explain` tells of a model of which nothing says what its scores are of."""

    @pytest.mark.parametrize("units", [1, 3])
    def test_every_score_is_a_target_and_no_class_is_predicted(
        self, keras_file, run, tmp_path, units
    ):
        path = keras_file(OWN, units=units)
        result = run("explain", path, tmp_path / "ids.txt", "--ids", "--format", "jsonl", "-q")
        assert result.exit_code == 0, result.output
        found = [json.loads(line) for line in result.stdout.splitlines()]
        assert [each["target"] for each in found] == [*range(units)] * 2
        assert {each["predicted"] for each in found} == {None}

    def test_the_report_counts_no_class(self, keras_file, run, tmp_path):
        report = tmp_path / "report.json"
        path = keras_file(OWN)
        run(
            "explain", path, tmp_path / "ids.txt", "--ids", "--report", report, "-o", tmp_path / "o"
        )
        document = json.loads(report.read_text())
        assert not document["predicted"]
        assert "accuracy" not in document
        assert any(WARNING in each for each in document["warnings"])


class TestStateDicts:
    def test_several_scores_are_taken_for_classes(self, state_dict, predicted):
        found, told = predicted(state_dict(3), "x.npy")
        assert [each["predicted"] for each in found] == [
            int(np.argmax(each["scores"])) for each in found
        ]
        assert "its 3 scores are of classes, of which the highest is predicted (task or" in told

    def test_a_single_score_is_taken_for_neither(self, state_dict, predicted):
        found, told = predicted(state_dict(1), "x.npy")
        assert [each.get("predicted") for each in found] == [None, None]
        assert WARNING in told

    @pytest.mark.parametrize("said", ["task: classification", "labels: [rain]"])
    def test_until_the_mapping_does(self, state_dict, predicted, tmp_path, said):
        path = state_dict(1)
        (tmp_path / "model.yaml").write_text(f"format: 1\n{said}\n")
        found, told = predicted(path, "x.npy")
        assert None not in [each["predicted"] for each in found]
        assert "its scores" not in told

    def test_layers_that_the_user_describes_are_a_classifier_s_to_match_too(
        self, state_dict, predicted, run, tmp_path
    ):
        """What is found is the model that was given, and predicts what that predicts."""
        path, mapping = state_dict(1), tmp_path / "model.yaml"
        layers = run("inspect", path, "--write-mapping", mapping)
        assert layers.exit_code == 0, layers.output
        mapping.write_text(mapping.read_text().replace("task: unknown", ""))
        found, _ = predicted(path, "x.npy")
        assert None not in [each["predicted"] for each in found]
        np.save(tmp_path / "y.npy", [each["scores"] for each in found])
        asked = ("match", path, tmp_path / "x.npy", "--expected", tmp_path / "y.npy")
        result = run(*asked, "--write-mapping", tmp_path / "matched.yaml", "--format", "json")
        assert result.exit_code == 0, result.output
        assert "task" not in (tmp_path / "matched.yaml").read_text()
        assert json.loads(result.stdout)["warnings"] == []
        again, told = predicted(path, "x.npy", "--mapping", tmp_path / "matched.yaml")
        assert again == found
        assert "warning" not in told

    def test_probabilities_that_match_say_that_a_score_is_of_a_class(
        self, state_dict, run, tmp_path
    ):
        path = state_dict(1)
        rows = run("predict", path, tmp_path / "x.npy", "--format", "jsonl", "-q").stdout
        scores = np.array([json.loads(row)["scores"] for row in rows.splitlines()])
        for numbers, said in ((scores, "unknown"), (1 / (1 + np.exp(-scores)), "classification")):
            np.save(tmp_path / "y.npy", numbers)
            asked = ("match", path, tmp_path / "x.npy", "--expected", tmp_path / "y.npy")
            result = run(*asked, "--write-mapping", tmp_path / "found.yaml")
            assert result.exit_code == 0, result.output
            assert f"task: {said}" in (tmp_path / "found.yaml").read_text()
            assert (WARNING in result.stderr) == (said == "unknown")

    def test_what_is_assumed_of_one_side_is_told_though_the_other_is_the_same_file(
        self, state_dict, run, tmp_path
    ):
        path, mapping = state_dict(3), tmp_path / "said.yaml"
        assert run("inspect", path, "--write-mapping", mapping).exit_code == 0
        result = run(
            *("compare", path, path, "--mapping-b", mapping),
            *("--input", tmp_path / "x.npy", "--format", "json"),
        )
        assert result.exit_code == 0, result.output
        document = json.loads(result.stdout)
        [told] = document["assumptions"].values()
        assert any("3 scores are of classes" in each for each in told)
        warnings = [line for line in result.stderr.splitlines() if "warning: " in line]
        assert [line.removeprefix("lrp: warning: ") for line in warnings] == document["warnings"]


def test_onnx(run, predicted, tmp_path):
    """A graph that ends in a linear layer says no more than a state dict."""
    path = GOLDEN / "onnx" / "mean_pool.onnx"
    pytest.importorskip("onnx")
    sequences = json.loads((GOLDEN / "onnx" / "expected.json").read_text())["mean_pool"]
    sequences = sequences["sequences"]
    key = "values" if np.ndim(sequences[0]) == 2 else "tokens"
    lines = (json.dumps({key: each}) + "\n" for each in sequences)
    (tmp_path / "in.jsonl").write_text("".join(lines))
    found, told = predicted(path, "in.jsonl")
    scores = len(found[0]["scores"])
    assert f"its {scores} scores are of classes" in told
