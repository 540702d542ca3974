"""Occlusion: what the score loses as a step, or one of its features, is set to a baseline.

Zeiler and Fergus 2014, "Visualizing and Understanding Convolutional Networks"; Li, Monroe and
Jurafsky 2016, "Understanding Neural Networks through Representation Erasure"; as a difference of
scores of LSTMs, Arras et al. 2019, "Evaluating Recurrent Neural Network Explanations".
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from msgspec.structs import replace

from lstm_lrp_cli.engine.arrays import Copies, Packing
from lstm_lrp_cli.engine.backward import Chosen, Relevance, told
from lstm_lrp_cli.engine.forward import Given, Runner, Trace
from lstm_lrp_cli.engine.perturbation import explained_rows, losses
from lstm_lrp_cli.engine.records import Reach, WrongSteps
from lstm_lrp_cli.engine.recurrent.inputs import TokenTable
from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.model import Floats, Integers
from lstm_lrp_cli.model.layers import MODEL_INPUT
from lstm_lrp_cli.model.text import Padding
from .groups import ALONE, Places, baseline_rows
from .method import Method
from .settings import ZERO, Baseline, Groups


@dataclass(frozen=True, slots=True, eq=False)
class Occlusion(Method):
    """The score, minus that of the sequence with something else in one place.

    Parameters
    ----------
    baseline : Baseline
        What is put there. Of several samples, what the score loses is the mean.
    groups : Groups or None
        What is hidden as one, and shares evenly what the score loses by it.
    """

    baseline: Baseline = ZERO
    groups: Groups | None = None
    name: str = "occlusion"
    runs_often = True

    @property
    def settings(self) -> dict[str, Any]:
        own = self.baseline.settings if self.baseline.inputs else {}
        return own if self.groups is None else {**own, "groups": self.groups.name}

    def explain(self, trace: Trace, chosen: Chosen, reach: Reach) -> Relevance:
        rows = explained_rows(trace, chosen)
        found = [self._occlude(trace, chosen, k, each, reach) for k, each in enumerate(rows)]
        return Relevance([told(each.astype(trace.model.dtype), reach) for each in found])

    def _occlude(
        self, trace: Trace, chosen: Chosen, number: int, rows: Integers, reach: Reach
    ) -> Floats:
        """Occlude some rows of an input, or what they are of."""
        given, of_input = trace.given[number], self.baseline.of_input(number)
        groups = ALONE if self.groups is None else self.groups.inputs[number]
        places = Places.of(number, given, rows, groups, reach)
        embedded = None if places.features is None else given.embedded
        sequences = places.sequences
        lost = np.zeros(len(sequences))
        samples = 1 if of_input is None else of_input.samples
        for sample in range(samples):
            filling = baseline_rows(self.baseline.sample(number, sample), given)
            run = partial(places.run, trace, filling=filling, embedded=embedded)
            lost += losses(trace, chosen, sequences, run)
        return places.spread(lost / samples)


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
        _check(trace)
        rows = explained_rows(trace, chosen)
        return Relevance([_omitted(trace, chosen, k, each) for k, each in enumerate(rows)])


def _omitted(trace: Trace, chosen: Chosen, number: int, rows: Integers) -> Floats:
    """Leave out each of some rows of an input, in a copy of its own."""
    model, given = trace.model, trace.given[number]
    tables: list[TokenTable | None] = []
    for k, (each, read) in enumerate(zip(trace.given, model.inputs, strict=True)):
        table = None
        if each.embedding is not None:
            ids = each.array
            if read.padding is not None:
                ids = np.append(ids, int(read.padding.value))
            table = TokenTable.of(model, MODEL_INPUT - k, each.embedding, ids)
        tables.append(table)
    runner = Runner(model, tables)

    def shortened(some: Copies) -> Trace:
        copied = [each.of(some) for each in trace.given]
        copied[number] = _without(trace, some, number, rows[some.numbers])
        try:
            return runner.forward(copied, trace.begun.of(some.sequences))
        except WrongSteps as wrong:
            raise UnusableInput(
                "omission",
                f"leaves out a step, and the model {wrong.does.format(wrong.expected)}; expected "
                "another method, such as occlusion",
            ) from wrong

    relevance = np.zeros(given.packing.rows, dtype=model.dtype)
    relevance[rows] = losses(trace, chosen, given.packing.sequence[rows], shortened)
    return relevance


def _check(trace: Trace) -> None:
    model = trace.model
    if model.by_step:
        raise UnusableInput(
            "omission",
            "leaves out a step, and the model gives a score at every step, of which it would "
            "leave one out too; expected another method, such as occlusion",
        )
    if not all(each.steps for each in model.inputs):
        raise UnusableInput(
            "omission",
            "leaves out a step, and an input of the model is a vector without steps; expected "
            "another method, such as occlusion",
        )


def _padded_length(padding: Padding | None) -> int:
    """The rows that a sequence has at least."""
    return 0 if padding is None else padding.fills


def _without(trace: Trace, some: Copies, number: int, rows: Integers) -> Given:
    """An input of copies without one row of each, padded anew where it is given padding.

    Parameters
    ----------
    rows : ndarray of int, shape (copies,)
    """
    given, padding = trace.given[number], trace.model.inputs[number].padding
    lengths = given.packing.lengths[some.sequences]
    packing = Packing(np.maximum(lengths - 1, _padded_length(padding)))
    copy = packing.sequence
    steps = packing.step
    if padding is not None and padding.side == "pre":
        # What is as long as before has a row of padding more, and here it comes first.
        steps = steps - (packing.lengths == lengths)[copy]
    steps = steps + (steps >= given.packing.step[rows][copy])
    filling = (steps < 0) | (steps == lengths[copy])
    inputs = np.empty((packing.rows, *given.array.shape[1:]), dtype=given.array.dtype)
    if padding is not None:
        inputs[filling] = padding.value
    kept, of = steps[~filling], some.sequences[copy[~filling]]
    inputs[~filling] = given.array[given.packing.offsets[kept] + of]
    return replace(given, array=inputs, packing=packing, padding=None)
