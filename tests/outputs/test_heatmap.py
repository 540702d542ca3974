"""The terminal view, as rich records it."""

import io

import numpy as np
from explained import explainer_of, explanation_of
from hypothesis import given
from hypothesis import strategies as st
from made_models import make_model
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text
from together import lrp_ledger

from lstm_lrp_cli.inputs.sequence import Sequence
from lstm_lrp_cli.model.layers import Dense, Embedding
from lstm_lrp_cli.outputs.heatmap import HeatMapWriter
from lstm_lrp_cli.outputs.writer import Layout

MODEL, SERIES = (
    make_model(*reads, Dense(np.ones((2, 3)), None), classes=2, labels=("poor", "good"))
    for reads in ([Embedding(np.ones((9, 3)))], [])
)


def explanation(relevance, tokens=None, features=None, **sequence):
    relevance = np.array(relevance, dtype=np.float64)
    relevance = relevance if features else relevance[:, np.newaxis]
    total = float(relevance.sum())
    return explanation_of(
        SERIES if features else MODEL,
        Sequence(0, np.zeros(relevance.shape), tokens, features, **sequence),
        np.array([-1.0, total]),
        1,
        relevance,
        lrp_ledger(total, total),
    )


def show(*explanations, colour=True, width=60, top=None):
    file = io.StringIO()
    system = {"color_system": "truecolor"} if colour else {"color_system": None}
    console = Console(file=file, force_terminal=colour, width=width, legacy_windows=False, **system)
    writer = HeatMapWriter(file, Layout(explainer_of(MODEL, ("token",)), top=top), console)
    writer.open()
    writer.write(explanations)
    writer.close()
    return file.getvalue()


def background(text, token):
    """The background colour that a token is printed on."""
    before = text[: text.index(f" {token} ")]
    code = before[before.rindex("\x1b[") :]
    return tuple(int(part) for part in code.split("48;2;")[1].rstrip("m").split(";")[:3])


def test_red_is_for_and_blue_against_and_strength_tells_the_size():
    text = show(explanation([2.0, -1.0, 0.5, 0.0], ("great", "dull", "nice", "the")))
    red, green, blue = background(text, "great")
    assert red > max(green, blue)
    red, green, blue = background(text, "dull")
    assert blue > max(red, green)
    strong, weak = background(text, "great"), background(text, "nice")
    assert strong[1] < weak[1]
    assert " the " in text
    assert "48;2" not in text.split("nice")[1].split("the")[0].split("\x1b[0m")[-1]


def test_without_colour_numbers_tell_it():
    text = show(explanation([2.0, -1.0], ("great", "dull")), colour=False)
    assert "great(+2.00) dull(-1.00)" in text
    assert "\x1b" not in text


def test_shows_prediction_score_and_account():
    text = show(explanation([2.0, -0.5], ("great", "dull"), gold=0), colour=False)
    assert "predicted good  good +1.500  wrong" in text
    assert "+1.500 = tokens +1.500" in text


def test_long_sentences_fold_at_the_width():
    text = show(explanation([1.0] * 40, ("word",) * 40), colour=False, width=50)
    assert max(map(len, text.splitlines())) <= 50


def test_ends_with_a_table_of_the_strongest():
    text = show(explanation([2.0, -1.0, 3.0, 0.1, 0.2], tuple("abcde")), colour=False, width=90)
    row = text.rstrip().splitlines()[-1]
    assert "c +3.00, a +2.00, e +0.20" in row
    assert "b -1.00" in row


def test_narrow_terminals_have_a_line_for_each_sequence_instead():
    text = show(explanation([2.0, -1.0, 3.0], tuple("abc")), colour=False, width=60)
    assert text.endswith(
        "most for and against each target\n0  good +4.000  c +3.00  a +2.00  b -1.00\n\n"
    )


def test_the_table_has_an_end():
    text = show(*[explanation([1.0], ("word",))] * 60, colour=False)
    assert "and 10 more" in text


def test_series_have_a_line_a_feature():
    text = show(explanation([[2.0, -1.0], [0.1, -2.0]], features=("wind", "rain")), colour=False)
    assert "wind   +2.100 +." in text
    assert "rain   -3.000 --" in text


def test_series_by_step_have_one_line_and_their_strongest_steps():
    by_step = explanation([2.0, -1.0, 0.1], features=("wind", "rain"))
    text = show(by_step, colour=False, width=90)
    assert "all features   +1.100 +-." in text
    assert "step 0 +2.00, step 2 +0.10" in text
    assert "step 1 -1.00" in text


def test_escape_sequences_of_a_file_are_written_out():
    text = show(explanation([1.0], ("\x1b[2Jgone",), id="\x1b[31m"), colour=False)
    assert "\x1b" not in text
    assert r"\x1b[2Jgone" in text


def test_a_sequence_of_nothing_is_shown():
    text = show(explanation(np.zeros((0,)), ()), colour=False)
    assert "+0.000 = 0" in text


SCRIPTS = st.text(st.sampled_from("abcdefgh日本한글שלا❤👍🇩🇪\u0301\u0308\ufe0f"), max_size=90)
AMOUNTS = st.floats(-1e4, 1e4)
WIDTHS = st.integers(40, 200)


