"""Gradients of a score: plain, times the input, and integrated along a path."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lstm_lrp_cli.engine.arrays import row_dots
from lstm_lrp_cli.engine.backward import Chosen, Relevance, inputs_and_padding, told, walk_down
from lstm_lrp_cli.engine.forward import Runner, Trace
from lstm_lrp_cli.engine.lstm import LstmRecord
from lstm_lrp_cli.engine.perturbation import copies
from lstm_lrp_cli.engine.records import Ledgers, Reach, Record
from lstm_lrp_cli.model import Floats
from .method import Method, Promise
from .settings import ZERO, Baseline


# What overflows shows in relevance, which the caller checks; here, and in both methods.
@np.errstate(over="ignore", invalid="ignore")
def gradient(trace: Trace, chosen: Chosen, reach: Reach = "features") -> Floats:
    """The partial derivatives of the chosen scores by the embedded inputs.

    Parameters
    ----------
    trace : Trace
        Of a forward pass that kept the gates.
    chosen : Chosen
    reach : {"features", "steps"}

    Returns
    -------
    ndarray, shape (rows, features), or (rows,)
        The derivatives, or, of steps, the sum of their products with the inputs.
    """

    def pass_down(record: Record, amount: Floats, reads_input: bool) -> Sequence[Floats]:
        if reads_input and isinstance(record, LstmRecord):
            return [record.pull_back(amount, reach)]
        return record.gradient(amount)

    def arrive(amount: Floats) -> Floats:
        if reach == "features" or amount.ndim == 1:
            return amount
        return told(amount * trace.embedded, reach)

    return walk_down(trace, chosen.alone(trace.scores, chosen.slopes), pass_down, arrive)


@dataclass(frozen=True, slots=True)
class Gradient(Method):
    """How fast the score changes with an input, whichever way: its partial derivative, squared."""

    name: str = "gradient"
    signed = False
    keeps_gates = True

    @np.errstate(over="ignore", invalid="ignore")
    def explain(self, trace: Trace, chosen: Chosen, reach: Reach) -> Relevance:
        partial = gradient(trace, chosen)
        if reach == "features":
            return Relevance(np.square(partial))
        squared = np.empty(len(partial), partial.dtype)
        row_dots(partial, partial, squared)
        return Relevance(squared)


@dataclass(frozen=True, slots=True)
class GradientTimesInput(Method):
    """What each input adds to the score, were the score linear as it is here."""

    name: str = "gradient-x-input"
    keeps_gates = True

    @np.errstate(over="ignore", invalid="ignore")
    def explain(self, trace: Trace, chosen: Chosen, reach: Reach) -> Relevance:
        found = gradient(trace, chosen, reach)
        return Relevance(found if reach == "steps" else found * trace.embedded)


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
