"""What predictions are written as, in whatever format."""

from dataclasses import dataclass
from functools import cached_property

from lstm_lrp_cli.model.decision import Decision, decisions_of
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.reporting.writer import PART_VALUES
from lstm_lrp_cli.scaling.prediction import Predictions


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
