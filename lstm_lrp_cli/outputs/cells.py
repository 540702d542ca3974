"""Texts as cells of tables: quoted where they need to be, and no formulas."""

import re

# What is quoted, so that every reader finds the cell whole.
BREAKING = '"\r\n'
# What spreadsheets begin a formula with, those of wide writing as well.
BEGINNINGS = "=+\\-@\uff1d\uff0b\uff0d\uff20"
# What they may pass over before it.
_PASSED_OVER = r"[\s\x00-\x20\x7f-\xa0\u200b-\u200f\ufeff]*"
# A sign alone, and punctuation, is text to them, and a number is a number: a formula names
# something. Nor does one end in a sign, as treebanks' -lrb- for a bracket does. Apostrophes are
# counted as well, so that one can be taken off again.
_FORMULA = re.compile(
    rf"'*(?!{_PASSED_OVER}[+-]?(?:[0-9]+(?:[.,][0-9]*)*|[.,][0-9]+)(?:[eE][+-]?[0-9]+)?%?"
    rf"{_PASSED_OVER}\Z)(?!-[^\W_]+-\Z)"
    rf"(?:{_PASSED_OVER}[{BEGINNINGS}]|[\t\r\n])(?s:.*)[^\W_]"
)


class TableCells:
    """Texts as a table has them, quoted as in CSV where they need to be.

    A text that a spreadsheet would run as a formula stands behind an apostrophe.

    Parameters
    ----------
    delimiter : str
        What stands between two cells.
    verbatim : bool
        Whether such a text is left as it is.

    Attributes
    ----------
    marked : bool
        Whether there was such a text, and it was not left so.
    """

    def __init__(self, delimiter: str, *, verbatim: bool = False) -> None:
        self.marked = False
        self._verbatim = verbatim
        # Of texts, only those with any of these need a look.
        needing = delimiter + BREAKING + ("" if verbatim else f"\t{BEGINNINGS}")
        self._needing = re.compile(f"[{needing}]")
        self._breaking = frozenset(delimiter + BREAKING)

    def of(self, texts: list[str]) -> list[str]:
        """The cells of all texts, in their order."""
        if self._needing.search("".join(texts)) is None:
            return texts
        some = [text for text in set(texts) if self._needing.search(text)]
        changed = {text: cell for text in some if (cell := self._cell(text)) is not text}
        return [changed.get(text, text) for text in texts] if changed else texts

    def _cell(self, text: str) -> str:
        if not self._verbatim and _FORMULA.match(text):
            self.marked = True
            text = f"'{text}"
        if self._breaking.isdisjoint(text):
            return text
        return '"' + text.replace('"', '""') + '"'
