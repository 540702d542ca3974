"""Occlusion: what the score loses as a step, or one of its features, is set to zero.

Zeiler and Fergus 2014, "Visualizing and Understanding Convolutional Networks"; Li, Monroe and
Jurafsky 2016, "Understanding Neural Networks through Representation Erasure"; as a difference of
scores of LSTMs, Arras et al. 2019, "Evaluating Recurrent Neural Network Explanations".
"""

from dataclasses import dataclass

import numpy as np

from lstm_lrp_cli.engine.backward import Chosen, Relevance
from lstm_lrp_cli.engine.forward import Trace
from lstm_lrp_cli.engine.perturbation import Copies, explained_rows, losses, run_replaced
from lstm_lrp_cli.engine.records import Reach
from lstm_lrp_cli.model.arrays import Integers
from .method import Method


@dataclass(frozen=True, slots=True)
class Occlusion(Method):
    """The score, minus that of the sequence with zeros in one place."""

    name: str = "occlusion"
    runs_often = True

    def explain(self, trace: Trace, chosen: Chosen, reach: Reach) -> Relevance:
        rows = explained_rows(trace, chosen)
        if reach == "steps":
            return self._steps(trace, chosen, rows)
        return self._features(trace, chosen, rows)

    def _steps(self, trace: Trace, chosen: Chosen, rows: Integers) -> Relevance:
        nothing = np.zeros((1, trace.features), dtype=trace.model.dtype)

        def occluded(some: Copies) -> Trace:
            return run_replaced(trace, some, some.places(rows[some.numbers]), nothing)

        relevance = np.zeros(trace.packing.rows, dtype=trace.model.dtype)
        relevance[rows] = losses(trace, chosen, rows, occluded)
        return Relevance(relevance)

    def _features(self, trace: Trace, chosen: Chosen, rows: Integers) -> Relevance:
        """Every feature is occluded alone, in a copy of its own."""
        embedded, width = trace.embedded, trace.features

        def occluded(some: Copies) -> Trace:
            places, features = np.divmod(some.numbers, width)
            steps = embedded[rows[places]]
            steps[np.arange(len(steps)), features] = 0.0
            return run_replaced(trace, some, some.places(rows[places]), steps)

        relevance = np.zeros((trace.packing.rows, width), dtype=trace.model.dtype)
        lost = losses(trace, chosen, np.repeat(rows, width), occluded)
        relevance[rows] = lost.reshape(-1, width)
        return Relevance(relevance)
