"""Occlusion: what the score loses as a step, or one of its features, is set to zero.

Zeiler and Fergus 2014, "Visualizing and Understanding Convolutional Networks"; Li, Monroe and
Jurafsky 2016, "Understanding Neural Networks through Representation Erasure"; as a difference of
scores of LSTMs, Arras et al. 2019, "Evaluating Recurrent Neural Network Explanations".
"""

from dataclasses import dataclass

import numpy as np

from lstm_lrp_cli.engine.arrays import Packing
from lstm_lrp_cli.engine.backward import Chosen, Relevance
from lstm_lrp_cli.engine.forward import Runner, Trace
from lstm_lrp_cli.engine.lstm.inputs import TokenTable
from lstm_lrp_cli.engine.perturbation import Copies, explained_rows, losses, run_replaced
from lstm_lrp_cli.engine.records import Reach
from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.model import Integers
from lstm_lrp_cli.model.layers import Flatten
from lstm_lrp_cli.model.model import Model
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


@dataclass(frozen=True, slots=True)
class Omission(Method):
    """The score, minus that of the sequence without a step."""

    name: str = "omission"
    runs_often = True
    whole_steps = True

    def explain(self, trace: Trace, chosen: Chosen, reach: Reach) -> Relevance:
        """Explain one score of each sequence of a batch, by whole steps alone.

        Raises
        ------
        UnusableInput
            The model cannot be run without a step, or has then no score to compare with.
        """
        if reach == "features":
            raise ValueError("a step is left out as a whole")
        model = trace.model
        _check(model)
        rows = explained_rows(trace, chosen)
        table = None
        if model.embedding is not None:
            ids = trace.inputs
            if model.padding is not None:
                ids = np.append(ids, int(model.padding.value))
            table = TokenTable.of(model, model.embedding, ids)

        runner = Runner(model, table)

        def shortened(some: Copies) -> Trace:
            return _without(trace, some, rows[some.numbers], runner)

        relevance = np.zeros(trace.packing.rows, dtype=model.dtype)
        relevance[rows] = losses(trace, chosen, rows, shortened)
        return Relevance(relevance)


def _check(model: Model) -> None:
    if model.by_step:
        raise UnusableInput(
            "omission",
            "leaves out a step, and the model gives a score at every step, of which it would "
            "leave one out too; expected another method, such as occlusion",
        )
    for layer in model.layers:
        if isinstance(layer, Flatten) and layer.steps != _padded_length(model):
            raise UnusableInput(
                "omission",
                f"leaves out a step, and the model lays just {layer.steps} side by side (flatten); "
                "expected another method, such as occlusion",
            )


def _padded_length(model: Model) -> int:
    """The rows that a sequence has at least."""
    return 0 if model.padding is None else model.padding.fills


def _without(trace: Trace, some: Copies, rows: Integers, runner: Runner) -> Trace:
    """Run copies without one row of each, padded anew where the model is given padding.

    Parameters
    ----------
    rows : ndarray of int, shape (copies,)
    """
    lengths, padding = some.packing.lengths, trace.model.padding
    packing = Packing(np.maximum(lengths - 1, _padded_length(trace.model)))
    copy = packing.sequence
    steps = packing.step
    if padding is not None and padding.side == "pre":
        # What is as long as before has a row of padding more, and here it comes first.
        steps = steps - (packing.lengths == lengths)[copy]
    steps = steps + (steps >= trace.packing.step[rows][copy])
    filling = (steps < 0) | (steps == lengths[copy])
    inputs = np.empty((packing.rows, *trace.inputs.shape[1:]), dtype=trace.inputs.dtype)
    if padding is not None:
        inputs[filling] = padding.value
    kept, of = steps[~filling], some.sequences[copy[~filling]]
    inputs[~filling] = trace.inputs[trace.packing.offsets[kept] + of]
    return runner.forward(inputs, packing, begun=trace.begun.of(some.sequences))
