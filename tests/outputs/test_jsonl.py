"""JSON lines: an object for every explanation, with numbers that read back exactly."""

import io
import json
import tracemalloc

import numpy as np
import pytest
from explained import explainer_of, explanation_of
from made_models import make_model
from together import lrp_all, lrp_ledger

from lstm_lrp_cli.explaining.explanation import Explanation
from lstm_lrp_cli.inputs.sequence import Sequence
from lstm_lrp_cli.model.layers import Dense, Embedding
from lstm_lrp_cli.outputs import jsonl, writer
from lstm_lrp_cli.outputs.jsonl import JsonLinesWriter
from lstm_lrp_cli.outputs.writer import Layout

DENSE = Dense(np.ones((2, 3)), None)
LEDGER = lrp_ledger(0.5, tokens=0.25, biases=0.25)


def lines(model, detail, *blocks):
    file = io.StringIO(newline="")
    rows = JsonLinesWriter(file, Layout(explainer_of(model, (detail,))))
    rows.open()
    for block in blocks:
        rows.write(block)
    rows.close()
    return [json.loads(line) for line in file.getvalue().splitlines()]


def numbers(*shape, dtype):
    return (np.random.default_rng(len(shape)).standard_normal(shape) / 7).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [1, 2**14], ids=["in parts", "at once"])
def test_each_has_its_own_numbers(monkeypatch, dtype, size):
    monkeypatch.setattr(writer, "PART_VALUES", size)
    model = make_model(DENSE, classes=2, dtype=dtype, by_step=True)
    found = []
    for number, steps in enumerate([3, 0, 1, 5]):
        inputs = numbers(steps, 3, dtype=dtype)
        sequence = Sequence(number, inputs, features=("x", "y", "z"), id=f"s{number}")
        scores, relevance = numbers(2, dtype=dtype), numbers(steps, 3, dtype=dtype)
        found.append(explanation_of(model, sequence, scores, 0, relevance, LEDGER, step=2))
    found.insert(
        2,
        Explanation.without_score(
            explainer_of(model, ("feature",)), Sequence(9, inputs[:0], features=()), lrp_all()
        ),
    )
    for detail in ("feature", "step"):
        read = lines(model, detail, found[:1], found[1:], [])
        assert len(read) == len(found)
        for line, each in zip(read, found, strict=True):
            wanted = each.relevance if detail == "feature" else each.relevance_of_steps
            for key, array in [
                ("values", each.sequence.inputs),
                ("scores", each.scores),
                ("relevance", wanted),
            ]:
                assert np.array(line[key], dtype=dtype).tolist() == array.tolist()
            assert line["id"] == each.sequence.id
            assert line["predicted"] == (int(each.scores.argmax()) if each.scored else None)


def test_totals_of_tokens_are_written_as_they_are():
    model = make_model(Embedding(np.ones((9, 3))), DENSE, classes=2)
    sequence = Sequence(0, np.zeros(2, dtype=np.intp), ("a", "b\n"))
    relevance = np.array([0.25, 1e-7])
    explanation = explanation_of(model, sequence, np.array([0.5, 0.1]), 0, relevance, LEDGER)
    (line,) = lines(model, "token", [explanation])
    assert line["tokens"] == ["a", "b\n"]
    assert line["relevance"] == [0.25, 1e-7]
    assert line["ledger"]["residual"] == 0.0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_long_sequence_is_the_same_text(monkeypatch, dtype):
    model = make_model(DENSE, classes=2, dtype=dtype)
    found = []
    for number, steps in enumerate([2, 7, 3]):
        sequence = Sequence(number, numbers(steps, 3, dtype=dtype), features=("x", "y", "z"))
        relevance = numbers(steps, 3, dtype=dtype)
        relevance[1] = np.nan  # masked
        found.append(explanation_of(model, sequence, numbers(2, dtype=dtype), 0, relevance, LEDGER))
    for detail in ("feature", "step"):
        whole = lines(model, detail, found)
        with monkeypatch.context() as patched:
            patched.setattr(jsonl, "PIECE", 2)
            assert lines(model, detail, found) == whole


def test_numbers_of_a_long_sequence_are_not_held_one_by_one():
    model, steps = make_model(DENSE, classes=2, dtype="float64"), 60_000
    sequence = Sequence(0, np.full((steps, 3), 0.1), features=("x", "y", "z"))
    relevance = np.full((steps, 3), 0.2)
    explanation = explanation_of(model, sequence, numbers(2, dtype="float64"), 0, relevance, LEDGER)
    rows = JsonLinesWriter(io.StringIO(newline=""), Layout(explainer_of(model, ("feature",))))
    tracemalloc.start()
    rows.write([explanation])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * (sequence.inputs.nbytes + relevance.nbytes)
