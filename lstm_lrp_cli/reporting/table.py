"""Tables: TSV and CSV, one row a token, or a feature of a step."""

import csv
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.reporting.numbers import exact
from lstm_lrp_cli.reporting.writer import Detail
from lstm_lrp_cli.sequences.explanation import Explanation

COLUMNS: dict[Detail, tuple[str, ...]] = {
    "token": ("token",),
    "dimension": ("token", "dimension"),
    "step": (),
    "feature": ("feature", "value"),
}


class TableWriter:
    """Writes rows with the columns sequence, position, ..., target, score, relevance.

    Of a model by step, the step whose score is explained stands behind the sequence.

    A field with a tab, a quote or a line break is quoted as in CSV, in TSV too, so that readers of
    either find every row whole.
    """

    def __init__(self, file: TextIO, model: Model, detail: Detail, delimiter: str) -> None:
        self._rows = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        self._model = model
        self._detail = detail
        self._started = False

    def write(self, explanations: Sequence[Explanation]) -> None:
        self._start()
        for explanation in explanations:
            self._write(explanation)

    def _write(self, explanation: Explanation) -> None:
        if not explanation.scored:
            return
        number = explanation.sequence.number
        target = self._model.target_name(explanation.target)
        score = exact(explanation.scores)[explanation.target]
        step = () if explanation.step is None else (explanation.step,)
        self._rows.writerows(
            (number, *step, position, *fields, target, score, relevance)
            for position, fields, relevance in self._cells(explanation)
        )

    def close(self) -> None:
        self._start()

    def _start(self) -> None:
        if not self._started:
            self._started = True
            own = COLUMNS[self._detail]
            step = ("step",) if self._model.by_step else ()
            self._rows.writerow(
                ("sequence", *step, "position", *own, "target", "score", "relevance")
            )

    def _cells(self, explanation: Explanation) -> Iterator[tuple[int, tuple[Any, ...], float]]:
        """Position, own columns and relevance of each row."""
        sequence = explanation.sequence
        tokens, features = sequence.tokens or (), sequence.features or ()
        match self._detail:
            case "token":
                relevance = exact(explanation.relevance_of_steps)
                for position, token in enumerate(tokens):
                    yield position, (token,), relevance[position]
            case "step":
                for position, amount in enumerate(exact(explanation.relevance_of_steps)):
                    yield position, (), amount
            case "dimension":
                for position, amounts in enumerate(exact(explanation.relevance)):
                    for dimension, amount in enumerate(amounts):
                        yield position, (tokens[position], dimension), amount
            case "feature":
                values = exact(sequence.inputs)
                for position, amounts in enumerate(exact(explanation.relevance)):
                    for index, feature in enumerate(features):
                        yield position, (feature, values[position][index]), amounts[index]
