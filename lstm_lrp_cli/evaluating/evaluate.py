"""Methods compared over a corpus as it flows: sums are kept, and nothing of a single sequence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from time import process_time

import numpy as np

from lstm_lrp_cli.engine.forward import Trace
from lstm_lrp_cli.engine.method import Method
from lstm_lrp_cli.engine.methods.occlusion import Occlusion
from lstm_lrp_cli.engine.relevance import whole_steps
from lstm_lrp_cli.evaluating.agreement import Agreement
from lstm_lrp_cli.evaluating.evaluation import Curves, Evaluation, Measures
from lstm_lrp_cli.evaluating.experiment import Contestant, Experiment
from lstm_lrp_cli.evaluating.explained import Explained
from lstm_lrp_cli.evaluating.perturbation import (
    Perturbation,
    Sums,
    perturbations,
    ranks_from_most,
)
from lstm_lrp_cli.evaluating.sensitivity import moved
from lstm_lrp_cli.model.arrays import Floats, Integers
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.scaling.corpus import finite_relevance, run_window, windows
from lstm_lrp_cli.scaling.question import Question
from lstm_lrp_cli.sequences.batching import Batch, prepare
from lstm_lrp_cli.sequences.sequence import Sequence


def evaluate(
    model: Model,
    sequences: Iterable[Sequence],
    contestants: tuple[Contestant, ...],
    experiment: Experiment,
    question: Question,
    tell: Callable[[int], None] = lambda done: None,
) -> Evaluation:
    """Compare methods over sequences, in bounded memory.

    Parameters
    ----------
    model : Model
        With one vector of scores a sequence.
    question : Question
        That asks for one score of each sequence.
    tell : callable
        Told how many sequences are done.

    Raises
    ------
    UnusableInput
        The input cannot be used.
    """
    gathered = Gathered(model, contestants, experiment, question)
    for window in windows(model, gathered.long_enough(sequences), question, len(contestants)):
        clock = process_time()
        for batch, trace in run_window(model, window, gathered.keep_gates):
            gathered.forward_seconds += process_time() - clock
            gathered.add(batch, trace)
            tell(gathered.sequences)
            clock = process_time()
    return gathered.evaluation()


class Gathered:
    """The sums of all that was seen so far."""

    def __init__(
        self,
        model: Model,
        contestants: tuple[Contestant, ...],
        experiment: Experiment,
        question: Question,
    ) -> None:
        self.model = model
        self.contestants = contestants
        self.experiment = experiment
        self.question = question
        self.keep_gates = any(
            method.keeps_gates for contestant in contestants for method in contestant.methods
        )
        self.classifies = True
        self.sequences = self.steps = self.left_out = 0
        self.forward_seconds = 0.0
        self._perturbations = perturbations(labelled=question.target == "gold")
        self._counts = dict.fromkeys(self._perturbations, 0)
        self._sums = {
            (perturbation, contestant.name): Sums(len(contestant.methods), experiment.deletions)
            for perturbation in self._perturbations
            for contestant in contestants
        }
        self._agreement = Agreement(np.array([each.signed for each in contestants]))
        self._hits = np.zeros(len(contestants))
        self._seconds = np.zeros(len(contestants))
        self._changes = np.zeros(len(contestants))
        self._changing = np.zeros(len(contestants), dtype=np.intp)

    def long_enough(self, sequences: Iterable[Sequence]) -> Iterator[Sequence]:
        """The sequences that have enough steps that the model is run on."""
        for sequence in sequences:
            run = prepare([sequence.inputs], self.model.padding).kept.sum()
            if run >= self.experiment.least_steps:
                yield sequence
            else:
                self.left_out += 1

    def add(self, batch: Batch, trace: Trace) -> None:
        """Take in a batch."""
        explained = Explained.of(self.question, trace, batch)
        self.classifies = explained.classifies
        sequence = trace.packing.sequence[batch.own_rows]
        told: list[Floats] = []  # of each contestant, shape (seeds, steps)
        for place, contestant in enumerate(self.contestants):
            clock = process_time()
            found = [_relevance(batch, trace, explained, method) for method in contestant.methods]
            self._seconds[place] += (process_time() - clock) / len(found)
            signs = explained.signs[sequence] if contestant.signed else 1.0
            told.append(np.stack(found) * signs)
        self._add_curves(batch, trace, explained, told)
        first = np.stack([each[0] for each in told])
        self._agreement.add(first, sequence)
        self._add_hits(batch, trace, explained, told)
        if self.experiment.draws:
            self._add_changes(batch, trace, explained, first)
        self.sequences += len(batch.sequences)
        self.steps += len(sequence)

    def _add_curves(
        self, batch: Batch, trace: Trace, explained: Explained, told: list[Floats]
    ) -> None:
        everything = np.arange(len(batch.sequences))
        right = explained.predicted(trace.scores, everything)
        for perturbation in self._perturbations:
            chosen = perturbation.among(right)
            self._counts[perturbation] += len(chosen)
            for contestant, of_seeds in zip(self.contestants, told, strict=True):
                sums = self._sums[perturbation, contestant.name]
                for seed, relevance in enumerate(of_seeds):
                    scores = perturbation.scores(
                        trace, batch, relevance, chosen, self.experiment.deletions
                    )
                    sums.add(seed, scores, chosen, explained)

    def _add_hits(
        self, batch: Batch, trace: Trace, explained: Explained, told: list[Floats]
    ) -> None:
        """Whether the most relevant step is the one that the score changes most without.

        Where relevance has no signs, neither has the change.
        """
        sequence = trace.packing.sequence[batch.own_rows]
        effects = explained.signs[sequence] * _relevance(batch, trace, explained, Occlusion())
        for place, (contestant, of_seeds) in enumerate(zip(self.contestants, told, strict=True)):
            largest = ranks_from_most(effects if contestant.signed else np.abs(effects), sequence)
            hits = [
                np.count_nonzero((ranks_from_most(relevance, sequence) == 0) & (largest == 0))
                for relevance in of_seeds
            ]
            self._hits[place] += np.mean(hits)

    def _add_changes(self, batch: Batch, trace: Trace, explained: Explained, first: Floats) -> None:
        """How much relevance changes at most over all draws, relative to its own norm."""
        sequence = trace.packing.sequence[batch.own_rows]
        worst = np.zeros((len(self.contestants), len(batch.sequences)))
        for draw in range(self.experiment.draws):
            beside = moved(trace, batch, self.experiment, draw, self.keep_gates)
            for place, contestant in enumerate(self.contestants):
                found = _relevance(batch, beside, explained, contestant.methods[0])
                if contestant.signed:
                    found *= explained.signs[sequence]
                change = norms(found - first[place], sequence)
                np.maximum(worst[place], change, out=worst[place])
        for place, relevance in enumerate(first):
            own = norms(relevance, sequence)
            there = own > 0
            self._changes[place] += (worst[place][there] / own[there]).sum()
            self._changing[place] += np.count_nonzero(there)

    def evaluation(self) -> Evaluation:
        """What it came to."""
        per_thousand = 1000 / max(self.steps, 1)
        hits = self._hits / max(self.sequences, 1)
        measures = {
            contestant.name: Measures(
                float(hits[place]),
                float(self._changes[place] / self._changing[place])
                if self._changing[place]
                else None,
                float(self._seconds[place] * per_thousand),
            )
            for place, contestant in enumerate(self.contestants)
        }
        return Evaluation(
            self.contestants,
            self.experiment,
            "step" if self.model.embedding is None else "token",
            self.question.target,
            self.sequences,
            self.steps,
            self.left_out,
            tuple(map(self._curves, self._perturbations)),
            self._agreement.mean(),
            measures,
            self.forward_seconds * per_thousand,
        )

    def _curves(self, perturbation: Perturbation) -> Curves:
        count = self._counts[perturbation]
        sums = {
            contestant.name: self._sums[perturbation, contestant.name]
            for contestant in self.contestants
            if count
        }
        return Curves(
            perturbation,
            count,
            {name: each.score(count) for name, each in sums.items()},
            {name: each.predicted(count) for name, each in sums.items() if self.classifies},
        )


def norms(values: Floats, sequence: Integers) -> Floats:
    """The Euclidean norm of the values of each sequence, all of which have some."""
    squares: Floats = np.sqrt(np.bincount(sequence, np.square(values)))
    return squares


def _relevance(batch: Batch, trace: Trace, explained: Explained, method: Method) -> Floats:
    """Relevance of whole steps, of a batch's own rows in the order of sequences, in float64."""
    found = finite_relevance(batch, trace, explained.chosen, method, "steps")
    own: Floats = whole_steps(found.inputs)[batch.own_rows]
    return own
