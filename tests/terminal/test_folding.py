"""Folding: whole clusters of characters on lines that are never too wide."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.text import Text

from lstm_lrp_cli.terminal.console import cells_of, clusters, folded

FAMILY = "👩\u200d👩\u200d👧"
WORDS = st.text(st.sampled_from("ab日本한글שלا❤👍👩🇩🇪\u0301\u0308\ufe0f\u200d🏽"), min_size=1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ab", ["a", "b"]),
        ("e\u0301a\u0308\u0323", ["e\u0301", "a\u0308\u0323"]),
        ("日本", ["日", "本"]),
        (f"{FAMILY}x", [FAMILY, "x"]),
        ("👍🏽👍", ["👍🏽", "👍"]),
        ("❤\ufe0f!", ["❤\ufe0f", "!"]),
        ("🇩🇪🇫🇷🇯", ["🇩🇪", "🇫🇷", "🇯"]),
        ("\u1112\u1161\u11ab", ["\u1112\u1161\u11ab"]),
        ("\u0301a", ["\u0301", "a"]),
        ("", []),
    ],
)
def test_clusters_are_characters_as_people_see_them(text, expected):
    assert list(clusters(text)) == expected


@given(WORDS)
def test_clusters_make_up_the_text(text):
    assert "".join(clusters(text)) == text


@pytest.mark.parametrize(
    ("text", "cells"), [("abc", 3), ("日本", 4), ("e\u0301", 1), (FAMILY, 6), ("❤\ufe0f", 2)]
)
def test_cells_are_those_of_the_terminal_that_draws_most(text, cells):
    assert cells_of(text) == cells


def test_the_next_line_hangs():
    text = folded(map(Text, ("one", "two", "three")), 8)
    assert text.plain == "one two\n  three"


def test_what_is_wider_than_a_line_is_cut():
    assert folded([Text("abcdefghij")], 8).plain == "abcdefgh\n  ij"
    assert folded([Text("日本語")], 4).plain == "日本\n 語"


def test_a_cut_piece_keeps_its_style():
    text = folded([Text("abcdefghij", "bold")], 8)
    styled = "".join(text.plain[span.start : span.end] for span in text.spans)
    assert styled == "abcdefghij"


@given(st.lists(WORDS, min_size=1, max_size=30), st.integers(12, 200))
@example([FAMILY * 20], 40)
def test_no_line_is_wider_than_it_may_be_and_nothing_is_lost(words, width):
    text = folded(map(Text, words), width).plain
    for line in text.split("\n"):
        # An emoji of many others cannot be cut where it is wider than a line.
        alone = len(list(clusters(line.strip()))) == 1
        assert alone or max(cell_len(line), cells_of(line)) <= width
    assert text.replace("\n", "").replace(" ", "") == "".join(words)


@given(st.lists(WORDS, min_size=1, max_size=8), st.integers(12, 40))
def test_no_cluster_is_torn(words, width):
    whole = {cluster for word in words for cluster in clusters(word)}
    lines = folded(map(Text, words), width).plain.split("\n")
    parts = {cluster for line in lines for part in line.split(" ") for cluster in clusters(part)}
    assert parts <= whole
