"""Integrated gradients of one long sequence, whose way is not written out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from lstm_lrp_cli.engine.backward import Chosen
from lstm_lrp_cli.engine.forward import Given, Runner, Trace
from lstm_lrp_cli.engine.records import Reach
from lstm_lrp_cli.engine.stretches.room import check_room
from lstm_lrp_cli.engine.stretches.rows import Grid, Rows
from lstm_lrp_cli.model import Floats
from .groups import baseline_rows
from .settings import Baseline


class Way(Struct, frozen=True, eq=False):
    """The way of an input from a sample of a baseline, made stretch by stretch.

    Parameters
    ----------
    begin : ndarray, shape (rows, features), or (1, features) of every row
    """

    given: Given
    grid: Grid
    begin: Floats

    @classmethod
    def of(cls, given: Given, sample: Floats | None) -> Way:
        begin = baseline_rows(sample, given).astype(_values(given).dtype)
        return cls(given, Grid.of(given.packing), begin)

    def at(self, point: float) -> Given:
        """The input at a point of the way."""
        values = _values(self.given)

        def make(number: int) -> Floats:
            begin, way = self.stretch(number)
            moved: Floats = (begin + way * point).astype(values.dtype)
            return moved

        rows = Rows(self.grid, values.shape[1], values.dtype, make)
        return replace(self.given, array=rows, embedding=None)

    def stretch(self, number: int) -> tuple[Floats, Floats]:
        """Where a stretch begins, and its way, each of shape (steps, features)."""
        rows, given = self.grid.at(number), self.given
        array = given.array[rows]
        inputs = array if given.embedding is None else given.embedding.weights[array]
        begin = self.begin if len(self.begin) == 1 else self.begin[rows]
        return begin, inputs - begin

    def add(self, gradients: Floats, weight: float, total: Floats) -> None:
        """Add to the amounts of features, or of steps, what a gradient's part of the way gives."""
        for number in range(self.grid.count):
            rows = self.grid.at(number)
            _, way = self.stretch(number)
            amounts = (gradients[rows] * weight) * way
            total[rows] += amounts if total.ndim == 2 else amounts.sum(axis=1)


def along(
    runner: Runner,
    trace: Trace,
    chosen: Chosen,
    baseline: Baseline,
    points: int,
    reach: Reach,
    gradient: Callable[[Trace, Chosen], list[Floats]],
) -> tuple[list[Floats], Floats]:
    """What the inputs add to the score on their way, and the score where the way begins.

    Parameters
    ----------
    gradient : callable
        Gives that by each input, shape (rows, features).

    Returns
    -------
    list of ndarray, each of shape (rows, features), or (rows,) of steps, in float64
    ndarray, shape (1,)
    """
    totals = []
    for given in trace.given:
        shape = (given.packing.rows, *((given.features,) if reach == "features" else ()))
        check_room("what is found on its way", *shape, np.dtype(np.float64).itemsize)
        totals.append(np.zeros(shape))
    places, weights = np.polynomial.legendre.leggauss(points)
    at_begin, samples = np.zeros(1), baseline.samples
    for sample in range(samples):
        ways = [
            Way.of(given, baseline.sample(number, sample))
            for number, given in enumerate(trace.given)
        ]
        for place, weight in zip(places.tolist(), weights.tolist(), strict=True):
            there = runner.forward([way.at((place + 1.0) / 2.0) for way in ways], trace.begun)
            found = gradient(there, chosen)
            del there
            for way, gradients, total in zip(ways, found, totals, strict=True):
                way.add(gradients, weight / 2.0 / samples, total)
        at_begin += chosen.of(runner.forward([way.at(0.0) for way in ways], trace.begun).scores)
    return totals, at_begin / samples


def _values(given: Given) -> Floats:
    """What rows are of, by shape and precision."""
    values: Floats = given.array if given.embedding is None else given.embedding.weights
    return values
