"""One batch, and what each contestant tells of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lstm_lrp_cli.engine.forward import Trace
from lstm_lrp_cli.engine.method import Method
from lstm_lrp_cli.engine.relevance import Relevance, whole_steps
from lstm_lrp_cli.evaluating.explained import ExplainedScores
from lstm_lrp_cli.model.arrays import Floats, Integers
from lstm_lrp_cli.scaling.corpus import finite_relevance
from lstm_lrp_cli.sequences.batching import Batch


@dataclass(frozen=True, slots=True, eq=False)
class ExplainedBatch:
    """A batch of sequences that all have steps.

    Parameters
    ----------
    batch : Batch
    trace : Trace
    explained : Explained
    relevance : tuple of ndarray, each of shape (seeds, steps)
        Of each contestant, what `tell` gives.
    """

    batch: Batch
    trace: Trace
    explained: ExplainedScores
    relevance: tuple[Floats, ...] = ()

    @property
    def sequence(self) -> Integers:
        """The sequence of each step, in ascending order, shape (steps,)."""
        return self.trace.packing.sequence[self.batch.own_rows]

    @property
    def first(self) -> Floats:
        """The relevance of each contestant, of the first of its seeds, shape (methods, steps)."""
        return np.stack([of_seeds[0] for of_seeds in self.relevance])

    def tell(self, method: Method, trace: Trace | None = None) -> Floats:
        """What a method tells of the steps, sequence after sequence, shape (steps,), in float64.

        Parameters
        ----------
        trace : Trace or None
            Another forward pass over the batch.
        """
        return self.told(self.explain(method, trace))

    def explain(self, method: Method, trace: Trace | None = None) -> Relevance:
        """What a method gives of whole steps, of padding too."""
        return finite_relevance(
            self.batch, trace or self.trace, self.explained.chosen, method, "steps"
        )

    def told(self, found: Relevance) -> Floats:
        """What was given of the steps, as `tell` has it."""
        own: Floats = whole_steps(found.inputs)[self.batch.own_rows]
        return own
