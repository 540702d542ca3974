"""Files of TensorFlow Lite that TensorFlow 2.15 converted from Keras 2, and damaged ones.

What is compared are the outputs of Keras, of which the files were made.

`tests/golden/tflite/write.py` says how they were made.
"""

import json
import re
import tracemalloc
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.load import load_model
from lstm_lrp_cli.loading.opening import open_arrays

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "tflite"
EXPECTED = json.loads((GOLDEN / "expected.json").read_text("utf-8"))
FLOAT64 = np.dtype(np.float64)
LINEAR = ("heads",)


@pytest.mark.parametrize("name", EXPECTED)
def test_outputs_are_those_of_keras(run, tmp_path, name):
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
        ours = found["scores"] if name in LINEAR else found["probabilities"]
        # Of one score there is a probability of each of two classes, of which it is the last.
        np.testing.assert_allclose(ours[-len(expected) :], expected, rtol=1e-5, atol=1e-6)


def test_what_it_cannot_say_is_told(run):
    told = json.loads(run("inspect", GOLDEN / "chain.tflite", "--format", "json").stdout)
    assert [each.split(",")[0] for each in told["assumptions"]] == [
        "every sequence begins in states of zero",
        "no cell state goes beyond 10",
    ]


def test_quantized_weights_are_refused():
    """Their whole numbers stand for others."""
    with open_arrays(GOLDEN / "words.tflite") as file:
        name = next(iter(file.datasets))
        file._constants[name] = replace(file._constants[name], is_quantized=True)
        with pytest.raises(UnusableInput, match="is quantized; expected weights as they were"):
            file.read(name)


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
        for place in range(8, len(whole), 17):
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
    ],
)
def test_offsets_that_lead_nowhere_are_refused(tmp_path, content):
    path = tmp_path / "m.tflite"
    path.write_bytes(content)
    with pytest.raises(UnusableInput, match="is a damaged TensorFlow Lite file"):
        load_model(path, None, FLOAT64)
