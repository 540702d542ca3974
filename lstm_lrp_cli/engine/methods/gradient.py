"""Gradients of a score: plain, times the input, and integrated along a path."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from msgspec.structs import replace

from lstm_lrp_cli.engine.arrays import copies, row_dots
from lstm_lrp_cli.engine.backward import Chosen, Relevance, inputs_and_padding, told, walk_down
from lstm_lrp_cli.engine.forward import Given, Runner, Trace
from lstm_lrp_cli.engine.records import Ledgers, Reach, Record
from lstm_lrp_cli.model import Floats
from .groups import baseline_rows
from .method import Method, Promise
from .settings import ZERO, Baseline


# What overflows shows in relevance, which the caller checks; here, and in both methods.
@np.errstate(over="ignore", invalid="ignore")
def gradient(trace: Trace, chosen: Chosen, reach: Reach = "features") -> list[Floats]:
    """The partial derivatives of the chosen scores by the embedded inputs.

    Parameters
    ----------
    trace : Trace
        Of a forward pass that kept the gates.
    chosen : Chosen
    reach : {"features", "steps"}

    Returns
    -------
    list of ndarray, each of shape (rows, features), or (rows,)
        By each input: the derivatives, or, of steps, the sum of their products with the inputs.
    """

    def pass_down(record: Record, amount: Floats, reads_input: bool) -> Sequence[Floats]:
        return record.pull_back(amount, reach if reads_input else "features")

    def arrive(amount: Floats, given: Given) -> Floats:
        if reach == "features" or amount.ndim == 1:
            return amount
        return told(amount * given.embedded, reach)

    return walk_down(trace, chosen.derivatives(trace.scores), pass_down, arrive)


@dataclass(frozen=True, slots=True)
class Gradient(Method):
    """How fast the score changes with an input, whichever way: its partial derivative, squared."""

    name: str = "gradient"
    signed = False
    in_unit_of_score = False
    keeps_gates = True

    @np.errstate(over="ignore", invalid="ignore")
    def explain(self, trace: Trace, chosen: Chosen, reach: Reach) -> Relevance:
        found = gradient(trace, chosen)
        if reach == "features":
            return Relevance([np.square(partial) for partial in found])
        return Relevance([_squared(partial) for partial in found])


def _squared(partial: Floats) -> Floats:
    """The squares of derivatives, summed over the features of each step."""
    squared = np.empty(len(partial), partial.dtype)
    row_dots(partial, partial, squared)
    return squared


@dataclass(frozen=True, slots=True)
class GradientTimesInput(Method):
    """What each input adds to the score, were the score linear as it is here."""

    name: str = "gradient-x-input"
    keeps_gates = True

    @np.errstate(over="ignore", invalid="ignore")
    def explain(self, trace: Trace, chosen: Chosen, reach: Reach) -> Relevance:
        found = gradient(trace, chosen, reach)
        if reach == "steps":
            return Relevance(found)
        pairs = zip(found, trace.given, strict=True)
        return Relevance([partial * given.embedded for partial, given in pairs])


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
        Where the way begins. Of several samples relevance is the mean, and so is the score at the
        baseline: expected gradients (Erion et al. 2021), with every sample taken once.
    """

    points: int = 50
    baseline: Baseline = ZERO
    name: str = "integrated-gradients"
    promise = COMPLETENESS
    runs_often = True

    @property
    def settings(self) -> dict[str, Any]:
        return {"steps": self.points, **self.baseline.settings}

    # What overflows shows in relevance, which the caller checks.
    @np.errstate(over="ignore", invalid="ignore")
    def explain(self, trace: Trace, chosen: Chosen, reach: Reach) -> Relevance:
        runner = Runner(trace.model, keep_gates=True)
        if runner.is_long(trace.given):
            return self._of_long(runner, trace, chosen, reach)
        totals = [np.zeros((given.packing.rows, given.features)) for given in trace.given]
        at_baselines = np.zeros(trace.batch)
        samples = self.baseline.samples
        for sample in range(samples):
            ways = [
                _way(given, self.baseline.sample(number, sample))
                for number, given in enumerate(trace.given)
            ]
            for total, amounts in zip(
                totals, self._on_the_ways(runner, trace, chosen, ways), strict=True
            ):
                total += amounts
            begins = [
                replace(given, array=start, embedding=None)
                for given, (start, _) in zip(trace.given, ways, strict=True)
            ]
            at_baselines += chosen.of(runner.forward(begins, trace.begun).scores)
        means = [total / samples for total in totals]
        return self._told(means, at_baselines / samples, trace, chosen, reach)

    def _of_long(self, runner: Runner, trace: Trace, chosen: Chosen, reach: Reach) -> Relevance:
        """The same of one long sequence, point by point."""
        from .long_way import along

        totals, at_begin = along(runner, trace, chosen, self.baseline, self.points, reach, gradient)
        return self._told(totals, at_begin, trace, chosen, reach)

    def _told(
        self,
        totals: Sequence[Floats],
        at_baselines: Floats,
        trace: Trace,
        chosen: Chosen,
        reach: Reach,
    ) -> Relevance:
        """What the inputs add to the score in all, with its ledger."""
        relevance = [told(total.astype(trace.model.dtype), reach) for total in totals]
        tokens, of_padding = inputs_and_padding(relevance, trace)
        shares = {"tokens": tokens, "baseline": at_baselines, "padding": of_padding}
        ledgers = Ledgers(chosen.of(trace.scores), shares, scores_size=chosen.sizes(trace.scores))
        return Relevance(relevance, ledgers)

    def _on_the_ways(
        self, runner: Runner, trace: Trace, chosen: Chosen, ways: Sequence[tuple[Floats, Floats]]
    ) -> Iterator[Floats]:
        """What each input adds to the score on its way, each of shape (rows, features)."""
        means = [np.zeros(way.shape) for _, way in ways]
        for points, weights in self._points(sum(len(way) for _, way in ways)):
            gradients = _gradients(runner, trace, chosen, ways, points)
            for mean, found in zip(means, gradients, strict=True):
                mean += np.einsum("rpf,p->rf", found, weights)
        return (way * mean for (_, way), mean in zip(ways, means, strict=True))

    def _points(self, rows: int) -> Iterator[tuple[Floats, Floats]]:
        """The points between 0 and 1 and their weights, so many at a time as make one batch."""
        points, weights = np.polynomial.legendre.leggauss(self.points)
        at_once = max(MOST_ROWS // max(rows, 1), 1)
        for start in range(0, self.points, at_once):
            some = slice(start, start + at_once)
            yield (points[some] + 1.0) / 2.0, weights[some] / 2.0


def _way(given: Given, sample: Floats | None) -> tuple[Floats, Floats]:
    """Where the way of an input begins, and all of the way, each of shape (rows, features)."""
    inputs = given.embedded
    start = np.empty_like(inputs)
    start[:] = baseline_rows(sample, given)
    return start, inputs - start


def _gradients(
    runner: Runner,
    trace: Trace,
    chosen: Chosen,
    ways: Sequence[tuple[Floats, Floats]],
    points: Floats,
) -> list[Floats]:
    """The gradient by each input at several points of its way.

    Each is of shape (rows, points, features). The points of a row are the same row of as many
    copies, and so lie one after the other.
    """
    sequences = np.repeat(np.arange(trace.batch), len(points))
    rows = sum(packing.rows for packing in trace.packings)
    [all_points] = copies(trace.packings, sequences, most_rows=max(rows * len(points), 1))
    moved = []
    for given, (start, way) in zip(trace.given, ways, strict=True):
        at = start[:, np.newaxis] + way[:, np.newaxis] * points[:, np.newaxis]
        array = at.astype(way.dtype).reshape(-1, way.shape[1])
        packing = all_points.of(given.packing).packing
        moved.append(Given(array, packing, is_sequence=given.is_sequence))
    there = runner.forward(moved, trace.begun.of(all_points.sequences))
    found = gradient(there, chosen.of_copies(all_points, trace.steps))
    shapes = [(len(way), len(points), way.shape[1]) for _, way in ways]
    return [each.reshape(shape) for each, shape in zip(found, shapes, strict=True)]
