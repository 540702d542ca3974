"""Tables: TSV and CSV, one row a token, or a feature of a step."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, repeat
from typing import TextIO

import numpy as np

from lstm_lrp_cli.explaining.explanation import Detail, Explanation
from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.terminal import numbers
from lstm_lrp_cli.terminal.words import strongest
from .cells import TableCells
from .writer import Joined, Layout, Writer, by_explanation

COLUMNS: dict[Detail, tuple[str, ...]] = {
    "token": ("token",),
    "dimension": ("token", "dimension"),
    "step": (),
    "feature": ("feature", "value"),
}


def columns_of(layout: Layout) -> tuple[str, ...]:
    """The columns that only some details have, in their order."""
    there = {column for detail in layout.details for column in COLUMNS[detail]}
    return tuple(column for column in ("token", "dimension", "feature", "value") if column in there)


# So many rows are made at a time: one sequence may have millions.
PIECE = 2**16


class TableWriter(Writer[Sequence[Explanation]]):
    """Writes rows with the columns sequence, position, ..., target, score, relevance.

    Of a regressor whose values were scaled, the score in original units stands at the end.

    Of a model by step, the step whose score is explained stands behind the sequence; of several
    methods, so does the method; of several inputs, so does the input. Where it is known when steps
    were, their dates stand behind the positions.

    A field with a tab, a quote or a line break is quoted as in CSV, in TSV too, so that readers of
    either find every row whole. A text that a spreadsheet would run stands behind an apostrophe.
    """

    def __init__(self, file: TextIO, layout: Layout, delimiter: str) -> None:
        model = layout.model
        self._file = file
        self._layout = layout
        self._model = model
        # What tells of explanations of the same sequence which is which.
        self._which = ["step"] * model.by_step + ["method"] * layout.several_methods
        self._end = delimiter  # of every field but the last of a row
        self._cells = TableCells(delimiter, verbatim=layout.verbatim)
        self._cells_of = self._cells.of
        self._own = columns_of(layout)
        names = [str(model.target_name(target)) for target in range(model.targets)]
        before = delimiter if self._own else ""
        self._targets = [f"{before}{name}{delimiter}" for name in self._cells_of(names)]
        several = model.input_names if model.several_inputs else ()
        self._inputs = [f"{name}{delimiter}" for name in self._cells_of(list(several))]

    @property
    def marked(self) -> bool:
        return self._cells.marked

    def open(self) -> None:
        of_input = ["input"] * self._model.several_inputs
        places = ["position"] + ["date"] * self._layout.dated
        columns = ("sequence", *self._which, *of_input, *places, *self._own)
        last = ["original"] * (self._model.output_scaling is not None)
        self._file.write(self._end.join((*columns, "target", "score", "relevance", *last)) + "\n")

    def write(self, explanations: Sequence[Explanation], /) -> None:
        scored = (each for each in explanations if each.scored)
        for part in self._layout.parts_in_columns(scored):
            for rows in self._rows(part):
                self._file.write(rows)

    def _rows(self, explanations: Sequence[Explanation]) -> Iterator[str]:
        """All rows of some explanations. What the rows of one have in common is made once."""
        end, layout = self._end, self._layout
        heads = [f"{each.sequence.number}{end}" for each in explanations]
        for name in self._which:
            more = self._cells_of([str(getattr(each, name)) for each in explanations])
            heads = [f"{head}{cell}{end}" for head, cell in zip(heads, more, strict=True)]
        scores = texts(np.array([each.score for each in explanations], self._model.dtype))
        tails = [
            f"{self._target(each)}{score}{end}"
            for each, score in zip(explanations, scores, strict=True)
        ]
        ends = self._ends(explanations)
        inputs = [Joined(explanations, layout, k) for k in range(len(self._model.inputs))]
        rows = [joined.lengths * joined.width for joined in inputs]
        relevance = [joined.relevance.ravel() for joined in inputs]
        columns = [
            [*self._columns(joined, heads, tails, amounts), _times(ends, count.tolist())]
            for joined, amounts, count in zip(inputs, relevance, rows, strict=True)
        ]
        if len(inputs) == 1 and layout.top is None:
            return in_pieces(int(rows[0].sum()), *columns[0])
        order = by_explanation(rows)
        if layout.top is not None:
            amounts = np.concatenate(relevance)[order]
            order = order[_strongest_rows(amounts, np.sum(rows, axis=0).tolist(), layout.top)]
        places = order.tolist()
        whole = (list(chain.from_iterable(parts)) for parts in zip(*columns, strict=True))
        return in_pieces(len(places), *([cells[place] for place in places] for cells in whole))

    def _ends(self, explanations: Sequence[Explanation]) -> list[str]:
        """What stands behind the relevance in all rows of each explanation."""
        if self._model.output_scaling is None:
            return ["\n"] * len(explanations)
        original = np.array([each.original_score for each in explanations], self._model.dtype)
        return [f"{self._end}{number}\n" for number in texts(original)]

    def _target(self, explanation: Explanation) -> str:
        """What is explained, with what stands around it."""
        if explanation.against_number is None:
            return self._targets[explanation.target_number]
        [name] = self._cells_of([str(explanation.target)])
        return f"{self._end if self._own else ''}{name}{self._end}"

    def _columns(
        self, joined: Joined, heads: list[str], tails: list[str], relevance: Floats
    ) -> list[Iterable[str]]:
        """The columns of all rows of one input, of explanations that begin and end so."""
        steps = joined.lengths.tolist()
        width = joined.width
        rows, total = [count * width for count in steps], len(relevance)
        each_place = (f"{position}{self._end}" for position in range(max(steps)))
        positions: Iterator[str] = each_place
        if len(steps) > 1:  # of one sequence, which may be long, none is kept
            places = list(each_place)
            positions = chain.from_iterable(places[:count] for count in steps)
        if self._layout.dated:
            dates = self._cells_of([date or "" for date in joined.dates])
            positions = (
                f"{place}{date}{self._end}" for place, date in zip(positions, dates, strict=True)
            )
        which = [repeat(self._inputs[joined.number], total)] if self._inputs else []
        return [
            _times(heads, rows),
            *which,
            _times(positions, repeat(width)) if width > 1 else positions,
            *self._own_columns(joined, total),
            _times(tails, rows),
            texts(relevance),
        ]

    def _own_columns(self, joined: Joined, rows: int) -> Iterator[Iterable[str]]:
        """The columns that only some details have, with what stands between two of them."""
        for place, column in enumerate(self._own):
            if place:
                yield repeat(self._end, rows)
            yield self._own_cells(column, joined, rows)

    def _own_cells(self, column: str, joined: Joined, rows: int) -> Iterable[str]:
        """One of them; empty where the input's detail has it not."""
        if column not in COLUMNS[joined.detail]:
            return repeat("", rows)
        if column == "token":
            tokens = self._cells_of(joined.tokens)
            return tokens if joined.width == 1 else _times(tokens, repeat(joined.width))
        if column == "dimension":
            dimensions = [str(dimension) for dimension in range(joined.width)]
            return chain.from_iterable(repeat(dimensions, rows // joined.width))
        if column == "feature":
            return self._features(joined)
        return texts(joined.values.ravel())

    def _features(self, joined: Joined) -> Iterator[str]:
        """The names of all values, which most sequences have in common."""
        parts = [(part.features or (), len(part.inputs)) for part in joined.parts]
        cells = {names: self._cells_of(list(names)) for names in {names for names, _ in parts}}
        return chain.from_iterable(cells[names] * steps for names, steps in parts)


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


def texts(values: Floats) -> Iterable[str]:
    """Numbers as texts, as `numbers.texts` makes them; of very many, some at a time."""
    if len(values) <= PIECE:
        return numbers.texts(values)
    parts = (values[start : start + PIECE] for start in range(0, len(values), PIECE))
    return chain.from_iterable(map(numbers.texts, parts))


def in_pieces(rows: int, *columns: Iterable[str]) -> Iterator[str]:
    """Columns as `by_row` makes a text of them; of very many rows, some at a time."""
    if rows <= PIECE:
        yield by_row(rows, *columns)
        return
    cells = [iter(column) for column in columns]
    for start in range(0, rows, PIECE):
        count = min(PIECE, rows - start)
        yield by_row(count, *(islice(column, count) for column in cells))


def by_row(rows: int, *columns: Iterable[str]) -> str:
    """Columns of so many texts as one text, row by row.

    It takes a tenth of the time of `csv.writer`, and half that of a formatted text for each row.
    """
    cells = [""] * (rows * len(columns))
    for place, column in enumerate(columns):
        cells[place :: len(columns)] = column
    return "".join(cells)
