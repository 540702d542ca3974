"""Results as Parquet that has a row for each token, or dimension of it, feature or step."""

from collections.abc import Iterator, Sequence
from itertools import chain, pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from lstm_lrp_cli.model import Booleans, Floats, Integers
from . import Result, ResultInput
from .columns import class_of, numbers_of, places_of, there, values_of

# Columns by which the rows of one explanation are told from the next one's.
KEYS = ("sequence", "step", "method", "target")
# Columns of numbers that are reckoned with, and what makes arrays of them.
NUMBERS = {"position": places_of, "relevance": numbers_of}
NEVER_NULL = ("position", "input", "sequence")

Columns = dict[str, Any]


def columns_of_rows(batch: Any, types: dict[str, Any]) -> Columns:
    """The columns of some rows by name: lists of values, or arrays of numbers."""
    found: Columns = {}
    for name in batch.schema.names:
        column = batch.column(name)
        if name in NEVER_NULL:
            there(column)
        as_array = NUMBERS.get(name)
        found[name] = values_of(column, types[name]) if as_array is None else as_array(column)
    return found


def results_of_rows(some: Iterator[Columns]) -> Iterator[list[Result]]:
    """The explanations of rows that come some at a time; those of one follow each other."""
    beginnings = _Beginnings()
    pieces: list[Columns] = []  # of the explanation of which more rows may come
    for columns in some:
        rows = len(columns["position"])
        if not rows:
            continue
        ends = [*beginnings.of(columns), rows]
        if ends[0]:
            pieces.append(_rows(columns, 0, ends[0]))
        found = []
        for start, end in pairwise(ends):
            if pieces:
                found.append(_result(pieces))
            pieces = [_rows(columns, start, end)]
        yield found
    if pieces:
        yield [_result(pieces)]


def _rows(columns: Columns, start: int, end: int) -> Columns:
    return {name: values[start:end] for name, values in columns.items()}


class _Beginnings:
    """Finds where explanations begin, in rows that come some at a time."""

    def __init__(self) -> None:
        self._last: Columns = {}
        self._had: set[str] = set()  # the inputs that the explanation has had

    def of(self, columns: Columns) -> list[int]:
        """The places of their first rows among some rows, of which there are any."""
        last = self._last or _rows(columns, 0, 1)
        positions = np.concatenate([last["position"], columns["position"]])
        new = np.diff(positions) < 0
        if "input" in columns:
            # Those of an explanation follow each other; none comes again.
            new &= _same(last["input"], columns["input"])
        for name in KEYS:
            if name in columns:
                new |= ~_same(last[name], columns[name])
        new[0] |= not self._last
        if "input" in columns:
            new |= self._again(columns["input"], new)
        self._last = _rows(columns, len(new) - 1, len(new))
        starts: list[int] = np.flatnonzero(new).tolist()
        return starts

    def _again(self, inputs: list[str], new: Booleans) -> Booleans:
        """Where an input comes that the explanation, which else goes on, has had already."""
        found, had = np.zeros(len(inputs), dtype=bool), self._had
        [last] = self._last.get("input", [None])
        for place, (name, begins) in enumerate(zip(inputs, new.tolist(), strict=True)):
            if begins or (name != last and name in had):
                found[place], had = not begins, set()
            had.add(name)
            last = name
        self._had = had
        return found


def _same(last: list[Any], values: list[Any]) -> Booleans:
    """Which values are the same as the one before them; before the first stands the last."""
    before = np.array([*last, *values], dtype=object)
    same: Booleans = (before[1:] == before[:-1]).astype(bool)
    return same


def _result(pieces: Sequence[Columns]) -> Result:
    """The explanation of rows that stand in some pieces, one after another."""
    columns = pieces[0] if len(pieces) == 1 else _joined(pieces)
    several = "input" in columns
    inputs = tuple(
        _input_of_rows(_rows(columns, begin, stop))
        for begin, stop in pairwise(_inputs_within(columns))
    )
    only = ResultInput("", np.zeros(0)) if several else inputs[0]
    first = {name: values[0] for name, values in columns.items()}
    return Result(
        first["sequence"],
        class_of(first["target"]),
        only.relevance,
        tokens=only.tokens,
        features=only.features,
        step=first.get("step"),
        method=first.get("method"),
        inputs=inputs if several else (),
        dates=only.dates,
    )


def _joined(pieces: Sequence[Columns]) -> Columns:
    return {
        name: np.concatenate([each[name] for each in pieces])
        if name in NUMBERS
        else list(chain.from_iterable(each[name] for each in pieces))
        for name in pieces[0]
    }


def _inputs_within(columns: Columns) -> list[int]:
    """Where each input of an explanation begins, and where the last ends."""
    end, names = len(columns["position"]), columns.get("input")
    if names is None:
        return [0, end]
    return [0, *(place for place in range(1, end) if names[place] != names[place - 1]), end]


def _input_of_rows(columns: Columns) -> ResultInput:
    """What one input has of an explanation, by its rows."""
    amounts: Floats = columns["relevance"]
    width, several = _width(columns["position"]), "input" in columns
    tokens = _names(columns, "token", slice(None, None, width))
    features = _names(columns, "feature", slice(width)) or []
    dates = columns["date"][::width] if "date" in columns else None
    return ResultInput(
        columns["input"][0] if several else "",
        amounts.reshape(-1, width) if width > 1 or features else amounts,
        tokens,
        features if tokens is None else None,
        dates=None if dates is None or None in dates else dates,
    )


def _names(columns: Columns, name: str, rows: slice) -> list[str] | None:
    """The tokens or features of an input, in some of its rows; None where it has none."""
    if name not in columns:
        return None
    found: list[Any] = columns[name][rows]
    if None not in found:
        return found
    # Of several inputs each has a token, or features, or neither.
    if "input" not in columns or found.count(None) < len(found):
        raise pa.ArrowInvalid(f"a row of a sequence has no {name}")
    return None


def _width(positions: Integers) -> int:
    """How many rows an explanation has at each of its positions."""
    width = int((positions == 0).sum())
    steps = len(positions) // width if width else 0
    if not width or not np.array_equal(positions, np.repeat(np.arange(steps), width)):
        raise pa.ArrowInvalid("rows of a sequence are missing, or not in their order")
    return width
