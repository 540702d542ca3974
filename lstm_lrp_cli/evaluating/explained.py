"""The score of each sequence that is explained, and whether its class is the predicted one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lstm_lrp_cli.engine.forward import Trace
from lstm_lrp_cli.engine.relevance import Chosen
from lstm_lrp_cli.model.arrays import Booleans, Floats, Integers
from lstm_lrp_cli.model.decision import Decision
from lstm_lrp_cli.scaling.question import Question, choices, chosen_of
from lstm_lrp_cli.sequences.batching import Batch


@dataclass(frozen=True, slots=True, eq=False)
class ExplainedScores:
    """What is explained of a batch, of a model with one vector of scores a sequence.

    Parameters
    ----------
    chosen : Chosen
    decision : Decision or None
        The classes among which the explained ones stand; None where the output is a value.
    """

    chosen: Chosen
    decision: Decision | None

    @classmethod
    def of(cls, question: Question, trace: Trace, batch: Batch) -> ExplainedScores:
        """What a question that asks for one score of each sequence asks of a batch.

        The predicted class is that of a single score too, and not the score whatever it predicts.
        """
        (choice,) = choices(question, trace, batch)
        chosen = choice.chosen
        if question.target == "predicted" and choice.predicted is not None:
            chosen = chosen_of(trace.model, choice.predicted)
        return cls(chosen, choice.decision)

    def scores(self, scores: Floats, sequences: Integers) -> Floats:
        """The explained scores, shape (n,), of all scores (n, classes) of some sequences."""
        return self.chosen.among(sequences).of(scores)

    def predicted(self, scores: Floats, sequences: Integers) -> Booleans:
        """Whether the explained class is the predicted one, as `scores` has it."""
        found = np.zeros(len(scores), dtype=bool)
        if self.decision is not None:
            explained, taken = self.chosen.among(sequences), self.decision.taken(scores)
            if self.decision.one is None:
                found = taken == explained.targets - self.decision.scores.start
            else:
                found = (taken == 1) == (explained.slopes > 0)
        return found
