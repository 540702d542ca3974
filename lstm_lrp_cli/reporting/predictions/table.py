"""Tables: TSV and CSV, one row a sequence, or a step of one."""

from collections.abc import Iterable, Iterator
from typing import TextIO

from lstm_lrp_cli.engine.forward import probabilities
from lstm_lrp_cli.reporting.numbers import texts
from lstm_lrp_cli.reporting.predictions.layout import PredictionLayout
from lstm_lrp_cli.reporting.table import Quoting, by_row
from lstm_lrp_cli.scaling.prediction import Predictions


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
