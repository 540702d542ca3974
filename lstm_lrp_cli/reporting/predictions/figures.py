"""The figures of a report on predictions, counted block by block."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from lstm_lrp_cli.reporting.decided import Taken
from lstm_lrp_cli.reporting.inputs import InputFigures
from lstm_lrp_cli.reporting.predictions.layout import PredictionLayout
from lstm_lrp_cli.scaling.prediction import Predictions


@dataclass(slots=True)
class PredictionFigures(InputFigures):
    """What a report counts of predictions and their sequences, as `InputFigures`.

    Parameters
    ----------
    predictions : int
        Sequences, or of a model by step their steps, that have scores.
    taken : Taken
        How often each class was predicted.
    pairs : Counter
        How often each class was predicted of each, by the numbers of the true and the predicted
        class.
    """

    predictions: int = 0
    taken: Taken = field(default_factory=Counter)
    pairs: Counter[tuple[int, int]] = field(default_factory=Counter)

    @classmethod
    def of(cls, predictions: Predictions, layout: PredictionLayout) -> PredictionFigures:
        """Count one block."""
        figures = cls(predictions=predictions.rows)
        figures.count_input(predictions.sequences, layout.model)
        for number, decision in enumerate(layout.decisions):
            taken = decision.taken(predictions.scores).tolist()
            figures.taken.update((number, place) for place in taken)
            if layout.labelled:
                golds = [sequence.gold for sequence in predictions.of_rows]
                pairs = zip(golds, taken, strict=True)
                figures.pairs.update((gold, place) for gold, place in pairs if gold is not None)
        return figures

    def merge(self, later: PredictionFigures) -> None:
        """Add the figures of predictions that come after these."""
        self.add_input(later)
        self.predictions += later.predictions
        self.taken += later.taken
        self.pairs += later.pairs
