"""Whether the most relevant step is the one that the score changes most without."""

import numpy as np

from lstm_lrp_cli.engine.methods.occlusion import Occlusion
from lstm_lrp_cli.evaluating.experiment import Contestant
from lstm_lrp_cli.evaluating.perturbation import ranks_from_most
from lstm_lrp_cli.evaluating.seen import ExplainedBatch


class Effects:
    """How often each contestant found that step, of the sequences seen so far."""

    def __init__(self, contestants: tuple[Contestant, ...]) -> None:
        self._contestants = contestants
        self._hits = np.zeros(len(contestants))
        self._sequences = 0

    def add(self, seen: ExplainedBatch) -> None:
        """Take in a batch. Where relevance has no signs, neither has the change of the score."""
        sequence = seen.sequence
        effects = seen.tell(Occlusion())
        for place, contestant in enumerate(self._contestants):
            signed = contestant.signed
            largest = ranks_from_most(effects if signed else np.abs(effects), sequence) == 0
            hits = [
                np.count_nonzero(largest & (ranks_from_most(relevance, sequence) == 0))
                for relevance in seen.relevance[place]
            ]
            self._hits[place] += np.mean(hits)
        self._sequences += len(seen.batch.sequences)

    def shares(self) -> list[float]:
        """The share of sequences, of each contestant; of several seeds their mean."""
        shares: list[float] = (self._hits / max(self._sequences, 1)).tolist()
        return shares
