"""Methods compared over a corpus as it flows: sums are kept, and nothing of a single sequence."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from time import process_time

import numpy as np

from lstm_lrp_cli.engine.forward import Trace
from lstm_lrp_cli.explaining.carried import Carried
from lstm_lrp_cli.explaining.corpus import carry_through, run_window, windows
from lstm_lrp_cli.explaining.question import Question
from lstm_lrp_cli.explaining.sizes import Sizes, absolute_sums
from lstm_lrp_cli.inputs.batching import Batch, masked_steps, prepare
from lstm_lrp_cli.inputs.sequence import Sequence
from lstm_lrp_cli.model.arrays import Booleans, Floats, Integers
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.statistics.correlation import LEAST_STEPS, correlations
from .evaluation import Curves, Evaluation, Measures
from .experiment import Contestant, Experiment, ExplainedBatch, ExplainedScores
from .perturbation import Effects, Perturbation, Sums, perturbations
from .sensitivity import Sensitivity


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
    gathered = Gathered(model, contestants, experiment, question, tell)
    carried = Carried(model)
    for window in windows(model, sequences, question, len(contestants)):
        for abreast in carried.abreast(window):
            judged, left_out = gathered.parted(abreast)
            carry_through(model, left_out, carried)
            clock = process_time()
            for batch, trace in run_window(model, judged, carried, gathered.keep_gates):
                gathered.forward_seconds += process_time() - clock
                gathered.add(batch, trace)
                del trace  # as run_window says
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
        tell: Callable[[int], None],
    ) -> None:
        self.model = model
        self.contestants = contestants
        self.experiment = experiment
        self.question = question
        self.tell = tell
        self.keep_gates = any(each.methods[0].keeps_gates for each in contestants)
        self.forward_seconds = 0.0
        self._classifies = True
        self._sequences = self._steps = self._masked = self._left_out = self._parts = 0
        self._perturbations = perturbations(labelled=question.target == "gold")
        self._counts = dict.fromkeys(self._perturbations, 0)
        self._sums = {
            (perturbation, contestant.name): Sums(len(contestant.methods), experiment.deletions)
            for perturbation in self._perturbations
            for contestant in contestants
        }
        self._agreement = Agreement(np.array([each.signed for each in contestants]))
        self._effects = Effects(contestants)
        self._sensitivity = Sensitivity(contestants, experiment, self.keep_gates)
        self._seconds = np.zeros(len(contestants))
        self._sizes = {
            each.name: Sizes.none(promise.nothing)
            for each in contestants
            if (promise := each.methods[0].promise) is not None
        }

    def parted(self, sequences: Iterable[Sequence]) -> tuple[list[Sequence], list[Sequence]]:
        """The sequences that have enough steps that the model is run on, and those left out."""
        judged: list[Sequence] = []
        left_out: list[Sequence] = []
        for sequence in sequences:
            run = prepare([sequence.inputs], self.model.padding).kept.sum()
            (judged if run >= self.experiment.least_steps else left_out).append(sequence)
        self._left_out += len(left_out)
        return judged, left_out

    def add(self, batch: Batch, trace: Trace) -> None:
        """Take in a batch."""
        seen = ExplainedBatch(batch, trace, ExplainedScores.of(self.question, trace, batch))
        self._classifies = seen.explained.decision is not None
        seen = replace(
            seen,
            relevance=tuple(
                self._told(seen, place, contestant)
                for place, contestant in enumerate(self.contestants)
            ),
        )
        self._add_curves(seen)
        self._agreement.add(seen.first, seen.sequence)
        self._effects.add(seen)
        self._sensitivity.add(seen, lambda: self._part_done(batch))
        self._sequences += len(batch.sequences)
        self._steps += len(seen.sequence)
        self._masked += masked_steps(batch.sequences, self.model)
        self._parts = 0

    def _told(self, seen: ExplainedBatch, place: int, contestant: Contestant) -> Floats:
        """What a contestant tells, with each of its seeds; the time is that of one."""
        clock = process_time()
        found = [seen.explain(method) for method in contestant.methods]
        told = np.stack([seen.told(each) for each in found])
        self._seconds[place] += (process_time() - clock) / len(found)
        if found[0].ledgers is not None:
            batch = len(seen.batch.sequences)
            tokens = absolute_sums(told[0], seen.sequence, batch)
            numbers = [sequence.number for sequence in seen.batch.sequences]
            sizes = self._sizes[contestant.name]
            self._sizes[contestant.name] = sizes.seen(found[0].ledgers, tokens, numbers)
        self._part_done(seen.batch)
        return told

    def _add_curves(self, seen: ExplainedBatch) -> None:
        everything = np.arange(len(seen.batch.sequences))
        right = seen.explained.predicted(seen.trace.scores, everything)
        for perturbation in self._perturbations:
            chosen = perturbation.among(right)
            self._counts[perturbation] += len(chosen)
            for contestant, of_seeds in zip(self.contestants, seen.relevance, strict=True):
                sums = self._sums[perturbation, contestant.name]
                for seed, relevance in enumerate(of_seeds):
                    scores = perturbation.scores(seen, relevance, chosen, self.experiment.deletions)
                    sums.add(seed, scores, chosen, seen.explained)
                self._part_done(seen.batch)

    def _part_done(self, batch: Batch) -> None:
        """Tell of the progress after a part of a batch's work: one method in one test."""
        self._parts += 1
        tests = 1 + len(self._perturbations) + self.experiment.draws
        share = self._parts / (tests * len(self.contestants))
        self.tell(self._sequences + int(len(batch.sequences) * share))

    def evaluation(self) -> Evaluation:
        """What it came to."""
        per_thousand = 1000 / max(self._steps, 1)
        measures = map(
            Measures,
            self._effects.shares(),
            self._sensitivity.means(),
            (self._seconds * per_thousand).tolist(),
            (self._sizes.get(each.name) for each in self.contestants),
        )
        names = (contestant.name for contestant in self.contestants)
        return Evaluation(
            self.contestants,
            self.experiment,
            "step" if self.model.embedding is None else "token",
            self.question.target,
            self._sequences,
            self._steps,
            self._masked,
            self._left_out,
            tuple(map(self._curves, self._perturbations)),
            self._agreement.mean(),
            dict(zip(names, measures, strict=True)),
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
            {name: each.predicted(count) for name, each in sums.items() if self._classifies},
        )


