"""Predictions as tables and JSON lines: one row, or object, a sequence, or a step of it."""

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any, TextIO

import numpy as np
from msgspec import Struct

from lstm_lrp_cli.engine.forward import originals, probabilities
from lstm_lrp_cli.explaining.prediction import Predictions
from lstm_lrp_cli.inputs.sequence import Sequence
from lstm_lrp_cli.model.decision import Decision, decisions_of
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.terminal.numbers import exact, texts
from .cells import TableCells
from .jsonl import json_lines
from .table import by_row
from .writer import PART_VALUES, Writer


class PredictionLayout(Struct, frozen=True, dict=True):
    """What predictions are written as, in whatever format.

    Parameters
    ----------
    model : Model
    labelled : bool
        Whether every sequence comes with its true class.
    dated : bool
        Whether it is known when steps were: then each row says when its own was, or of a whole
        sequence, the last.
    verbatim : bool
        Whether tables have texts as they are that a spreadsheet would run as formulas.
    """

    model: Model
    labelled: bool
    dated: bool = False
    verbatim: bool = False

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

    def dates(self, predictions: Predictions) -> list[str | None]:
        """When the step of each row was, or the last of its sequence; None if it is not known."""
        if predictions.steps is None:
            return [sequence.last_date for sequence in predictions.of_rows]
        if predictions.of_input is None:  # the steps are a decoder's, say, and no input's
            return [None] * predictions.rows
        parts = [sequence.parts[predictions.of_input] for sequence in predictions.of_rows]
        steps = predictions.steps.tolist()
        return [
            part.dates[step] if part.dates else None
            for part, step in zip(parts, steps, strict=True)
        ]

    def true_classes(self, predictions: Predictions) -> list[str | int | None]:
        """The true class of each row; None of an empty line, which has none."""
        (decision,) = self.decisions
        golds = [sequence.gold for sequence in predictions.of_rows]
        return [None if gold is None else decision.classes[gold] for gold in golds]


class PredictionJsonLinesWriter(Writer[Predictions]):
    """Writes one JSON object a line. A sequence without scores has one too."""

    def __init__(self, file: TextIO, layout: PredictionLayout) -> None:
        self._file = file
        self._layout = layout

    def write(self, predictions: Predictions, /) -> None:
        for part in predictions.parts(self._layout.part_rows):
            without = [self._without(part.sequences[place]) for place in part.without_rows.tolist()]
            objects = [*self._with_scores(part), *without]
            order = np.argsort(np.concatenate([part.places, part.without_rows]), kind="stable")
            self._file.write(json_lines([objects[place] for place in order.tolist()]))

    def _with_scores(self, part: Predictions) -> list[dict[str, Any]]:
        layout = self._layout
        columns: dict[str, list[Any]] = {
            "sequence": [sequence.number for sequence in part.of_rows],
            "id": [sequence.id for sequence in part.of_rows],
            "scores": exact(part.scores),
        }
        original = originals(layout.model, part.scores)
        if original is not None:
            columns["original"] = exact(original)
        if part.steps is not None:
            columns["step"] = part.steps.tolist()
        if layout.dated:
            columns["date"] = layout.dates(part)
        if layout.decisions:
            columns["probabilities"] = self._probabilities(part)
        columns["predicted"] = self._predicted(part)
        if layout.labelled:
            columns["label"] = layout.true_classes(part)
        rows = zip(*columns.values(), strict=True)
        return [dict(zip(columns, row, strict=True)) for row in rows]

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
        likely: dict[str, list[float]] = {"probabilities": []} if self._layout.decisions else {}
        scaling = self._layout.model.output_scaling
        original: dict[str, list[float]] = {} if scaling is None else {"original": []}
        return {
            "sequence": sequence.number,
            "id": sequence.id,
            "scores": [],
            **original,
            "step": None,
            **({"date": None} if self._layout.dated else {}),
            **likely,
            "predicted": None,
        }


class PredictionTableWriter(Writer[Predictions]):
    """Writes rows with the columns sequence, predicted, score:CLASS, ..., probability:CLASS, ...

    Of a regressor whose values were scaled, original:VALUE, ... stand behind the scores.
    Of a model by step, the step stands behind the sequence; where it is known when steps were, so
    does the date; of labelled input, the label.
    """

    def __init__(self, file: TextIO, layout: PredictionLayout, delimiter: str) -> None:
        self._file = file
        self._layout = layout
        self._end = delimiter
        self._cells = TableCells(delimiter, verbatim=layout.verbatim)

    @property
    def marked(self) -> bool:
        return self._cells.marked

    def open(self) -> None:
        layout, model = self._layout, self._layout.model
        names = layout.score_names
        columns = [
            "sequence",
            *(("step",) if model.by_step else ()),
            *(("date",) if layout.dated else ()),
            *(("label",) if layout.labelled else ()),
            *("predicted" + (f":{each.name}" if each.name else "") for each in layout.decisions),
            *(f"score:{name}" for name in names),
            *(f"original:{name}" for name in names if model.output_scaling is not None),
            *(f"probability:{names[score]}" for score in layout.likely),
        ]
        self._file.write(self._end.join(self._cells.of(columns)) + "\n")

    def write(self, predictions: Predictions, /) -> None:
        for part in predictions.parts(self._layout.part_rows):
            first, *others = self._columns(part)
            apart = [column for other in others for column in ([self._end] * part.rows, other)]
            self._file.write(by_row(part.rows, first, *apart, ["\n"] * part.rows))

    def _columns(self, part: Predictions) -> Iterator[Iterable[str]]:
        layout = self._layout
        yield [str(sequence.number) for sequence in part.of_rows]
        if part.steps is not None:
            yield map(str, part.steps.tolist())
        if layout.dated:
            yield self._names([date or "" for date in layout.dates(part)])
        if layout.labelled:
            yield self._names(["" if name is None else name for name in layout.true_classes(part)])
        yield from map(self._names, layout.predicted(part))
        yield from map(texts, part.scores.T)
        original = originals(layout.model, part.scores)
        if original is not None:
            yield from map(texts, original.T)
        likely = probabilities(layout.model, part.scores)
        yield from (texts(likely[:, score]) for score in layout.likely)

    def _names(self, names: Iterable[str | int]) -> list[str]:
        return self._cells.of(list(map(str, names)))
