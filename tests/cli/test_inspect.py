"""`lrp inspect`: what is in a file, and the mapping it amounts to."""

import json

import pytest
from models import KERAS, PYTORCH, WEATHER

SAMPLES = pytest.mark.parametrize(
    "sample", [PYTORCH, KERAS, WEATHER], ids=["pytorch", "keras", "weather"]
)


def test_shows_layers_shapes_and_parameters(run):
    result = run("inspect", PYTORCH.model)
    assert result.exit_code == 0
    for shown in ("4,705 tokens", "forward and backward", "Why_Left float32 (3, 60)", "341,220"):
        assert shown in result.stdout


def test_says_what_was_inferred_and_from_what(run):
    document = json.loads(run("inspect", KERAS.model, "--format", "json").stdout)
    assert document["origins"]["layers"] == "model_config in model.h5"
    assert document["origins"]["vocabulary"] == "model.yaml"
    assert document["output_activation"] == "softmax"
    assert "gate order i, f, g, o" in document["layers"][1]["what"]


def test_names_unused_datasets(run, small):
    import numpy as np

    small.arrays["optimizer/step"] = np.ones(3)
    path = small.save()
    assert json.loads(run("inspect", path, "--format", "json").stdout)["unused"] == [
        "optimizer/step"
    ]
    assert "unused datasets: optimizer/step float64 (3)" in run("inspect", path).stdout


def test_says_which_side_of_the_padding_nobody_said(run, small):
    small.mapping["padding"] = {"length": 9, "truncate": "post"}
    path = small.save()
    document = json.loads(run("inspect", path, "--format", "json").stdout)
    assert document["padding"] == {
        "side": "pre",
        "length": 9,
        "value": 0,
        "masked": False,
        "truncate": "post",
        "not_said": ["side"],
    }
    said = "side pre (not said), length 9, value 0, masked false, truncate post"
    assert said in run("inspect", path).stdout
    small.mapping["padding"] = {"length": 9, "masked": True}
    path = small.save()
    said = "side pre, length 9, value 0, masked true, truncate null (not said)"
    assert said in run("inspect", path).stdout


def test_names_the_unknown_token_that_it_inferred(run, small):
    small.vocabulary = "<unk>\nfilm\nis\nnot\nbad\n"
    assert "unknown ones are <unk> (id 0)" in run("inspect", small.save()).stdout


def test_says_what_each_kind_of_layer_is(run, small):
    import numpy as np

    small.arrays |= {"K": np.ones((4, 3, 2)), "G": np.ones((6, 4)), "H": np.ones((6, 2))}
    by_gates = {"gate_order": ["z", "r", "n"], "layout": "gates_by_features"}
    kernel = {"weights": "K", "layout": "outputs_inputs_width", "padding": "causal"}
    embedding, _, dense = small.mapping["layers"]
    small.mapping["layers"] = [
        embedding,
        {"convolution": kernel},
        {"windows": {"kind": "mean", "size": 2}},
        {
            "name": "read",
            "gru": {**by_gates, "forward": {"input": "G", "recurrent": "H"}, "returns": "sequence"},
        },
        {"each": {"steps": 1, "layers": [{"pool": "max"}]}},
        {"name": "last", "pool": "last"},
        dense,
        {"same": "last", "from": "read", "name": "again"},
    ]
    small.mapping["layers"][6]["name"] = "scores"
    small.mapping["outputs"] = ["scores", "again"]
    document = json.loads(run("inspect", small.save(), "--format", "json").stdout)
    what = [layer["what"] for layer in document["layers"]]
    assert what[1:6] + what[7:] == [
        "3 to 4 units, windows of 2 steps, stride 1, dilation 1, padding causal, groups 1, "
        "activation linear",
        "kind mean, size 2, padding valid, counts_padding false, dilation 1",
        "2 units, forward, returns sequence, gate order z, r, n, sigmoid gates, "
        "reset gate after the product",
        "1 layer for every 1 step",
        "last",
        "last once more, from read",
    ]