class Agreement:
    """The mean rank correlation of each pair of methods, over the sequences seen so far.

    Ranks are those of signed relevance. Where one of two methods has no signs, of what the other
    gives the sizes are ranked.

    Parameters
    ----------
    signed : ndarray of bool, shape (methods,)
        Whether a method's relevance has signs.
    """

    def __init__(self, signed: Booleans) -> None:
        self._both_signed = signed[:, np.newaxis] & signed
        self._sums = np.zeros(self._both_signed.shape)
        self._counts = np.zeros(self._both_signed.shape, dtype=np.intp)

    def add(self, relevance: Floats, sequence: Integers) -> None:
        """Take in the relevance of some sequences.

        Parameters
        ----------
        relevance : ndarray, shape (methods, steps)
        sequence : ndarray of int, shape (steps,)
            The sequence of each, in ascending order.
        """
        long = np.bincount(sequence) >= LEAST_STEPS
        found = np.where(
            self._both_signed[:, :, np.newaxis],
            correlations(relevance, sequence),
            correlations(np.abs(relevance), sequence),
        )
        there = ~np.isnan(found) & long
        self._sums += np.where(there, found, 0.0).sum(axis=2)
        self._counts += there.sum(axis=2)

    def mean(self) -> Floats:
        """Shape (methods, methods); NaN where no sequence had one."""
        nothing = np.full_like(self._sums, np.nan)
        np.divide(self._sums, self._counts, out=nothing, where=self._counts > 0)
        return nothing
