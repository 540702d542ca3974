"""Random numbers, which know nothing of the model: what any method must do better than."""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np

from lstm_lrp_cli.engine.backward import Chosen, Relevance
from lstm_lrp_cli.engine.forward import Trace
from lstm_lrp_cli.engine.perturbation import explained_rows
from lstm_lrp_cli.engine.records import Reach
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

    @property
    def settings(self) -> dict[str, Any]:
        return {"seed": self.seed}

    # A number too large for float32 is infinite there.
    @np.errstate(over="ignore")
    def explain(self, trace: Trace, chosen: Chosen, reach: Reach) -> Relevance:
        packing = trace.packing
        explained = np.zeros(packing.rows, dtype=bool)
        explained[explained_rows(trace, chosen)] = True
        rows = packing.by_sequence[explained[packing.by_sequence]]
        counts = np.bincount(packing.sequence[rows], minlength=packing.batch)
        # The same number in either precision is the same content.
        numbers = trace.model.embedding is None
        content = trace.inputs[rows].astype("<f4" if numbers else "<i8")
        steps = None if chosen.rows is None else packing.step[chosen.rows]
        shape = (packing.rows, trace.features) if reach == "features" else (packing.rows,)
        relevance = np.zeros(shape, dtype=trace.model.dtype)
        ends, slopes = np.cumsum(counts), chosen.slopes
        for sequence in np.flatnonzero(counts).tolist():
            own = slice(ends[sequence] - counts[sequence], ends[sequence])
            digest = blake2b(content[own].tobytes(), digest_size=16).digest()
            step = () if steps is None else (int(steps[sequence]),)
            target = int(chosen.targets[sequence])
            generator = np.random.default_rng(
                (self.seed, target, int.from_bytes(digest, "little"), *step)
            )
            numbers_drawn = generator.standard_normal((counts[sequence], *shape[1:]))
            relevance[rows[own]] = slopes[sequence] * numbers_drawn
        return Relevance(relevance)
