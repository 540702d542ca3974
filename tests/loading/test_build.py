"""Layers that are no chain: what a mapping connects, and what it cannot."""

import numpy as np
import pytest
import yaml
from models import json_lines

from lstm_lrp_cli.loading.layers import KINDS
from lstm_lrp_cli.loading.load import load_model
from lstm_lrp_cli.model.layers import MODEL_INPUT, Dense, Merge, Pool, StepSoftmax
from lstm_lrp_cli.model.model import Head

FLOAT64 = np.dtype(np.float64)


@pytest.fixture
def load(small):
    def load(**others):
        small.mapping.update(others)
        return load_model(small.save(), None, FLOAT64).model

    return load


@pytest.fixture
def refused(run, small):
    def refused():
        result = run("explain", small.save(), small.write("in.txt", "not bad\n"))
        assert result.exit_code == 3, result.output
        return result.stderr

    return refused


@pytest.fixture
def graph(small):
    """Embedding, LSTM of every step, and whatever layers follow; `V` is of two units."""

    def graph(*layers, **others):
        embedding, lstm, dense = small.mapping["layers"]
        small.lstm["returns"] = "sequence"
        small.mapping["layers"] = [embedding, {"name": "states", **lstm}, *layers, dense]
        small.mapping.update(others)

    return graph


def test_layers_without_from_are_a_chain(load):
    model = load()
    assert [node.sources for node in model.nodes] == [(MODEL_INPUT,), (0,)]
    assert model.outputs == (1,)


def test_a_join_of_named_layers(load, graph):
    graph(
        {"name": "mean", "pool": "mean"},
        {"name": "max", "pool": "max", "from": "states"},
        {"merge": "sum", "from": ["mean", "max"]},
    )
    model = load()
    assert [node.sources for node in model.nodes] == [(MODEL_INPUT,), (0,), (0,), (1, 2), (3,)]
    assert isinstance(model.nodes[3].layer, Merge)


def test_the_input_can_be_named(load, graph, small):
    small.arrays["V"] = np.ones((3, 5))
    graph({"merge": "concat", "from": ["states", "input"]}, {"pool": "max"})
    assert load().nodes[1].sources == (0, MODEL_INPUT)


def test_attention_is_made_of_its_parts(load, graph, small):
    small.arrays |= {"v": np.array([[1.0, -1.0]]), "v0": np.array([0.5])}
    graph({"attention": {"weights": "v", "bias": "v0"}})
    model = load()
    _, scores, weights, gate, total, _ = model.nodes
    assert isinstance(scores.layer, Dense)
    assert weights.layer == StepSoftmax()
    assert (gate.layer, gate.sources) == (Merge("gate"), (2, 0))
    assert total.layer == Pool("sum")


@pytest.mark.parametrize("shape", [(2,), (1, 2), (2, 1)])
def test_attention_takes_its_vector_in_any_shape(load, graph, small, shape):
    small.arrays["v"] = np.array([3.0, 4.0]).reshape(shape)
    graph({"attention": {"weights": "v"}})
    assert load().nodes[1].layer.weights.tolist() == [[3.0, 4.0]]


def test_batch_normalization_is_one_factor_and_one_offset(load, graph, small):
    small.arrays |= {"m": [1.0, 2.0], "s2": [3.0, 8.0], "k": [2.0, 5.0], "o": [0.5, -0.5]}
    graph(
        {
            "batch_norm": {
                "mean": "m", "variance": "s2", "scale": "k", "offset": "o", "epsilon": 1.0
            }
        },
        {"pool": "mean"},
    )  # fmt: skip
    scale = load().nodes[1].layer
    np.testing.assert_allclose(scale.factors, [2 / 2, 5 / 3])
    np.testing.assert_allclose(scale.offsets, [0.5 - 1.0, -0.5 - 2 * 5 / 3])


def test_scale_and_offset_alone(load, graph, small):
    """As exporters write normalization that they have worked out; one number stands for all."""
    small.arrays |= {"k": [2.0, 5.0], "o": [0.5]}
    graph(
        {"batch_norm": {"scale": "k"}}, {"batch_norm": {"offset": "o"}}, {"pool": "mean"}
    )  # fmt: skip
    scaled, shifted = (node.layer for node in load().nodes[1:3])
    assert (scaled.factors.tolist(), scaled.offsets.tolist()) == ([2.0, 5.0], [0.0, 0.0])
    assert (shifted.factors.tolist(), shifted.offsets.tolist()) == ([1.0, 1.0], [0.5, 0.5])


class TestOutputs:
    @pytest.fixture
    def two(self, small):
        small.arrays |= {"V2": np.ones((1, 2))}
        embedding, lstm, dense = small.mapping["layers"]
        small.mapping["layers"] = [
            embedding,
            {"name": "state", **lstm},
            {"name": "class", **dense, "from": "state"},
            {
                "name": "likely",
                "from": "state",
                "dense": {
                    "weights": "V2",
                    "layout": "classes_by_features",
                    "activation": "sigmoid",
                },
            },
        ]
        return small

    def test_several_are_side_by_side(self, load, two):
        model = load(outputs=["likely", "class"])
        assert model.heads == (Head(1, "sigmoid", "likely"), Head(3, "linear", "class"))
        assert model.classes == 4
        assert model.outputs == (2, 1)

    def test_each_has_its_own_prediction(self, run, two):
        two.mapping["outputs"] = ["likely", "class"]
        path = two.save()
        text = two.write("in.txt", "not bad\n")
        found = json_lines(run("explain", path, text, "--format", "jsonl", "-q").stdout)
        best = int(np.argmax(found[0]["scores"][1:])) + 1
        assert [each["target"] for each in found] == [0, best]
        assert [each["output"] for each in found] == ["likely", "class"]
        assert [each["predicted"] for each in found] == [int(found[0]["scores"][0] > 0), best]

    def test_one_that_is_not_named_leads_nowhere(self, refused, two):
        assert "layers[2].dense: feeds no other layer, and is no output" in refused()

    def test_of_no_layer(self, refused, two):
        two.mapping["outputs"] = ["klass"]
        assert "outputs: there is no layer named `klass`" in refused()

    def test_by_step_and_once(self, refused, two):
        two.lstm["returns"] = "sequence"
        two.mapping["layers"].append({"name": "end", "pool": "last", "from": "state"})
        two.mapping["outputs"] = ["class", "likely", "end"]
        assert "outputs: some give a score at every step" in refused()


