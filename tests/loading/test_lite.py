"""Files of TensorFlow Lite that TensorFlow 2.15 converted from Keras 2, and damaged ones.

`tests/golden/tflite/write.py` says how they were made.
"""

import json
import re
import tracemalloc
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.load import load_model
from lstm_lrp_cli.loading.opening import open_arrays

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "tflite"
EXPECTED = json.loads((GOLDEN / "expected.json").read_text("utf-8"))
FLOAT64 = np.dtype(np.float64)
# TensorFlow Lite rounds what a quantized LSTM is given to 8 bits too.
TOLERANCES = {"quantized": 0.03}


@pytest.mark.parametrize("name", EXPECTED)
def test_outputs_are_those_of_tensorflow_lite(run, tmp_path, name):
    path, numbers = GOLDEN / f"{name}.tflite", EXPECTED[name]
    names = [each.name for each in load_model(path, None, FLOAT64).model.inputs]
    lines = []
    for given in zip(*numbers["inputs"], strict=True):
        # Of several inputs TensorFlow may keep another order.
        ids = [each for each in given if not isinstance(each[0], list)]
        others = [each for each in given if isinstance(each[0], list)]
        if len(given) == 1:
            lines.append({"tokens": ids[0]} if ids else {"values": others[0]})
        else:
            [one] = [each for each in names if "ids" in each or each.endswith("_0")]
            [two] = [each for each in names if each != one]
            lines.append({one: ids[0], two: others[0]})
    (tmp_path / "given.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in lines))
    result = run("predict", path, tmp_path / "given.jsonl", "--format", "jsonl")
    assert result.exit_code == 0, result.output
    for line, expected in zip(result.stdout.splitlines(), numbers["outputs"], strict=True):
        found = json.loads(line)
        # A model of one score has a probability of each of two classes, and the last is it.
        ends = np.array(json.loads(json.dumps(found.get("probabilities") or found["scores"])))
        if "softmax" not in str(found) and name in ("heads", "quantized"):
            ends = np.array(found["scores"])
        close = TOLERANCES.get(name, 1e-5)
        np.testing.assert_allclose(ends[-len(expected) :], expected, rtol=close, atol=close)


def test_what_it_cannot_say_is_told(run):
    told = json.loads(run("inspect", GOLDEN / "chain.tflite", "--format", "json").stdout)
    assert [each.split(",")[0] for each in told["assumptions"]] == [
        "every sequence begins in states of zero",
        "no cell state goes beyond 10",
    ]
    told = json.loads(run("inspect", GOLDEN / "quantized.tflite", "--format", "json").stdout)
    assert any("its weights are quantized" in each for each in told["assumptions"])


def test_quantized_weights_are_read_as_what_they_stand_for():
    """They are multiples of one number, 127 of it at the most."""
    with open_arrays(GOLDEN / "quantized.tflite") as file:
        whole = [name for name, tensor in file._constants.items() if tensor.scales]
        assert whole
        for name in whole:
            array, [scale] = file.read(name), file._constants[name].scales
            steps = array.astype(np.float64) / scale
            np.testing.assert_allclose(steps, np.round(steps), atol=1e-4)
            assert np.abs(steps).max() == pytest.approx(127, abs=0.01)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("gru", r"gru\.tflite: is a TensorFlow Lite model in which no LSTM is one operator"),
        ("convolution", r"convolution\.tflite: operator `.*` \((RESHAPE|EXPAND_DIMS|CONV_2D)\): "),
    ],
)
def test_what_cannot_be_explained_is_refused_with_what_to_do(name, problem):
    with pytest.raises(UnusableInput) as found:
        load_model(GOLDEN / "refused" / f"{name}.tflite", None, FLOAT64)
    assert re.search(problem, str(found.value))
    assert str(found.value).endswith('model.save("model.keras")')


def test_damaged_files_are_refused_or_read(tmp_path):
    """Wherever a byte is another, or the file ends, nothing but a refusal comes of it."""
    whole = (GOLDEN / "words.tflite").read_bytes()
    path = tmp_path / "m.tflite"
    tracemalloc.start()
    try:
        for place in range(8, len(whole), 5):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x95]) + whole[place + 1 :])
            with suppress(UnusableInput):
                load_model(path, None, FLOAT64)
        for length in range(8, len(whole), 97):
            path.write_bytes(whole[:length])
            with suppress(UnusableInput):
                load_model(path, None, FLOAT64)
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "content",
    [
        b"\x08\0\0\0TFL3",
        b"\xff\xff\xff\xffTFL3",
        b"\0\0\0\0TFL3" + bytes(64),
        b"\x08\0\0\0TFL3" + b"\xff" * 64,
        b"\x08\0\0\0TFL3" + b"\x04\0\0\0" * 16,
    ],
)
def test_offsets_that_lead_nowhere_are_refused(tmp_path, content):
    path = tmp_path / "m.tflite"
    path.write_bytes(content)
    with pytest.raises(UnusableInput, match="is a damaged TensorFlow Lite file"):
        load_model(path, None, FLOAT64)
