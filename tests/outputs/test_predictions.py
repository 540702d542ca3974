"""Predictions are written and counted the same however they are cut into parts and blocks."""

import io
import json
import math
import pickle
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_models import make_model

from lstm_lrp_cli.explaining.prediction import Predictions
from lstm_lrp_cli.inputs.sequence import Sequence
from lstm_lrp_cli.model.layers import Dense, Embedding
from lstm_lrp_cli.outputs import PREDICTION_OUTPUTS
from lstm_lrp_cli.outputs import predictions as layouts
from lstm_lrp_cli.outputs.predictions import PredictionLayout
from lstm_lrp_cli.running.figures import PredictionFigures
from lstm_lrp_cli.running.predictions import PredictReport
from lstm_lrp_cli.running.report import Run
from lstm_lrp_cli.statistics.agreement import Confusion, wilson_interval

CLASSES = 3
LAYERS = (Embedding(np.ones((9, 2))), Dense(np.ones((CLASSES, 2)), None))


def layout(*, by_step=False):
    model = make_model(*LAYERS, classes=CLASSES, by_step=by_step, labels=("a", "b\t", "c"))
    return PredictionLayout(model, labelled=not by_step)


def predictions(lengths, *, by_step, first=0, golds=None):
    """Predictions of sequences of some lengths, with scores that differ from row to row."""
    sequences = [
        Sequence(
            first + place,
            np.zeros(length, dtype=np.intp),
            ("word",) * length,
            gold=None if golds is None else golds[place],
        )
        for place, length in enumerate(lengths)
    ]
    rows = lengths if by_step else [1] * len(lengths)
    places = np.repeat(np.arange(len(lengths)), rows)
    steps = np.concatenate([np.arange(n) for n in rows]).astype(np.intp) if by_step else None
    rng = np.random.default_rng([first, *lengths])
    return Predictions(sequences, places, steps, rng.standard_normal((len(places), CLASSES)))


def written(form, found, *, by_step):
    file = io.StringIO(newline="")
    writer = PREDICTION_OUTPUTS[form].prediction_writer(file, layout(by_step=by_step))
    writer.open()
    writer.write(found)
    writer.close()
    return file.getvalue()


LENGTHS = st.lists(st.integers(0, 5), min_size=1, max_size=8)


@settings(deadline=None, derandomize=True)
@given(LENGTHS, st.booleans(), st.integers(1, 9))
def test_parts_are_all_rows_in_order(lengths, by_step, size):
    whole = predictions(lengths, by_step=by_step)
    parts = list(whole.parts(size))
    assert [s.number for part in parts for s in part.sequences] == list(range(len(lengths)))
    of_rows = [s.number for part in parts for s in part.of_rows]
    assert of_rows == [s.number for s in whole.of_rows]
    assert np.concatenate([part.scores for part in parts]).tolist() == whole.scores.tolist()
    if by_step:
        steps = np.concatenate([part.steps for part in parts])
        assert steps.tolist() == whole.steps.tolist()
    # None is larger than it need be: without its last sequence it would be too small.
    assert all(part.rows - (part.places == len(part.sequences) - 1).sum() < size for part in parts)


@pytest.mark.parametrize("form", ["tsv", "csv", "jsonl"])
@pytest.mark.parametrize("by_step", [False, True], ids=["whole", "by step"])
def test_text_is_the_same_in_parts_of_any_size(monkeypatch, form, by_step):
    found = predictions([2, 0, 3, 0, 0, 1], by_step=by_step)
    texts = set()
    for values in (1, 2 * CLASSES, 2**14):
        monkeypatch.setattr(layouts, "PART_VALUES", values)
        texts.add(written(form, found, by_step=by_step))
    [text] = texts
    rows = text.splitlines()[form != "jsonl" :]
    if form == "jsonl":
        numbers = [json.loads(row)["sequence"] for row in rows]
        assert numbers == ([0, 0, 1, 2, 2, 2, 3, 4, 5] if by_step else [0, 1, 2, 3, 4, 5])
    else:
        assert len(rows) == len(found.places)


@settings(deadline=None, derandomize=True)
@given(LENGTHS, st.booleans(), st.data())
def test_figures_of_blocks_add_up(lengths, by_step, data):
    gold = st.lists(st.none() | st.integers(0, CLASSES - 1), min_size=8, max_size=8)
    golds = None if by_step else data.draw(gold)
    whole = predictions(lengths, by_step=by_step, golds=golds)
    form = layout(by_step=by_step)
    merged = PredictionFigures()
    for part in whole.parts(data.draw(st.integers(1, 9))):
        merged.merge(pickle.loads(pickle.dumps(PredictionFigures.of(part, form))))
    assert merged == PredictionFigures.of(whole, form)


# How often the second class was predicted of the first, by number.
PAIRS = Counter({(0, 0): 3, (0, 2): 1, (2, 0): 2, (2, 2): 4})


class TestConfusion:
    def test_counts_each_class_that_occurs(self):
        confusion = Confusion(("a", "b", "c"), PAIRS)
        assert (confusion.right, confusion.total, confusion.accuracy) == (7, 10, 0.7)
        first, last = confusion.by_class
        assert (first.name, first.true, first.predicted, first.right) == ("a", 4, 5, 3)
        assert (first.recall, first.precision, first.f1) == (3 / 4, 3 / 5, 6 / 9)
        assert (last.name, last.recall, last.precision, last.f1) == ("c", 4 / 6, 4 / 5, 8 / 11)

    def test_is_written_as_a_table(self):
        form = layout()
        summary = PredictReport(form, Run("m", "in"))
        summary.merge(PredictionFigures(sequences=10, predictions=10, pairs=PAIRS))
        assert summary.as_text().splitlines()[-6:] == [
            "confusion       a row for each true class, a column for each predicted one",
            "                     a       c  recall",
            "  a                  3       1  75.0 %",
            "  c                  2       4  66.7 %",
            "  precision     60.0 %  80.0 %",
            "  F1            66.7 %  72.7 %",
        ]

    def test_names_are_made_safe_and_short(self):
        model = make_model(*LAYERS, classes=CLASSES, labels=("\x1b[2J", "b", "c" * 99))
        summary = PredictReport(PredictionLayout(model, True), Run("m", "in"))
        summary.merge(PredictionFigures(predictions=10, pairs=PAIRS))
        text = summary.as_text()
        assert "\x1b" not in text
        assert "  \\x1b[2J " in text
        assert f"  {'c' * 10}...  " in text


class TestWilson:
    @given(st.integers(1, 10_000), st.data())
    def test_bounds_are_where_the_share_is_just_as_unlikely_as_allowed(self, total, data):
        """The definition: the share lies 1.96 standard deviations away, if the bound is true."""
        right = data.draw(st.integers(0, total))
        low, high = wilson_interval(right, total)
        assert 0 <= low <= right / total <= high <= 1
        for bound in (low, high):
            deviation = math.sqrt(bound * (1 - bound) / total)
            away = abs(right / total - bound)
            assert away == pytest.approx(1.959963984540054 * deviation, rel=1e-6, abs=1e-8)

    def test_of_nothing_right(self):
        low, high = wilson_interval(0, 10)
        assert (low, round(high, 4)) == (0.0, 0.2775)


def test_what_a_process_sends_is_small():
    found = predictions([1] * 500, by_step=False, golds=[0] * 500)
    assert len(pickle.dumps(PredictionFigures.of(found, layout()))) < 1_000
