"""`lrp evaluate`: the methods that compete, what they are asked, and a batch explained by each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_lrp_cli.engine.arrays import Copies
from lstm_lrp_cli.engine.backward import Chosen, Relevance, of_steps
from lstm_lrp_cli.engine.forward import Trace
from lstm_lrp_cli.engine.methods.method import Method
from lstm_lrp_cli.engine.methods.random_control import RandomControl
from lstm_lrp_cli.explaining.question import Question, choices, chosen_of
from lstm_lrp_cli.explaining.windows import finite_relevance
from lstm_lrp_cli.inputs.batching import Batch
from lstm_lrp_cli.model import Booleans, Floats, Integers
from lstm_lrp_cli.model.decision import Decision


@dataclass(frozen=True, slots=True)
class Contestant:
    """A method that is compared with others.

    Parameters
    ----------
    name : str
    methods : tuple of Method
        One; of the random control, one a seed.
    """

    name: str
    methods: tuple[Method, ...]

    @property
    def signed(self) -> bool:
        """Whether its relevance tells what speaks for a class from what speaks against it."""
        return self.methods[0].signed

    @property
    def is_control(self) -> bool:
        """Whether it knows nothing of the model."""
        return isinstance(self.methods[0], RandomControl)


@dataclass(frozen=True, slots=True)
class Experiment:
    """How methods are compared.

    Parameters
    ----------
    deletions : int
        How many steps of a sequence are deleted or inserted, one after another.
    least_steps : int
        Shorter sequences are left out.
    radius : float
        How far the numbers of a sequence are moved to see whether its relevance changes, relative
        to their root mean square.
    draws : int
        How often they are moved; 0 leaves that out.
    seed : int
        Of how they are moved.
    """

    deletions: int = 10
    least_steps: int = 10
    radius: float = 0.1
    draws: int = 10
    seed: int = 0


@dataclass(frozen=True, eq=False)
class ExplainedBatch:
    """A batch of sequences that all have steps, and the one score of each that is explained.

    Parameters
    ----------
    batch : Batch
    trace : Trace
        Of a model with one vector of scores a sequence.
    chosen : Chosen
    decision : Decision or None
        The classes among which the explained ones stand; None where the output is a value.
    relevance : tuple of ndarray, each of shape (seeds, steps)
        Of each contestant, what `tell` gives.
    """

    batch: Batch
    trace: Trace
    chosen: Chosen
    decision: Decision | None
    relevance: tuple[Floats, ...] = ()

    @classmethod
    def of(cls, question: Question, batch: Batch, trace: Trace) -> ExplainedBatch:
        """What a question that asks for one score of each sequence asks of a batch.

        The predicted class is that of a single score too, and not the score whatever it predicts.
        """
        (choice,) = choices(question, trace, batch)
        chosen = choice.chosen
        if question.target == "predicted" and choice.predicted is not None:
            chosen = chosen_of(trace.model, choice.predicted)
        return cls(batch, trace, chosen, choice.decision)

    @cached_property
    def order(self) -> Integers | None:
        """Where the steps of all inputs, which stand input after input, are by sequence.

        None of the only input, whose steps stand so.
        """
        if len(self.batch.packed) == 1:
            return None
        whose = np.concatenate([each.own_sequence for each in self.batch.packed])
        return np.argsort(whose, kind="stable")

    @cached_property
    def sequence(self) -> Integers:
        """The sequence of each step of all inputs, in ascending order, shape (steps,)."""
        return self._by_sequence([each.own_sequence for each in self.batch.packed])

    def by_input(self, values: Integers) -> list[Integers]:
        """Values of all steps, by sequence, as those of each input's steps that are not padding."""
        if self.order is None:
            return [values]
        apart = np.empty_like(values)
        apart[self.order] = values
        return np.split(apart, np.cumsum([len(each.own_rows) for each in self.batch.packed])[:-1])

    def _by_sequence(self, of_inputs: list[NDArray[Any]]) -> NDArray[Any]:
        if self.order is None:
            return of_inputs[0]
        return np.concatenate(of_inputs)[self.order]

    @property
    def first(self) -> Floats:
        """The relevance of each contestant, of the first of its seeds, shape (methods, steps)."""
        return np.stack([of_seeds[0] for of_seeds in self.relevance])

    def _chosen(self, sequences: Integers) -> Chosen:
        return self.chosen.of_copies(Copies(sequences, sequences), None)

    def scores(self, scores: Floats, sequences: Integers) -> Floats:
        """The explained scores, shape (n,), of all scores (n, classes) of some sequences."""
        return self._chosen(sequences).of(scores)

    def predicted(self, scores: Floats, sequences: Integers) -> Booleans:
        """Whether the explained class is the predicted one, as `scores` has it."""
        found = np.zeros(len(scores), dtype=bool)
        if self.decision is not None:
            explained, taken = self._chosen(sequences), self.decision.taken(scores)
            if self.decision.one is None:
                found = taken == explained.targets - self.decision.scores.start
            else:
                found = (taken == 1) == (explained.slopes > 0)
        return found

    def explain(self, method: Method, trace: Trace | None = None) -> Relevance:
        """What a method gives of steps, of padding too.

        Parameters
        ----------
        trace : Trace or None
            Another forward pass over the batch.
        """
        return finite_relevance(self.batch, trace or self.trace, self.chosen, method, "steps")

    def told(self, found: Relevance) -> Floats:
        """What was given of the steps, one sequence after another, shape (steps,), in float64."""
        own = [
            of_steps(values)[each.own_rows]
            for values, each in zip(found.values, self.batch.packed, strict=True)
        ]
        return self._by_sequence(own)
