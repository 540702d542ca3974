"""What predictions are written as, in whatever format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import compress, islice
from typing import TYPE_CHECKING, Any, TextIO

import msgspec
import numpy as np
from rich import box
from rich.console import Console, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from lstm_lrp_cli.engine.forward import probabilities
from lstm_lrp_cli.explaining.prediction import Predictions
from lstm_lrp_cli.model.decision import Decision, decisions_of
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.sequences.batching import real_steps
from lstm_lrp_cli.sequences.sequence import Sequence
from lstm_lrp_cli.terminal.console import open_console
from lstm_lrp_cli.terminal.numbers import exact, texts
from lstm_lrp_cli.terminal.text import printable
from lstm_lrp_cli.terminal.words import meaning_of_one, percent
from .table import Quoting, by_row
from .writer import PART_VALUES

if TYPE_CHECKING:
    # MOVED
    from lstm_lrp_cli.explaining.prediction import Predictions
    from .writer import Writer

    PredictionWriter = Writer[Predictions]


@dataclass(frozen=True)
class PredictionLayout:
    """What predictions are written as, in whatever format.

    Parameters
    ----------
    model : Model
    labelled : bool
        Whether every sequence comes with its true class.
    """

    model: Model
    labelled: bool

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        return decisions_of(self.model)

    @cached_property
    def score_names(self) -> list[str | int]:
        """What each score is that of: a class, or a value."""
        model = self.model
        return [model.target_name(model.target_of(score)) for score in range(model.classes)]

    @property
    def part_rows(self) -> int:
        """How many rows are written at once."""
        return max(PART_VALUES // self.model.classes, 1)

    @cached_property
    def likely(self) -> list[int]:
        """The scores that have probabilities: those of classes."""
        ranges = [range(each.scores.start, each.scores.stop) for each in self.decisions]
        return [score for scores in ranges for score in scores]

    def predicted(self, predictions: Predictions) -> list[list[str | int]]:
        """For each decision, the classes that were taken, by row."""
        taken = []
        for decision in self.decisions:
            places = decision.taken(predictions.scores).tolist()
            taken.append([decision.classes[place] for place in places])
        return taken

    def true_classes(self, predictions: Predictions) -> list[str | int | None]:
        """The true class of each row; None of an empty line, which has none."""
        (decision,) = self.decisions
        golds = [sequence.gold for sequence in predictions.of_rows]
        return [None if gold is None else decision.classes[gold] for gold in golds]


class PredictionJsonLinesWriter:
    """Writes one JSON object a line. A sequence without scores has one too."""

    def __init__(self, file: TextIO, layout: PredictionLayout) -> None:
        self._file = file
        self._layout = layout
        self._encode = msgspec.json.Encoder().encode_lines

    def open(self) -> None:
        """There is nothing before the first line."""

    def write(self, predictions: Predictions, /) -> None:
        for part in predictions.parts(self._layout.part_rows):
            objects = [
                *self._with_scores(part),
                *(self._without(part.sequences[place]) for place in part.without_rows.tolist()),
            ]
            order = np.argsort(np.concatenate([part.places, part.without_rows]), kind="stable")
            ordered = [objects[place] for place in order.tolist()]
            self._file.write(self._encode(ordered).decode("utf-8"))

    def close(self) -> None:
        """Nothing is left to write."""

    def _with_scores(self, part: Predictions) -> list[dict[str, Any]]:
        layout = self._layout
        rows = [
            {"sequence": sequence.number, "id": sequence.id, "scores": scores}
            for sequence, scores in zip(part.of_rows, exact(part.scores), strict=True)
        ]
        if part.steps is not None:
            self._add(rows, "step", part.steps.tolist())
        if layout.decisions:
            self._add(rows, "probabilities", self._probabilities(part))
        self._add(rows, "predicted", self._predicted(part))
        if layout.labelled:
            self._add(rows, "label", layout.true_classes(part))
        return rows

    @staticmethod
    def _add(rows: list[dict[str, Any]], key: str, values: list[Any]) -> None:
        for row, value in zip(rows, values, strict=True):
            row[key] = value

    def _probabilities(self, part: Predictions) -> list[list[float | None]]:
        """One for each score; None for those that are values."""
        likely = exact(probabilities(self._layout.model, part.scores))
        for value in set(range(self._layout.model.classes)) - set(self._layout.likely):
            for row in likely:
                row[value] = None
        return likely

    def _predicted(self, part: Predictions) -> list[Any]:
        """The class, or, where the model has several outputs, an object of them; None of values."""
        if not self._layout.decisions:
            return [None] * part.rows
        taken = self._layout.predicted(part)
        names = [decision.name for decision in self._layout.decisions]
        if names == [None]:
            return taken[0]
        return [dict(zip(names, classes, strict=True)) for classes in zip(*taken, strict=True)]

    def _without(self, sequence: Sequence) -> dict[str, Any]:
        """Of a model by step, a sequence without steps."""
        row: dict[str, Any] = {"sequence": sequence.number, "id": sequence.id, "scores": []}
        row["step"] = None
        if self._layout.decisions:
            row["probabilities"] = []
        return row | {"predicted": None}


class PredictionTableWriter:
    """Writes rows with the columns sequence, predicted, score:CLASS, ..., probability:CLASS, ...

    Of a model by step, the step stands behind the sequence; of labelled input, so does the label.
    """

    def __init__(self, file: TextIO, layout: PredictionLayout, delimiter: str) -> None:
        self._file = file
        self._layout = layout
        self._end = delimiter
        self._quoting = Quoting(delimiter)

    def open(self) -> None:
        layout, model = self._layout, self._layout.model
        names = layout.score_names
        columns = [
            "sequence",
            *(("step",) if model.by_step else ()),
            *(("label",) if layout.labelled else ()),
            *("predicted" + (f":{each.name}" if each.name else "") for each in layout.decisions),
            *(f"score:{name}" for name in names),
            *(f"probability:{names[score]}" for score in layout.likely),
        ]
        self._file.write(self._end.join(self._quoting.of(columns)) + "\n")

    def write(self, predictions: Predictions, /) -> None:
        for part in predictions.parts(self._layout.part_rows):
            first, *others = self._columns(part)
            apart = [column for other in others for column in ([self._end] * part.rows, other)]
            self._file.write(by_row(part.rows, first, *apart, ["\n"] * part.rows))

    def close(self) -> None:
        """Nothing is left to write."""

    def _columns(self, part: Predictions) -> Iterator[Iterable[str]]:
        layout = self._layout
        yield [str(sequence.number) for sequence in part.of_rows]
        if part.steps is not None:
            yield map(str, part.steps.tolist())
        if layout.labelled:
            yield self._names(["" if name is None else name for name in layout.true_classes(part)])
        yield from map(self._names, layout.predicted(part))
        yield from map(texts, part.scores.T)
        likely = probabilities(layout.model, part.scores)
        yield from (texts(likely[:, score]) for score in layout.likely)

    def _names(self, names: Iterable[str | int]) -> list[str]:
        return self._quoting.of(list(map(str, names)))


# How many rows are shown, how many values of a regressor, and how wide a bar is.
ROWS = 50
VALUES = 6
BAR_WIDTH = 10
# How wide a terminal must be for all but the bars, of texts and of series, and for each bar.
ROOM = {False: 80, True: 60}
ROOM_OF_BAR = 20


class ScreenWriter:
    """Prints what is predicted of the first sequences, and how likely it is to the model."""

    def __init__(
        self, file: TextIO, layout: PredictionLayout, console: Console | None = None
    ) -> None:
        self._console = console or open_console(file)
        self._layout = layout
        self._left_out = 0
        model = layout.model
        values = range(0 if layout.decisions else model.classes)
        self._values, self._values_left_out = values[:VALUES], len(values[VALUES:])
        series = model.embedding is None
        roomy = ROOM[series] + ROOM_OF_BAR * len(layout.decisions)
        self._bars = self._console.width >= roomy
        self._table = Table(box=box.SIMPLE_HEAD)
        self._add_column("sequence")
        if model.by_step:
            self._add_column("step", right=True)
        # The one column that gives way where there is little room.
        self._table.add_column("steps" if series else "token" if model.by_step else "tokens")
        if layout.labelled:
            self._add_column("label")
        for decision in layout.decisions:
            joint = " " if self._bars else "\n"
            self._add_column("predicted", f"{joint}{printable(decision.name or '')}".rstrip())
            self._add_column("probability", right=True)
            if self._bars:
                self._add_column("")
        for value in self._values:
            self._add_column(f"score {layout.score_names[value]}", right=True)
        if layout.labelled:
            self._add_column("")

    def open(self) -> None:
        """There is nothing before the table."""

    def write(self, predictions: Predictions, /) -> None:
        room = ROWS - self._table.row_count
        self._left_out += max(predictions.rows - room, 0)
        if room:
            self._add(next(predictions.parts(room)), room)

    def close(self) -> None:
        """Print the table, and what is to be said of it."""
        self._console.print(self._table)
        for decision in self._layout.decisions:
            meaning = meaning_of_one(decision)
            if meaning is not None:
                name = f"{decision.name}: " if decision.name else ""
                self._console.print(Text(printable(f"{name}{meaning}")), end="\n\n")
        more = {"more": self._left_out, "more scores of each": self._values_left_out}
        for what, count in more.items():
            if count:
                self._console.print(f"and {count:,} {what}; --format tsv writes a full table\n")

    def _add_column(self, title: str, more: str = "", *, right: bool = False) -> None:
        header = Text(printable(title) + more)
        self._table.add_column(header, justify="right" if right else "left", no_wrap=True)

    def _add(self, part: Predictions, room: int) -> None:
        """Add the first rows of a part, as many as there is room for."""
        layout, model = self._layout, self._layout.model
        likely = probabilities(model, part.scores)
        columns: list[Iterable[RenderableType]] = [map(_number, part.of_rows)]
        steps = [None] * part.rows if part.steps is None else part.steps.tolist()
        if model.by_step:
            columns.append(map(str, steps))
        columns.append(_shown(*each, model) for each in zip(part.of_rows, steps, strict=True))
        golds = [sequence.gold for sequence in part.of_rows]
        if layout.labelled:
            columns.append(_names(layout.true_classes(part)))
        for decision, predicted in zip(layout.decisions, layout.predicted(part), strict=True):
            taken = decision.taken(part.scores)
            shares = decision.likelihood(taken, likely).tolist()
            columns += [_names(predicted), map(percent, shares)]
            if self._bars:
                columns.append(map(_bar, shares))
            if layout.labelled:
                columns.append(map(_verdict, golds, taken.tolist()))
        columns += [[f"{score:.6g}" for score in part.scores[:, value]] for value in self._values]
        for cells in islice(zip(*columns, strict=True), room):
            self._table.add_row(*cells)


def _number(sequence: Sequence) -> Text:
    named = sequence.id not in (None, sequence.number)
    name = f" ({printable(str(sequence.id))})" if named else ""
    return Text(f"{sequence.number}{name}")


def _shown(sequence: Sequence, step: int | None, model: Model) -> Text:
    """What a row is of: a text, or one token of it; of a series, how many steps; but for masks."""
    real = real_steps(sequence, model)
    if sequence.tokens is None:
        return Text(f"{real.sum():,}")
    text = " ".join(compress(sequence.tokens, real)) if step is None else sequence.tokens[step]
    return Text(printable(text), no_wrap=True, overflow="ellipsis")


def _names(names: Iterable[str | int | None]) -> list[Text]:
    return [Text("" if name is None else printable(str(name))) for name in names]


def _bar(share: float) -> ProgressBar:
    return ProgressBar(total=1.0, completed=share, width=BAR_WIDTH)


def _verdict(gold: int | None, taken: int) -> Text:
    if gold is None:
        return Text()
    return Text("right", "green") if gold == taken else Text("wrong", "bold red")


def _tsv(file: TextIO, layout: PredictionLayout) -> PredictionWriter:
    # MOVED

    return PredictionTableWriter(file, layout, delimiter="\t")


def _csv(file: TextIO, layout: PredictionLayout) -> PredictionWriter:
    # MOVED

    return PredictionTableWriter(file, layout, delimiter=",")


def _jsonl(file: TextIO, layout: PredictionLayout) -> PredictionWriter:
    # MOVED

    return PredictionJsonLinesWriter(file, layout)


def _terminal(file: TextIO, layout: PredictionLayout) -> PredictionWriter:
    # MOVED

    return ScreenWriter(file, layout)


# Imported where used: rich is not needed to write a table.
OUTPUTS: dict[str, Callable[[TextIO, PredictionLayout], PredictionWriter]] = {
    "tsv": _tsv,
    "csv": _csv,
    "jsonl": _jsonl,
    "terminal": _terminal,
}
