"""Methods compared over a corpus as it flows: sums are kept, and nothing of a single sequence."""

from collections.abc import Callable, Iterable
from collections.abc import Sequence as Several
from dataclasses import dataclass, replace
from itertools import compress
from time import process_time
from typing import Literal

import numpy as np

from lstm_lrp_cli.engine.forward import Trace
from lstm_lrp_cli.explaining.question import Question, Target
from lstm_lrp_cli.explaining.sizes import Sizes, absolute_sums
from lstm_lrp_cli.explaining.windows import Carried, carry_through, run_window, windows
from lstm_lrp_cli.inputs.batching import Batch, masked_steps, real_lengths
from lstm_lrp_cli.inputs.sequence import Sequence
from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.model import Model
from . import Contestant, Experiment, ExplainedBatch
from .measures import Agreement, Effects, Sensitivity
from .perturbation import Curves, CurveSums, perturbations


@dataclass(frozen=True, slots=True)
class Measures:
    """What is told of one contestant by one number.

    Parameters
    ----------
    hits : float
        The share of sequences whose most relevant step is the one that the score changes most
        without.
    sensitivity : float or None
        How much relevance changes at most as the input is moved by a little: the mean over
        sequences. None where that was left out, or nothing had relevance.
    seconds : float
        Of this process for 1,000 steps, besides the forward pass.
    sizes : Sizes or None
        How large its ledgers are beside the scores; None where it gives none.
    """

    hits: float
    sensitivity: float | None
    seconds: float
    sizes: Sizes | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """A comparison of methods.

    Parameters
    ----------
    contestants : tuple of Contestant
    experiment : Experiment
    unit : {"token", "step"}
        What sequences consist of.
    explained : str or int
        Of every sequence "gold", its true class, or "predicted", or the class of that number; or
        the difference of two.
    sequences : int
        How many were long enough.
    steps, masked : int
        Of all of them, those that the model is run on, and those that its mask passes over.
    left_out : int
        Sequences that were too short.
    curves : tuple of Curves
    agreement : ndarray, shape (contestants, contestants)
        Mean rank correlations; NaN where there are none.
    measures : dict of Measures
        By the contestants' names.
    forward_seconds : float
        Of this process for 1,000 steps: the forward pass that all of them begin with.
    """

    contestants: tuple[Contestant, ...]
    experiment: Experiment
    unit: Literal["token", "step"]
    explained: Target
    sequences: int
    steps: int
    masked: int
    left_out: int
    curves: tuple[Curves, ...]
    agreement: Floats
    measures: dict[str, Measures]
    forward_seconds: float


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
        self._sequences = self._steps = self._masked = self._left_out = self._parts = 0
        self._curves = [
            CurveSums(perturbation, contestants, experiment.deletions)
            for perturbation in perturbations(gold=question.of_gold)
        ]
        self._agreement = Agreement(np.array([each.signed for each in contestants]))
        self._effects = Effects(contestants)
        self._sensitivity = Sensitivity(contestants, experiment, self.keep_gates)
        self._seconds = np.zeros(len(contestants))
        self._sizes = {
            each.name: Sizes.none(promise.nothing)
            for each in contestants
            if (promise := each.methods[0].promise) is not None
        }

    def parted(self, sequences: Several[Sequence]) -> tuple[list[Sequence], list[Sequence]]:
        """The sequences that have enough steps that the model is run on, and those left out."""
        steps = np.sum(real_lengths(sequences, self.model), axis=0)
        long = steps >= self.experiment.least_steps
        left_out = list(compress(sequences, ~long))
        self._left_out += len(left_out)
        return list(compress(sequences, long)), left_out

    def add(self, batch: Batch, trace: Trace) -> None:
        """Take in a batch."""
        seen = ExplainedBatch.of(self.question, batch, trace)
        seen = replace(
            seen,
            relevance=tuple(
                self._told(seen, place, contestant)
                for place, contestant in enumerate(self.contestants)
            ),
        )
        for curves in self._curves:
            curves.add(seen, lambda: self._part_done(batch))
        self._agreement.add(seen.first, seen.sequence)
        self._effects.add(seen)
        self._sensitivity.add(seen, lambda: self._part_done(batch))
        self._sequences += len(batch.sequences)
        self._steps += len(seen.sequence)
        self._masked += sum(masked_steps(batch.sequences, self.model))
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

    def _part_done(self, batch: Batch) -> None:
        """Tell of the progress after a part of a batch's work: one method in one test."""
        self._parts += 1
        tests = 1 + len(self._curves) + self.experiment.draws
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
            "token" if self.model.takes_tokens else "step",
            self.question.target,
            self._sequences,
            self._steps,
            self._masked,
            self._left_out,
            tuple(each.curves() for each in self._curves),
            self._agreement.mean(),
            dict(zip(names, measures, strict=True)),
            self.forward_seconds * per_thousand,
        )
