"""Random numbers, which know nothing of the model: what any method must do better than."""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np

from lstm_lrp_cli.engine.backward import Chosen, Relevance
from lstm_lrp_cli.engine.forward import Trace
from lstm_lrp_cli.engine.perturbation import explained_rows
from lstm_lrp_cli.engine.records import Reach
from lstm_lrp_cli.model import Floats, Integers
from .method import Method


@dataclass(frozen=True, slots=True)
class RandomControl(Method):
    """Standard normal numbers, drawn by a sequence's own content.

    A sequence so has the same numbers in whatever company, order or process it is explained. Where
    the negative of a score is explained, they are those of the score, negated.

    Parameters
    ----------
    seed : int
    """

    seed: int
    name: str = "random"
    in_unit_of_score = False

    @property
    def settings(self) -> dict[str, Any]:
        return {"seed": self.seed}

    # A number too large for float32 is infinite there.
    @np.errstate(over="ignore")
    def explain(self, trace: Trace, chosen: Chosen, reach: Reach) -> Relevance:
        rows = explained_rows(trace, chosen)
        return Relevance([self._of(trace, chosen, reach, k, each) for k, each in enumerate(rows)])

    def _of(
        self, trace: Trace, chosen: Chosen, reach: Reach, number: int, explained: Integers
    ) -> Floats:
        """The numbers of some rows of an input."""
        given = trace.given[number]
        packing, is_explained = given.packing, np.zeros(given.packing.rows, dtype=bool)
        is_explained[explained] = True
        rows = packing.by_sequence[is_explained[packing.by_sequence]]
        counts = np.bincount(packing.sequence[rows], minlength=packing.batch)
        # The same number in either precision is the same content.
        content = given.array[rows].astype("<f4" if given.embedding is None else "<i8")
        steps = None
        if chosen.rows is not None and trace.steps is not None:
            steps = np.append(trace.steps.step, -1)[chosen.rows]  # -1 of no step
        shape = (packing.rows, given.features) if reach == "features" else (packing.rows,)
        relevance = np.zeros(shape, dtype=trace.model.dtype)
        ends, slopes = np.cumsum(counts), chosen.slopes
        for sequence in np.flatnonzero(counts).tolist():
            own = slice(ends[sequence] - counts[sequence], ends[sequence])
            digest = blake2b(content[own].tobytes(), digest_size=16).digest()
            # A second input with the same content has other numbers.
            further = () if steps is None else (int(steps[sequence]),)
            further = (*further, number) if number else further
            target = int(chosen.targets[sequence])
            generator = np.random.default_rng(
                (self.seed, target, int.from_bytes(digest, "little"), *further)
            )
            numbers_drawn = generator.standard_normal((counts[sequence], *shape[1:]))
            relevance[rows[own]] = slopes[sequence] * numbers_drawn
        return relevance
