"""Integrated gradients: gradients along the way from a baseline to the inputs.

Sundararajan, Taly and Yan 2017, "Axiomatic Attribution for Deep Networks":

    R_i = (x_i - x'_i) integral from 0 to 1 of dS/dx_i at x' + a (x - x') da

They add up to S(x) - S(x'), "completeness". All steps of a sequence are moved together, and the
integral is taken by Gauss and Legendre's quadrature, which is exact for polynomials of a degree
below twice the number of its points.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lstm_lrp_cli.engine.backward import Chosen, Relevance, inputs_and_padding, told
from lstm_lrp_cli.engine.forward import Runner, Trace
from lstm_lrp_cli.engine.ledger import Ledgers
from lstm_lrp_cli.engine.perturbation import copies
from lstm_lrp_cli.engine.records import Reach
from lstm_lrp_cli.model.arrays import Floats
from .gradient import gradient
from .method import Method, Promise
from .settings import ZERO, Baseline

# How far quadrature may be off, relative to the ledger's scale: a matter of the number of points.
GAP = 5e-2
MEND = (
    "try more --steps; if many do not help, the score jumps on the way, and --method occlusion may "
    "tell more"
)
COMPLETENESS = Promise(
    "complete",
    ("tokens", "baseline", "padding"),
    {np.dtype(np.float64): GAP, np.dtype(np.float32): GAP},
    {np.dtype(np.float64): MEND, np.dtype(np.float32): MEND},
)
# Several points are run as one batch, up to so many rows: few sequences make small products.
MOST_ROWS = 2**12


@dataclass(frozen=True, slots=True, eq=False)
class IntegratedGradients(Method):
    """Integrated gradients.

    Parameters
    ----------
    points : int
        Of the way, at which the gradient is taken.
    baseline : Baseline
        Where the way begins at every step.
    """

    points: int = 50
    baseline: Baseline = ZERO
    name: str = "integrated-gradients"
    promise = COMPLETENESS
    runs_often = True

    @property
    def settings(self) -> dict[str, Any]:
        return {"steps": self.points, "baseline": self.baseline.name}

    # What overflows shows in relevance, which the caller checks.
    @np.errstate(over="ignore", invalid="ignore")
    def explain(self, trace: Trace, chosen: Chosen, reach: Reach) -> Relevance:
        numeric = replace(trace.model, embedding=None)  # which takes what is embedded
        runner = Runner(numeric, keep_gates=True)
        inputs = trace.embedded
        baseline = np.zeros_like(inputs)
        if self.baseline.features is not None:
            baseline[:] = self.baseline.features
        way = inputs - baseline
        mean = np.zeros(inputs.shape)
        for points, weights in self._points(len(inputs)):
            on_way = baseline[:, np.newaxis] + way[:, np.newaxis] * points[:, np.newaxis]
            gradients = _gradients(runner, trace, chosen, on_way.astype(inputs.dtype))
            mean += np.einsum("rpf,p->rf", gradients, weights)
        relevance = told((way * mean).astype(inputs.dtype), reach)
        tokens, of_padding = inputs_and_padding(relevance, trace)
        at_baseline = runner.forward(baseline, trace.packing, begun=trace.begun)
        shares = {
            "tokens": tokens,
            "baseline": chosen.of(at_baseline.scores),
            "padding": of_padding,
        }
        return Relevance(relevance, Ledgers(chosen.of(trace.scores), shares))

    def _points(self, rows: int) -> Iterator[tuple[Floats, Floats]]:
        """The points between 0 and 1 and their weights, so many at a time as make one batch."""
        points, weights = np.polynomial.legendre.leggauss(self.points)
        at_once = max(MOST_ROWS // max(rows, 1), 1)
        for start in range(0, self.points, at_once):
            some = slice(start, start + at_once)
            yield (points[some] + 1.0) / 2.0, weights[some] / 2.0


def _gradients(runner: Runner, trace: Trace, chosen: Chosen, inputs: Floats) -> Floats:
    """The gradient at several inputs of the same sequences, each of shape (rows, points, features).

    The points of a row are the same row of as many copies, and so lie one after the other.
    """
    rows, points, features = inputs.shape
    sequences = np.repeat(np.arange(trace.packing.batch), points)
    [all_points] = copies(trace.packing, sequences, most_rows=max(rows * points, 1))
    moved = runner.forward(
        inputs.reshape(rows * points, features),
        all_points.packing,
        begun=trace.begun.of(all_points.sequences),
    )
    return gradient(moved, all_points.chosen(chosen)).reshape(inputs.shape)