def test_every_output_of_a_regressor_is_a_target(run, small):
    small.mapping["task"] = "regression"
    path, text = small.save(), small.write("in.txt", "not bad\n")
    assert load_model(path, None, FLOAT64).model.heads == (Head(1),) * 3
    result = run("explain", path, text, "--format", "jsonl")
    found = json_lines(result.stdout)
    assert [each["target"] for each in found] == [0, 1, 2]
    assert "predicted" not in result.stderr


class TestFlatten:
    def test_fixes_the_number_of_steps(self, run, small, graph):
        small.arrays["V"] = np.ones((3, 6))
        graph({"flatten": {"steps": 3}}, padding={"length": 3})
        path = small.save()
        short = small.write("short.txt", "not bad\n\nthe film is\n")
        assert run("check", path, short).exit_code == 0
        long = run("explain", path, small.write("long.txt", "the film is not\n"))
        assert long.exit_code == 3
        assert "sequence 0: has 4 steps, and the model lays just 3 side by side" in long.stderr

    @pytest.mark.parametrize("steps", [0, -1, 2**40])
    def test_of_no_honest_number_of_steps(self, refused, graph, steps):
        graph({"flatten": {"steps": steps}})
        assert f"layers[2].flatten: steps: found {steps}; expected 1 to" in refused()


@pytest.mark.parametrize(
    ("layers", "problem"),
    [
        ([{"pool": "mean", "from": "nothing"}], "`from` names `nothing`; no layer above"),
        ([{"pool": "mean", "from": ["states", "input"]}], "`from` names 2 layers; expected one"),
        ([{"pool": "mean", "from": []}], "`from` names 0 layers; expected one"),
        ([{"merge": "sum"}], "joins layers; name two or more"),
        ([{"merge": "sum", "from": ["states", "input"]}], "has sources of 2 and 3 units"),
        ([{"merge": "gate", "from": ["states", "input"]}], "expected a gate, of 1 or as many"),
        (
            [{"name": "end", "pool": "last"}, {"merge": "concat", "from": ["end", "states"]}],
            "a value of every step and one of the whole sequence",
        ),
        ([{"name": "states", "pool": "last"}], "the name `states` is taken"),
        ([{"name": "input", "pool": "last"}], "the name `input` is taken"),
        ([{"pool": "last"}, {"reverse": "steps"}], "the layer before gives no sequence"),
        ([{"pool": "last"}, {"softmax": "steps"}], "the layer before gives no sequence"),
        ([{"pool": "last"}, {"flatten": {"steps": 2}}], "the layer before gives no sequence"),
        ([{"attention": {"weights": "E"}}], "has shape (5, 3); expected a vector of 2"),
        ([{"attention": {"weights": "b"}}], "has shape (8); expected a vector of 2"),
        ([{"attention": {"weights": "two", "bias": "two"}}], "has 2 values; expected 1"),
        ([{"batch_norm": {"mean": "b", "variance": "b"}}], "has 8 values; expected 2"),
        ([{"batch_norm": {"mean": "two", "variance": "c"}}], "has 3 values; expected 2"),
        ([{"batch_norm": {"mean": "two", "variance": "less"}}], "is not positive"),
        ([{"batch_norm": {}}], "layers[2].batch_norm: names no dataset"),
        ([{"pooling": "mean"}], "unknown key `pooling`; did you mean `pool`?"),
        ([{"attention": {"weight": "two"}}], "unknown key `weight`; did you mean `weights`?"),
        ([{"from": "states"}], f"found nothing; expected one of {', '.join(KINDS)}"),
    ],
)  # fmt: skip
def test_what_cannot_be_connected(refused, graph, small, layers, problem):
    small.arrays |= {"two": np.ones(2), "less": -np.ones(2)}
    graph(*layers)
    message = refused()
    assert problem in message
    assert message.startswith("lrp: ")
    assert message.count("\n") == 1


def test_the_whole_mapping_is_written_and_loads_to_the_same_scores(run, graph, small):
    small.arrays |= {"v": np.array([1.0, -1.0]), "V": np.ones((3, 4)), "m": np.ones(2)}
    graph(
        {"name": "weighed", "attention": {"weights": "v"}},
        {"name": "normal", "from": "states", "batch_norm": {"mean": "m", "variance": "m"}},
        {"name": "end", "pool": "last"},
        {"merge": "concat", "from": ["weighed", "end"]},
        task="regression",
    )
    path, text = small.save(), small.write("in.txt", "not bad\nthe film\n")
    before = run("explain", path, text, "--format", "jsonl", "-q").stdout
    whole = small.folder / "whole.yaml"
    assert run("inspect", path, "--write-mapping", whole).exit_code == 0
    assert yaml.safe_load(whole.read_text())["task"] == "regression"
    after = run("explain", path, text, "--format", "jsonl", "-q", "--mapping", whole)
    assert after.stdout == before
