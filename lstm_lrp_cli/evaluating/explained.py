"""The score of each sequence that is explained, and whether its class is the predicted one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lstm_lrp_cli.engine.forward import Trace
from lstm_lrp_cli.engine.relevance import Chosen
from lstm_lrp_cli.model.arrays import Booleans, Floats, Integers
from lstm_lrp_cli.scaling.question import Question, choices
from lstm_lrp_cli.sequences.batching import Batch


@dataclass(frozen=True, slots=True, eq=False)
class Explained:
    """What is explained of a batch, of a model with one vector of scores a sequence.

    Parameters
    ----------
    chosen : Chosen
    head : slice
        The scores among which one class is predicted.
    signs : ndarray, shape (batch,)
        A single output speaks for its class where it is positive: -1 where the other class is the
        one that is explained, so that its score is the output's negative. Else 1.
    classifies : bool
        Whether there is a class to predict: else the output is a value.
    """

    chosen: Chosen
    head: slice
    signs: Floats
    classifies: bool

    @classmethod
    def of(cls, question: Question, trace: Trace, batch: Batch) -> Explained:
        """What a question that asks for one score of each sequence asks of a batch."""
        model = trace.model
        (choice,) = choices(question, trace, batch)
        target = int(choice.chosen.targets[0])
        heads = zip(model.likelihoods, model.head_slices, strict=True)
        likelihood, head = next((kind, at) for kind, at in heads if target < at.stop)
        signs = np.ones(len(choice.chosen.targets))
        classifies = likelihood != "linear"
        if classifies and head.stop - head.start == 1 and question.target in ("gold", "predicted"):
            if question.target == "gold":
                positive = np.array([sequence.gold == 1 for sequence in batch.sequences])
            else:
                positive = trace.scores[:, target] > 0
            signs[~positive] = -1.0
        return cls(choice.chosen, head, signs, classifies)

    def scores(self, scores: Floats, sequences: Integers) -> Floats:
        """The explained scores, shape (n,), of all scores (n, classes) of some sequences."""
        targets = self.chosen.targets[sequences]
        return self.signs[sequences] * scores[np.arange(len(scores)), targets]

    def predicted(self, scores: Floats, sequences: Integers) -> Booleans:
        """Whether the explained class is the predicted one, as `scores` has it."""
        targets, among = self.chosen.targets[sequences], scores[:, self.head]
        found: Booleans
        if among.shape[1] == 1:
            found = (among[:, 0] > 0) == (self.signs[sequences] > 0)
        else:
            found = among.argmax(axis=1) + self.head.start == targets
        return found
