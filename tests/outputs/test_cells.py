"""TableCells of tables are read back as they were, and none is a formula."""

import csv
import io
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_lrp_cli.outputs.cells import TableCells

# What is run, or becomes something else, when a table of it is opened.
FORMULAS = [
    "=1+1",
    "=cmd|' /C calc'!A0",
    '=HYPERLINK("http://evil.example","x")',
    "+1+1",
    "-2+3+cmd|' /C calc'!A0",
    "@SUM(1+1)",
    " =1+1",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    "\x00=1+1",
    "\ufeff=1+1",
    "\xa0=1+1",
    "\u200b=1+1",
    "\uff1d1+1",
    "=\n1",
    "'=1+1",
    "''@SUM(1)",
    "\tab",
    "-1.5.x",
    "-1-1",
    "@user",
    "-year-old",
    "-a-b-",
    "=lrb-",
]
# What is text or a number to a spreadsheet too.
HARMLESS = [
    *("-", "--", "=", "==", "+", "@", "=)", "- ", "...", "\n", "\t", "\r\n", "", " ", "'", "'s"),
    *("-5", "+5", "-1.5e-3", "-.5", "-5%", "-1,000.5", "'-5", "1-2", "a=1", "a@b.c", " word"),
    *("\\", "it's", '"', "a,b", "a\tb", "a\rb", "a\nb", "a\x85b", "a\u2028b", "\x1b[31m", "NA"),
    *("-lrb-", "'-rrb-", "'-", "'\n", "'\t'", "1+1"),
]
PIECES = st.sampled_from([*"=+-@'\t\r\n ,;\"1.5%ab\x00\u2028", "\ufeff", "\uff1d", "\xa0", "é"])
TEXTS = st.lists(st.text(max_size=4) | st.lists(PIECES, max_size=6).map("".join), max_size=8)


def read(cells, delimiter):
    """What is in a row of cells, by Python's reader."""
    row = delimiter.join(["0", *cells, "0"]) + "\n"
    [(_, *found, _)] = csv.reader(io.StringIO(row, newline=""), delimiter=delimiter)
    return found


def taken_off(cell):
    """The text of a cell as docs/output.md says it is got."""
    begins = re.compile(r"'+(?:[\s\x00-\x20\x7f-\xa0\u200b-\u200f\ufeff]*[=+\-@＝＋－＠]|[\t\r\n])")
    formula = begins.match(cell) and re.search(r"[^\W_]", cell) and not number(cell.lstrip("'"))
    bracket = re.fullmatch(r"'*-[^\W_]+-", cell)
    return cell[1:] if formula and not bracket else cell


def number(text):
    around = r"[\s\x00-\x20\x7f-\xa0\u200b-\u200f\ufeff]*"
    bare = re.sub(rf"\A{around}|{around}\Z", "", text)
    return (
        re.fullmatch(r"[+-]?(\d+([.,]\d*)*|[.,]\d+)([eE][+-]?\d+)?%?", bare, re.ASCII) is not None
    )


@pytest.mark.parametrize("delimiter", ["\t", ","])
class TestCells:
    @pytest.mark.parametrize("text", FORMULAS)
    def test_a_formula_stands_behind_an_apostrophe(self, text, delimiter):
        table = TableCells(delimiter)
        assert read(table.of(["word", text]), delimiter) == ["word", f"'{text}"]
        assert table.marked

    def test_all_others_are_as_they_were(self, delimiter):
        table = TableCells(delimiter)
        assert read(table.of(HARMLESS), delimiter) == HARMLESS
        assert not table.marked

    def test_verbatim_all_are(self, delimiter):
        texts = FORMULAS + HARMLESS
        assert read(TableCells(delimiter, verbatim=True).of(texts), delimiter) == texts

    @settings(max_examples=150)
    @given(texts=TEXTS)
    def test_any_text_is_got_back(self, texts, delimiter):
        found = read(TableCells(delimiter).of(texts), delimiter)
        assert list(map(taken_off, found)) == texts
        for cell in found:
            begins = cell.strip("\0")[:1]
            assert begins not in tuple("=+-@") or number(cell) or not re.search(r"[^\W_]", cell)
