"""Tables: TSV and CSV, one row a token, or a feature of a step."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, repeat
from operator import attrgetter
from typing import TextIO

import numpy as np

from lstm_lrp_cli.explaining.explanation import Detail, Explanation
from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.terminal.numbers import texts
from lstm_lrp_cli.terminal.words import strongest
from .writer import Joined, Layout, Writer

COLUMNS: dict[Detail, tuple[str, ...]] = {
    "token": ("token",),
    "dimension": ("token", "dimension"),
    "step": (),
    "feature": ("feature", "value"),
}


class TableWriter(Writer[Sequence[Explanation]]):
    """Writes rows with the columns sequence, position, ..., target, score, relevance.

    Of a model by step, the step whose score is explained stands behind the sequence; of several
    methods, so does the method.

    A field with a tab, a quote or a line break is quoted as in CSV, in TSV too, so that readers of
    either find every row whole.
    """

    def __init__(self, file: TextIO, layout: Layout, delimiter: str) -> None:
        model = layout.model
        self._file = file
        self._layout = layout
        self._model = model
        # What tells of explanations of the same sequence which is which.
        self._which = ["step"] * model.by_step + ["method"] * layout.several_methods
        self._end = delimiter  # of every field but the last of a row
        self._quoting = Quoting(delimiter)
        names = [str(model.target_name(target)) for target in range(model.targets)]
        before = delimiter if COLUMNS[layout.detail] else ""
        self._targets = [f"{before}{name}{delimiter}" for name in self._quoting.of(names)]

    def open(self) -> None:
        own = COLUMNS[self._layout.detail]
        columns = ("sequence", *self._which, "position", *own, "target", "score", "relevance")
        self._file.write(self._end.join(columns) + "\n")

    def write(self, explanations: Sequence[Explanation], /) -> None:
        for part in self._layout.parts(each for each in explanations if each.scored):
            self._file.write(self._rows(Joined(part, self._layout)))

    def _rows(self, part: Joined) -> str:
        """All rows of some explanations. What the rows of one have in common is made once."""
        explanations, end, layout = part.explanations, self._end, self._layout
        steps = [len(each.sequence) for each in explanations]
        rows = [count * layout.values for count in steps]
        heads = [f"{each.sequence.number}{end}" for each in explanations]
        for name in self._which:
            more = map(attrgetter(name), explanations)
            heads = [f"{head}{cell}{end}" for head, cell in zip(heads, more, strict=True)]
        places = [f"{position}{end}" for position in range(max(steps))]
        positions = chain.from_iterable(places[:count] for count in steps)
        scores = texts(np.array([each.score for each in explanations], self._model.dtype))
        tails = [
            f"{self._targets[each.target_number]}{score}{end}"
            for each, score in zip(explanations, scores, strict=True)
        ]
        relevance = part.relevance.ravel()
        columns: list[Iterable[str]] = [
            _times(heads, rows),
            self._for_features(positions),
            *self._own(part, sum(rows)),
            _times(tails, rows),
            texts(relevance),
            repeat("\n", sum(rows)),
        ]
        if layout.top is None:
            return by_row(sum(rows), *columns)
        chosen = _strongest_rows(relevance, rows, layout.top)
        picked = ([cells[row] for row in chosen] for cells in map(list, columns))
        return by_row(len(chosen), *picked)

    def _own(self, part: Joined, rows: int) -> Iterator[Iterable[str]]:
        """The columns that only this detail has, with what stands between two of them."""
        layout = self._layout
        if layout.detail in ("token", "dimension"):
            tokens = part.tokens
            yield self._for_features(self._quoting.of(tokens))
        if layout.detail == "dimension":
            yield repeat(self._end, rows)
            dimensions = [str(dimension) for dimension in range(layout.values)]
            yield chain.from_iterable(repeat(dimensions, len(tokens)))
        if layout.detail == "feature":
            yield self._quoting.of(part.features)
            yield repeat(self._end, rows)
            yield texts(part.values.ravel())

    def _for_features(self, of_steps: Iterable[str]) -> Iterable[str]:
        """A column of rows that each step has one of, for as many as it has."""
        width = self._layout.values
        return of_steps if width == 1 else _times(of_steps, repeat(width))


class Quoting:
    """Fields of text as `csv.writer` writes them: quoted where they need to be.

    It is asked about the few that may need it; those are looked for in all of them at once.
    """

    def __init__(self, delimiter: str) -> None:
        self._delimiter = delimiter
        self._special = frozenset(f'{delimiter}"\r\n')

    def of(self, fields: list[str]) -> list[str]:
        """All fields, in their order."""
        whole = "".join(fields)
        if not any(special in whole for special in self._special):
            return fields
        some = [field for field in set(fields) if not self._special.isdisjoint(field)]
        quoted = {field: self._quoted(field) for field in some}
        return [quoted.get(field, field) for field in fields]

    def _quoted(self, field: str) -> str:
        row = io.StringIO()
        # A field that is alone would be quoted for being empty.
        csv.writer(row, delimiter=self._delimiter, lineterminator="\n").writerow((field, ""))
        return row.getvalue()[: -len(f"{self._delimiter}\n")]


def _strongest_rows(relevance: Floats, rows: Iterable[int], top: int) -> list[int]:
    """The strongest rows of each explanation, which has so many of all rows."""
    chosen: list[int] = []
    first = 0
    for count in rows:
        places = strongest(relevance[first : first + count], top)
        chosen.extend((first + places).tolist())
        first += count
    return chosen


def _times(values: Iterable[str], times: Iterable[int]) -> Iterator[str]:
    """Each value so many times."""
    return chain.from_iterable(map(repeat, values, times))


def by_row(rows: int, *columns: Iterable[str]) -> str:
    """Columns of so many texts as one text, row by row.

    It takes a tenth of the time of `csv.writer`, and half that of a formatted text for each row.
    """
    cells = [""] * (rows * len(columns))
    for place, column in enumerate(columns):
        cells[place :: len(columns)] = column
    return "".join(cells)
