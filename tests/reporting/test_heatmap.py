"""The terminal view, as rich records it."""

import io

import numpy as np
import pytest
from rich.console import Console
from together import lrp_ledger, make_model

from lstm_lrp_cli.model.layers import Dense
from lstm_lrp_cli.reporting.heatmap import HeatMapWriter
from lstm_lrp_cli.reporting.writer import Layout
from lstm_lrp_cli.sequences.explanation import Explanation
from lstm_lrp_cli.sequences.sequence import Sequence

MODEL = make_model(Dense(np.ones((2, 3)), None), classes=2, labels=("poor", "good"))


def explanation(relevance, tokens=None, features=None, **sequence):
    relevance = np.array(relevance, dtype=np.float64)
    relevance = relevance if features else relevance[:, np.newaxis]
    total = float(relevance.sum())
    return Explanation(
        Sequence(0, np.zeros(relevance.shape[:1]), tokens, features, **sequence),
        np.array([-1.0, total]),
        1,
        1,
        relevance,
        lrp_ledger(total, total),
        "lrp-all",
    )


@pytest.fixture
def show():
    def print_to_text(*explanations, colour=True, width=60):
        file = io.StringIO()
        system = {"color_system": "truecolor"} if colour else {"color_system": None}
        console = Console(
            file=file, force_terminal=colour, width=width, legacy_windows=False, **system
        )
        writer = HeatMapWriter(file, Layout(MODEL, "token"), console)
        writer.open()
        writer.write(explanations)
        writer.close()
        return file.getvalue()

    return print_to_text


def background(text, token):
    """The background colour that a token is printed on."""
    before = text[: text.index(f" {token} ")]
    code = before[before.rindex("\x1b[") :]
    return tuple(int(part) for part in code.split("48;2;")[1].rstrip("m").split(";")[:3])


def test_red_is_for_and_blue_against_and_strength_tells_the_size(show):
    text = show(explanation([2.0, -1.0, 0.5, 0.0], ("great", "dull", "nice", "the")))
    red, green, blue = background(text, "great")
    assert red > max(green, blue)
    red, green, blue = background(text, "dull")
    assert blue > max(red, green)
    strong, weak = background(text, "great"), background(text, "nice")
    assert strong[1] < weak[1]
    assert " the " in text
    assert "48;2" not in text.split("nice")[1].split("the")[0].split("\x1b[0m")[-1]


def test_without_colour_numbers_tell_it(show):
    text = show(explanation([2.0, -1.0], ("great", "dull")), colour=False)
    assert "great(+2.00) dull(-1.00)" in text
    assert "\x1b" not in text


def test_shows_prediction_score_and_account(show):
    text = show(explanation([2.0, -0.5], ("great", "dull"), gold=0), colour=False)
    assert "predicted good  good +1.500  wrong" in text
    assert "+1.500 = tokens +1.500" in text


def test_long_sentences_fold_at_the_width(show):
    text = show(explanation([1.0] * 40, ("word",) * 40), colour=False, width=50)
    assert max(map(len, text.splitlines())) <= 50


def test_ends_with_a_table_of_the_strongest(show):
    text = show(explanation([2.0, -1.0, 3.0, 0.1, 0.2], tuple("abcde")), colour=False, width=90)
    row = text.rstrip().splitlines()[-1]
    assert "c +3.00, a +2.00, e +0.20" in row
    assert "b -1.00" in row


def test_the_table_has_an_end(show):
    text = show(*[explanation([1.0], ("word",))] * 60, colour=False)
    assert "and 10 more" in text


def test_series_have_a_line_a_feature(show):
    text = show(explanation([[2.0, -1.0], [0.1, -2.0]], features=("wind", "rain")), colour=False)
    assert "wind   +2.100 +." in text
    assert "rain   -3.000 --" in text


def test_series_by_step_have_one_line_and_their_strongest_steps(show):
    by_step = explanation([2.0, -1.0, 0.1], features=("wind", "rain"))
    text = show(by_step, colour=False, width=90)
    assert "all features   +1.100 +-." in text
    assert "step 0 +2.00, step 2 +0.10" in text
    assert "step 1 -1.00" in text


def test_escape_sequences_of_a_file_are_written_out(show):
    text = show(explanation([1.0], ("\x1b[2Jgone",), id="\x1b[31m"), colour=False)
    assert "\x1b" not in text
    assert r"\x1b[2Jgone" in text


def test_a_sequence_of_nothing_is_shown(show):
    text = show(explanation(np.zeros((0,)), ()), colour=False)
    assert "+0.000 = 0" in text