@given(
    st.lists(st.tuples(SCRIPTS, AMOUNTS), max_size=40),
    WIDTHS,
    st.booleans(),
    st.none() | st.integers(1, 9),
    SCRIPTS,
)
def test_no_line_of_tokens_is_wider_than_the_terminal(cells, width, colour, top, name):
    tokens = tuple(token for token, _ in cells)
    made = explanation([amount for _, amount in cells], tokens, gold=1, id=name)
    shown = show(made, colour=False, width=width, top=top)
    if colour:
        shown = Text.from_ansi(show(made, width=width, top=top)).plain
    assert max(map(cell_len, shown.splitlines())) <= width


@given(
    st.lists(SCRIPTS, min_size=1, max_size=5, unique=True),
    st.integers(0, 300),
    WIDTHS,
    st.booleans(),
    st.none() | st.integers(1, 9),
)
def test_no_line_of_a_series_is_wider_than_the_terminal(names, steps, width, colour, top):
    relevance = np.random.default_rng(steps).normal(size=(steps, len(names))) * 100
    made = explanation(relevance, features=tuple(names))
    shown = show(made, colour=False, width=width, top=top)
    if colour:
        shown = Text.from_ansi(show(made, width=width, top=top)).plain
    assert max(map(cell_len, shown.splitlines())) <= width


class TestSeries:
    def test_steps_share_cells_where_there_are_more_than_fit(self):
        relevance = np.zeros((100, 1))
        relevance[:4] = 1.0
        relevance[96:] = -1.0
        text = show(explanation(relevance, features=("wind",)), colour=False, width=40)
        assert "a cell is 4 of 100 steps" in text
        assert "wind   +0.000 +.......................-\n" in text

    def test_each_step_has_a_cell_where_there_is_room(self):
        text = show(explanation(np.ones((20, 1)), features=("wind",)), colour=False, width=40)
        assert "a cell is" not in text
        assert "wind  +20.000 " + "+" * 20 + "\n" in text

    def test_cells_are_wide_where_there_is_room_for_it(self):
        made = explanation(np.ones((20, 1)), features=("wind",))
        wide, narrow = (
            Text.from_ansi(show(made, width=width)).plain.splitlines()[4] for width in (60, 40)
        )
        assert len(wide) - len(narrow) == 20

    def test_long_names_are_folded(self):
        made = explanation([[1.0]], features=("temperature of the air",))
        lines = show(made, colour=False, width=42).splitlines()
        assert lines[4] == "temperature of   +1.000 +"
        assert lines[5] == " the air"

    def test_says_what_full_colour_stands_for_or_from_where_on_there_are_signs(self):
        made = explanation([[0.5, -0.004], [0.3, 0.1]], features=("wind", "rain"))
        assert Text.from_ansi(show(made)).plain.splitlines()[3] == "full colour 0.5"
        assert show(made, colour=False).splitlines()[3] == "+ and - from 0.1"

    def test_says_it_of_the_cells_where_several_steps_share_one(self):
        made = explanation(np.ones((100, 1)), features=("wind",))
        lines = Text.from_ansi(show(made, width=40)).plain.splitlines()
        assert lines[3] == "a cell is 4 of 100 steps, full colour 4"

    def test_of_relevance_0_has_no_scale(self):
        made = explanation([[0.0]], features=("wind",))
        assert "full colour" not in show(made)

    def test_weak_cells_are_seen_with_16_colours(self):
        made = explanation([[1.0], [0.2], [-0.2]], features=("wind",))
        file = io.StringIO()
        console = Console(file=file, force_terminal=True, color_system="standard", width=60)
        writer = HeatMapWriter(file, Layout(explainer_of(SERIES, ("feature",))), console)
        writer.write([made])
        assert "\x1b[91m+ \x1b[0m\x1b[94m- \x1b[0m" in file.getvalue()


def test_each_sentence_says_what_its_full_colour_stands_for():
    sentences = (explanation([2.0, -4.0], ("so", "dull")), explanation([0.001], ("fine",)))
    headings = [line for line in show(*sentences).splitlines() if "full colour" in line]
    assert [line.split("full colour ")[1] for line in headings] == ["4\x1b[0m", "0.001\x1b[0m"]
    assert "full colour" not in show(*sentences, colour=False)
    assert "full colour" not in show(*sentences, top=1)


def test_a_sentence_of_no_words_has_no_scale():
    assert "full colour" not in show(explanation(np.zeros(0), ()))


class TestTop:
    def test_is_a_list_of_the_strongest_and_what_the_others_add_up_to(self):
        made = explanation([0.5, -2.0, 0.25, 1.0], ("so", "dull", "a", "film"))
        lines = show(made, colour=False, top=2).splitlines()
        assert lines[3:6] == ["1  -2.000 dull", "3  +1.000 film", "and 2 others +0.750"]

    def test_of_a_series_is_a_list_of_features_at_steps(self):
        made = explanation([[0.5, -2.0], [0.1, 0.2]], features=("wind", "rain"))
        lines = show(made, colour=False, top=1).splitlines()
        assert lines[3:5] == ["0  -2.000 rain = 0", "and 3 others +0.800"]

    def test_may_be_more_than_there_are(self):
        made = explanation([0.5, -2.0], ("so", "dull"))
        text = show(made, colour=False, top=9)
        assert "other" not in text


def test_numbers_behind_words_that_run_to_the_left_keep_their_sign_and_place():
    """A left-to-right mark ends the word, so that a terminal which reorders leaves the rest."""
    text = show(explanation([1.0, -1.0], ("שלום", "good")), colour=False)
    assert "שלום\u200e(+1.00) good(-1.00)" in text


def test_joined_characters_are_shown_as_they_are():
    text = show(explanation([1.0], ("می\u200cخواهم",)), colour=False)
    assert "می\u200cخواهم" in text
