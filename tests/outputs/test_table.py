"""Tables have the rows that the `csv` module writes, whatever they hold."""

import csv
import io
import math

import msgspec
import numpy as np
import pytest
from explained import explainer_of, explanation_of
from hypothesis import given, settings
from hypothesis import strategies as st
from made_models import make_model
from together import lrp_all, lrp_ledger

from lstm_lrp_cli.explaining.explanation import Explanation
from lstm_lrp_cli.inputs.sequence import Sequence
from lstm_lrp_cli.model.layers import Dense, Embedding
from lstm_lrp_cli.outputs import writer
from lstm_lrp_cli.outputs.table import COLUMNS, TableWriter
from lstm_lrp_cli.outputs.writer import Layout
from lstm_lrp_cli.terminal.numbers import exact

WIDTH = 2
NOTHING = lrp_ledger(0.0)
# Text as it comes, and text of all that may need quotes.
TEXT = st.text(max_size=5) | st.text("ab \t,;'\"\r\n\0", max_size=5)
LABELS = ("poor", 'so "so"', "good, or\tnot")


def model(detail, dtype, by_step):
    dense = Dense(np.ones((len(LABELS), WIDTH)), None)
    layers = (dense,) if detail in ("feature", "step") else (Embedding(np.ones((9, WIDTH))), dense)
    settings = {"labels": LABELS, "by_step": by_step}
    return make_model(*layers, classes=len(LABELS), dtype=dtype, **settings)


def numbers(draw, dtype, *shape):
    width = 32 if dtype == "float32" else 64
    number = st.floats(-100, 100, width=width) | st.floats(width=width, allow_nan=False)
    size = int(np.prod(shape))
    drawn = draw(st.lists(number, min_size=size, max_size=size))
    return np.array(drawn, dtype=dtype).reshape(shape)


@st.composite
def explanations(draw, detail, dtype, by_step):
    found = []
    for number in range(draw(st.integers(0, 4))):
        steps = draw(st.integers(0, 4))
        texts = {"max_size": steps, "min_size": steps}
        if detail in ("token", "dimension"):
            inputs = np.zeros(steps, dtype=np.intp)
            sequence = Sequence(number, inputs, tuple(draw(st.lists(TEXT, **texts))))
        else:
            names = draw(st.lists(TEXT, min_size=WIDTH, max_size=WIDTH, unique=True))
            inputs = numbers(draw, dtype, steps, WIDTH)
            sequence = Sequence(number, inputs, features=tuple(names))
        if draw(st.integers(0, 5)) == 0:
            one = model(detail, dtype, by_step)
            found.append(Explanation.without_score(explainer_of(one), sequence, lrp_all()))
            continue
        finer = detail in ("dimension", "feature") or draw(st.booleans())
        relevance = numbers(draw, dtype, *((steps, WIDTH) if finer else (steps,)))
        relevance[[draw(st.integers(0, 9)) == 0 for _ in range(steps)]] = np.nan  # masked steps
        found.append(
            explanation_of(
                model(detail, dtype, by_step),
                sequence,
                numbers(draw, dtype, len(LABELS)),
                draw(st.integers(0, len(LABELS) - 1)),
                relevance,
                NOTHING,
                step=draw(st.integers(0, 9)) if by_step else None,
            )
        )
    return found


def expected(found, detail, by_step, delimiter):
    """The table, row by row, as `csv` writes it."""
    rows = Rows(delimiter)
    own = COLUMNS[detail]
    step = ["step"] if by_step else []
    rows.writerow(["sequence", *step, "position", *own, "target", "score", "relevance"])
    for each in (each for each in found if each.scored):
        sequence = each.sequence
        for position in range(len(sequence)):
            if detail in ("token", "step"):
                cells = [((), exact(each.relevance_of_steps)[position])]
            else:
                cells = [((k,), exact(each.relevance)[position][k]) for k in range(WIDTH)]
            for place, relevance in cells:
                fields = []
                if detail in ("token", "dimension"):
                    fields = [sequence.tokens[position], *place]
                elif detail == "feature":
                    (k,) = place
                    fields = [sequence.features[k], text(exact(sequence.inputs)[position][k])]
                head = [sequence.number, *([each.step] if by_step else []), position]
                score = exact(each.scores)[each.target_number]
                label = LABELS[each.target_number]
                rows.writerow([*head, *fields, label, text(score), text(relevance)])
    return rows.text


class Rows:
    """Rows as `csv` writes them, with a line feed behind. It quotes what its own end is made of."""

    def __init__(self, delimiter):
        self.delimiter = delimiter
        self.text = ""

    def writerow(self, cells):
        file = io.StringIO(newline="")
        csv.writer(file, delimiter=self.delimiter, lineterminator="\r\n").writerow(cells)
        self.text += file.getvalue()[:-2] + "\n"


def text(number):
    """As JSON has it, which has no text for what is no number; nothing for what is missing."""
    if math.isnan(number):
        return ""
    return msgspec.json.encode(number).decode() if math.isfinite(number) else repr(number)


@pytest.mark.parametrize("delimiter", ["\t", ","], ids=["tsv", "csv"])
@pytest.mark.parametrize("detail", ["token", "dimension", "step", "feature"])
@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.data(), st.sampled_from(["float32", "float64"]), st.booleans(), st.integers(0, 4))
@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning", "ignore:invalid:RuntimeWarning")
def test_rows_are_those_of_the_csv_module(detail, delimiter, data, dtype, by_step, cut):
    found = data.draw(explanations(detail, dtype, by_step))
    file = io.StringIO(newline="")
    asked = explainer_of(model(detail, dtype, by_step), (detail,))
    rows = TableWriter(file, Layout(asked, verbatim=True), delimiter)
    rows.open()
    for block in (found[:cut], found[cut:]):
        rows.write(block)
    rows.close()
    assert file.getvalue() == expected(found, detail, by_step, delimiter)


def test_a_block_of_many_rows_is_written_in_parts(monkeypatch):
    """So that the memory that it takes is bounded."""
    monkeypatch.setattr(writer, "PART_VALUES", 4)

    class Counted(io.StringIO):
        rows: tuple[int, ...] = ()

        def write(self, text):
            self.rows += (text.count("\n"),)
            return super().write(text)

    sequences = [Sequence(k, np.zeros(3, dtype=np.intp), ("a", "b", "c")) for k in range(5)]
    of = model("token", "float64", by_step=False)
    found = [explanation_of(of, each, np.zeros(3), 0, np.zeros(3), NOTHING) for each in sequences]
    file = Counted(newline="")
    rows = TableWriter(file, Layout(explainer_of(of, ("token",))), "\t")
    rows.open()
    rows.write(found)
    assert file.rows == (1, 6, 6, 3)
    assert file.getvalue() == expected(found, "token", False, "\t")
