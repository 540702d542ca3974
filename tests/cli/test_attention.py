"""`lrp explain --attention`: weights beside relevance, in JSON lines."""

import numpy as np
import pytest
from models import json_lines

PAD, WORD = 0, "the"  # which a mask passes over


@pytest.fixture
def attending(small):
    """A model of tokens that weighs the steps of its LSTM, for each of the two units."""
    small.lstm["returns"] = "sequence"
    embedding, lstm, dense = small.mapping["layers"]
    small.mapping["layers"] = [
        embedding,
        {"name": "steps", **lstm},
        {"name": "weights", "softmax": "steps"},
        {"merge": "gate", "from": ["weights", "steps"]},
        {"pool": "sum"},
        dense,
    ]
    small.save()
    return small


def told(run, model, *options, text="film is not bad\nnot\n"):
    result = run("explain", model, "-", "--attention", "--format", "jsonl", *options, input=text)
    assert result.exit_code == 0, result.stderr
    return json_lines(result.stdout)


def test_weights_stand_beside_the_tokens(run, attending):
    for line in told(run, attending.path):
        [layer] = line["attention"]
        assert list(layer) == ["layer", "queries", "keys", "weights", "padding"]
        assert (layer["layer"], layer["queries"], layer["keys"]) == ("softmax_1", None, "input")
        weights = np.array(layer["weights"])
        assert weights.shape == (2, 1, len(line["tokens"])) == (2, 1, len(line["relevance"]))
        np.testing.assert_allclose(weights.sum(axis=2), 1.0)
        assert layer["padding"] == [[0.0], [0.0]]


def test_masked_words_and_padding(run, attending):
    text = f"film {WORD} bad\n"
    attending.mapping["padding"] = {"masked": True, "value": PAD}
    [line] = told(run, attending.save(), text=text)
    [[first], _] = line["attention"][0]["weights"]
    assert first[1] is None is line["relevance"][1]
    assert first[0] + first[2] == pytest.approx(1.0)
    attending.mapping["padding"] = {"length": 5, "side": "pre", "value": PAD, "truncate": "post"}
    short, long = told(run, attending.save(), text="film bad\nfilm is not bad film not is\n")
    of_short, of_long = (each["attention"][0] for each in (short, long))
    for [weights], [padding] in zip(of_short["weights"], of_short["padding"], strict=True):
        assert len(weights) == 2
        assert 0.1 < padding < 1.0
        assert sum(weights) + padding == pytest.approx(1.0)
    [[weights], _] = of_long["weights"]
    assert weights[5:] == [None, None]
    assert sum(weights[:5]) == pytest.approx(1.0)
    assert of_long["padding"] == [[0.0], [0.0]]


def test_methods_and_targets_have_the_same(run, attending):
    lines = told(run, attending.path, "--method", "lrp-all,occlusion", "--target", "all")
    assert len(lines) == 2 * 2 * 3
    for number in (0, 1):
        first, *others = [each["attention"] for each in lines if each["sequence"] == number]
        assert all(each == first for each in others)
    assert lines[0]["attention"] != lines[-1]["attention"]


def test_processes_tell_what_one_does(run, attending):
    text = "film is not bad\nnot bad\n" * 4000
    assert told(run, attending.path, "--jobs", 2, text=text) == told(
        run, attending.path, "--jobs", 1, text=text
    )


def test_relevance_is_what_it_is_without(run, attending):
    result = run("explain", attending.path, "-", "--format", "jsonl", input="film is\n")
    [line] = json_lines(result.stdout)
    [with_weights] = told(run, attending.path, text="film is\n")
    del with_weights["attention"]
    assert line == with_weights


@pytest.mark.parametrize("form", ["tsv", "parquet", "npz", "html", "markdown", "terminal"])
def test_other_formats_have_no_place(run, attending, form):
    result = run(
        "explain", attending.path, "-", "--attention", "--format", form, "-o", "x", input="film\n"
    )
    assert result.exit_code == 2
    wanted = f"--attention: {form} has no place for attention weights; expected --format jsonl."
    assert wanted in " ".join(result.stderr.split())


def test_a_model_without_attention(run, small):
    result = run("explain", small.save(), "-", "--attention", "--format", "jsonl", input="film\n")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "--attention: the model has no attention weights" in " ".join(result.stderr.split())
