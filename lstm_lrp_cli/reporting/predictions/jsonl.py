"""JSON lines: one object for every sequence, or step of one."""

from typing import Any, TextIO

import msgspec
import numpy as np

from lstm_lrp_cli.engine.forward import probabilities
from lstm_lrp_cli.reporting.numbers import exact
from lstm_lrp_cli.reporting.predictions.layout import PredictionLayout
from lstm_lrp_cli.scaling.prediction import Predictions
from lstm_lrp_cli.sequences.sequence import Sequence


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
