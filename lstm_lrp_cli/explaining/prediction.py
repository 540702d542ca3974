"""Predicting a corpus as it flows: the forward pass alone, in the windows of explanations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Sequence as Several
from itertools import repeat
from typing import Any

import numpy as np
from msgspec import Struct

from lstm_lrp_cli.engine.forward import Trace, originals, probabilities
from lstm_lrp_cli.inputs.batching import Batch
from lstm_lrp_cli.inputs.sequence import Sequence
from lstm_lrp_cli.model import Floats, Integers
from lstm_lrp_cli.model.decision import decisions_of
from lstm_lrp_cli.model.model import Model
from .windows import Carried, cut_windows, one_blas_thread, run_window

# About what a score takes until it is written: itself, its probability, and the text of both.
SCORE_BYTES = 64


class Predictions(Struct, frozen=True, eq=False):
    """What a model predicts of some sequences, in their order.

    Each sequence has one row of scores, or, of a model by step, one for each of its steps but those
    that the model's mask skips.

    Parameters
    ----------
    sequences : sequence of Sequence
    places : ndarray of int, shape (rows,)
        Which of the sequences each row is of.
    steps : ndarray of int, shape (rows,), or None
        Of a model by step, which step each row is of.
    scores : ndarray, shape (rows, classes)
    of_input : int or None
        The number of the input whose steps those are; None where they are no input's.
    """

    sequences: Several[Sequence]
    places: Integers
    steps: Integers | None
    scores: Floats
    of_input: int | None = None

    @property
    def rows(self) -> int:
        return len(self.places)

    @property
    def of_rows(self) -> list[Sequence]:
        """The sequence of each row."""
        return [self.sequences[place] for place in self.places.tolist()]

    @property
    def without_rows(self) -> Integers:
        """The places of sequences without scores: of a model by step, those without real steps."""
        return np.flatnonzero(np.bincount(self.places, minlength=len(self.sequences)) == 0)

    def parts(self, rows: int) -> Iterator[Predictions]:
        """Cut them into parts of about so many rows, of one long sequence or of several."""
        ends = np.cumsum(np.bincount(self.places, minlength=len(self.sequences)))
        start = first = 0
        while start < len(ends):
            stop = min(int(np.searchsorted(ends, first + rows)) + 1, len(ends))
            own = slice(first, int(ends[stop - 1]))
            yield Predictions(
                self.sequences[start:stop],
                self.places[own] - start,
                None if self.steps is None else self.steps[own],
                self.scores[own],
                self.of_input,
            )
            start, first = stop, own.stop


def predict_corpus(
    model: Model, sequences: Iterable[Sequence], carried: Carried | None = None
) -> Iterator[Predictions]:
    """Predict sequences in their order, window by window.

    Parameters
    ----------
    sequences : iterable of Sequence
        Read as they are needed. Where reading fails, what was read before is predicted first.
    carried : Carried or None
        What earlier sequences of the same run left; None is nothing.

    Raises
    ------
    UnusableInput
        A score is not a finite number.
    """

    def held(own: int, values: int) -> int:
        return SCORE_BYTES * model.classes * (own if model.by_step else 1)

    carried = carried or Carried(model)
    for window in cut_windows(model, sequences, held):
        yield predict_window(model, window, carried)


class Prediction(Struct, frozen=True, eq=False, gc=False):
    """What a model predicts of one sequence.

    Parameters
    ----------
    model : Model
    sequence : Sequence
    scores : ndarray, shape (classes,); of a model by step (steps, classes)
        Before any softmax or sigmoid; of the steps alone that the model reads.
    steps : ndarray of int, shape (steps,), or None
        Of a model by step, which steps they are of.
    """

    model: Model
    sequence: Sequence
    scores: Floats
    steps: Integers | None = None

    @property
    def probabilities(self) -> Floats:
        """The same as probabilities; a regressor's values as they are. Shaped as the scores."""
        found = probabilities(self.model, np.atleast_2d(self.scores))
        return found.reshape(self.scores.shape)

    @property
    def original(self) -> Floats | None:
        """What a regressor predicts in the units of the user's values. Shaped as the scores.

        None where nothing says how those were scaled.
        """
        found = originals(self.model, np.atleast_2d(self.scores))
        return None if found is None else found.reshape(self.scores.shape)

    @property
    def predicted(self) -> Any:
        """The predicted class by its label, or its number where it has none; None of values.

        Of a model by step, a list with that of each step; of one with several outputs, a dict.
        """
        rows = np.atleast_2d(self.scores)
        found = {
            decision.name: [decision.classes[place] for place in decision.taken(rows).tolist()]
            for decision in decisions_of(self.model)
        }
        own = {name: each if self.model.by_step else each[0] for name, each in found.items()}
        return own.get(None) if not own or None in own else own

    def __repr__(self) -> str:
        return f"Prediction(sequence {self.sequence.number}, {self.predicted!r}, {self.scores})"


def predictions_of(model: Model, sequences: Iterable[Sequence]) -> Iterator[Prediction]:
    """Predict sequences in their order, one by one.

    Raises
    ------
    UnusableInput
        A score is not a finite number.
    """
    windows = predict_corpus(model, sequences)
    while True:
        with one_blas_thread():
            found = next(windows, None)
        if found is None:
            return
        ends = np.cumsum(np.bincount(found.places, minlength=len(found.sequences))).tolist()
        for sequence, start, stop in zip(found.sequences, [0, *ends], ends, strict=False):
            scores = found.scores[start:stop]
            steps = None if found.steps is None else found.steps[start:stop]
            yield Prediction(model, sequence, scores if model.by_step else scores[0], steps)


def predict_window(model: Model, window: Several[Sequence], carried: Carried) -> Predictions:
    """The scores of all sequences of a window, in its order."""
    found: dict[int, tuple[Floats, Integers]] = {}
    of_input = None
    for batch, trace in run_window(model, window, carried):
        for sequence, own in zip(batch.sequences, _of_sequences(batch, trace), strict=True):
            found[sequence.number] = own
        for number, each in enumerate(batch.packed):
            of_input = number if each.packing is trace.steps else of_input
        del trace  # as run_window says
    scores, steps = zip(*(found[sequence.number] for sequence in window), strict=True)
    return Predictions(
        window,
        np.repeat(np.arange(len(window)), list(map(len, scores))),
        np.concatenate(steps) if model.by_step else None,
        np.concatenate(scores),
        of_input,
    )


def _of_sequences(batch: Batch, trace: Trace) -> Iterator[tuple[Floats, Integers]]:
    """The rows of scores of each sequence, and of which steps they are."""
    if trace.steps is None:
        only = np.zeros(1, dtype=np.intp)
        yield from zip(trace.scores[:, np.newaxis], repeat(only))
        return
    steps = batch.steps_of(trace.steps)
    for scores, kept in zip(steps.per_sequence(trace.scores), steps.kept(), strict=True):
        yield scores[kept], np.flatnonzero(kept)