def test_lists_the_datasets_of_a_file_that_says_no_more(run, small):
    path = small.save()
    path.with_suffix(".yaml").unlink()
    result = run("inspect", path)
    assert result.exit_code == 0
    assert all(name in result.stdout for name in small.arrays)
    assert "does not say its architecture; describe it in model.yaml" in result.stderr
    document = json.loads(run("inspect", path, "--format", "json").stdout)
    assert document["datasets"]["W"] == {"shape": [8, 3], "dtype": "float64"}


def test_counts_parameters_as_the_file_keeps_them(run, small):
    document = json.loads(run("inspect", small.save(), "--format", "json").stdout)
    assert document["parameters"] == sum(array.size for array in small.arrays.values())


def test_shows_names_from_a_file_as_they_are(run, small):
    """No name is taken for a style or an escape sequence of the terminal."""
    small.mapping["labels"] = ["[bold]good[/]", "b\x1b[31mad", "c"]
    result = run("inspect", small.save())
    assert "[bold]good[/], b\\x1b[31mad, c" in result.stdout


class TestWriteMapping:
    @SAMPLES
    def test_loads_to_the_same_model(self, run, sample, tmp_path):
        written = tmp_path / "elsewhere" / "mapping.yaml"
        written.parent.mkdir()
        assert run("inspect", sample.model, "--write-mapping", written).exit_code == 0
        arguments = (sample.sequences, "--format", "jsonl", "-q", "--target", "all")
        before = run("explain", sample.model, *arguments)
        after = run("explain", sample.model, "--mapping", written, *arguments)
        assert after.exit_code == 0, after.stderr
        assert after.stdout == before.stdout

    def test_is_complete_and_commented(self, run, tmp_path):
        written = tmp_path / "mapping.yaml"
        run("inspect", KERAS.model, "--write-mapping", written)
        text = written.read_text()
        for key in ("format: 1", "gate_order: [i, f, g, o]", "layout: features_by_gates"):
            assert key in text
        for key in ("recurrent_activation", "forget_bias", "merge", "returns", "unknown", "masked"):
            assert f"{key}:" in text
        assert "# From the input to the scores" in text
        assert "(from model_config in model.h5)" in text

    @pytest.mark.parametrize("name", ["weights by gate", "lists of weights", "vocabulary inside"])
    def test_keeps_every_form_of_weights(self, run, small, name):
        import numpy as np

        arrays = small.arrays
        if name == "weights by gate":
            for key, part in (("input", "W"), ("recurrent", "U"), ("bias", "b")):
                for gate, piece in zip("ifgo", np.split(arrays.pop(part), 4), strict=True):
                    arrays[f"{part}_{gate}"] = piece
                small.lstm["forward"][key] = {gate: f"{part}_{gate}" for gate in "ifgo"}
            del small.lstm["gate_order"]
        elif name == "lists of weights":
            arrays["W1"], arrays["W2"] = np.split(arrays.pop("W"), [1], axis=1)
            small.lstm["forward"]["input"] = ["W1", "W2"]
            small.lstm["forward"]["bias"] = ["b", "b"]
        else:
            arrays["words"] = np.array(small.vocabulary.split())
            small.mapping["vocabulary"] = "words"
        sentences = small.write("in.txt", "the film is not bad\n")
        written = small.folder / "written.yaml"
        assert run("inspect", small.save(), "--write-mapping", written).exit_code == 0
        before = run("explain", small.path, sentences)
        after = run("explain", small.path, sentences, "--mapping", written)
        assert before.exit_code == after.exit_code == 0, after.stderr
        assert before.stdout == after.stdout


def test_a_vocabulary_that_is_set_stands_there_as_it_was_given(run, small, monkeypatch):
    path = small.save()
    (small.folder / "words").mkdir()
    monkeypatch.chdir(small.write("words/vocab.txt", small.vocabulary).parent)
    result = run("inspect", path, "--set", "vocabulary=vocab.txt", "--format", "json")
    assert json.loads(result.stdout)["vocabulary"]["source"] == "vocab.txt"
