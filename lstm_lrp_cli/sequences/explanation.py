"""The explanation of one sequence for one target: what every output is written from."""

from dataclasses import dataclass

from lstm_lrp_cli.engine.ledger import Ledger
from lstm_lrp_cli.model.arrays import Floats
from lstm_lrp_cli.sequences.sequence import Sequence


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """Where one score of one sequence comes from.

    Parameters
    ----------
    sequence : Sequence
    scores : ndarray, shape (classes,)
    predicted : int
        The class with the highest score, of those that the target stands among.
    target : int
        The class that is explained.
    relevance : ndarray, shape (steps, features)
        Of every feature, or dimension of the embedding, at every step.
    ledger : Ledger
    step : int or None
        Where the model gives scores at every step: the step whose score it is.
    """

    sequence: Sequence
    scores: Floats
    predicted: int
    target: int
    relevance: Floats
    ledger: Ledger
    step: int | None = None

    @property
    def relevance_of_steps(self) -> Floats:
        """Relevance of each token or step, shape (steps,)."""
        total: Floats = self.relevance.sum(axis=1)
        return total

    @property
    def right(self) -> bool | None:
        """Whether the prediction is the true class; None where that is not known."""
        if self.sequence.gold is None:
            return None
        if len(self.scores) == 1:
            return bool(self.scores[0] > 0) == bool(self.sequence.gold)
        return self.predicted == self.sequence.gold
