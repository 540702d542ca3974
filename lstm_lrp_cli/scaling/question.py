"""What is explained of every sequence: which classes and, of a model by step, which steps."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lstm_lrp_cli.engine.forward import Trace
from lstm_lrp_cli.engine.relevance import Chosen
from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.model.arrays import Floats, Integers
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.sequences.batching import Batch

Target = int | Literal["predicted", "gold", "all"]
Step = int | Literal["all"]


@dataclass(frozen=True, slots=True)
class Question:
    """Which scores are explained.

    Parameters
    ----------
    target : int, "predicted", "gold" or "all"
        The class. "predicted" is one of each head: of a regressor, every output.
    step : int or "all"
        Of a model by step: which real step's scores, from 0, or from -1 backwards.
    """

    target: Target = "predicted"
    step: Step = -1

    def targets(self, model: Model) -> int:
        """How many scores it asks for, of each sequence or step that is explained."""
        counts = {"all": model.classes, "predicted": len(model.heads)}
        return counts.get(str(self.target), 1)

    def every_step(self, model: Model) -> bool:
        """Whether the scores of all steps of a sequence are explained."""
        return model.by_step and self.step == "all"


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """One score of each sequence of a batch.

    Parameters
    ----------
    chosen : Chosen
        What the engine explains.
    scores : ndarray, shape (batch, classes)
        All scores of the sequence, or of the step.
    predicted : ndarray of int, shape (batch,)
        The highest score of the target's head.
    steps : ndarray of int, shape (batch,), or None
        Of a model by step, the position of the step that it is of.
    """

    chosen: Chosen
    scores: Floats
    predicted: Integers
    steps: Integers | None = None


def choices(question: Question, trace: Trace, batch: Batch) -> Iterator[Choice]:
    """The scores that a question asks for, time after time one of each sequence.

    Raises
    ------
    UnusableInput
        A sequence is too short to have the step.
    """
    model = trace.model
    if not model.by_step:
        for targets, predicted in _targets(question.target, model, trace.scores, batch):
            yield Choice(Chosen(targets), trace.scores, predicted)
        return
    lengths = batch.real
    for step in range(lengths.max(initial=0)) if question.step == "all" else [question.step]:
        rows, steps = batch.find(np.full_like(lengths, step) if step >= 0 else lengths + step)
        if question.step != "all":
            _check_steps(rows, step, batch)
        scores = np.zeros((len(rows), model.classes), dtype=trace.scores.dtype)
        scores[rows >= 0] = trace.scores[rows[rows >= 0]]
        for targets, predicted in _targets(question.target, model, scores, batch):
            yield Choice(Chosen(targets, rows), scores, predicted, steps)


def _check_steps(rows: Integers, step: int, batch: Batch) -> None:
    short = np.flatnonzero((rows < 0) & (batch.real > 0))
    if len(short):
        first = short[0]
        real, given = int(batch.real[first]), int(batch.lengths[first])
        more = f" that {'is' if real == 1 else 'are'} not masked" if given > real else ""
        raise UnusableInput(
            f"sequence {batch.sequences[first].number}",
            f"has {real} step{'s' * (real != 1)}{more}, and none is number {step}; "
            "expected a --step that every sequence has, such as -1, the last",
        )


def _targets(
    target: Target, model: Model, scores: Floats, batch: Batch
) -> Iterator[tuple[Integers, Integers]]:
    """The explained class of each sequence, and the predicted one of the same head."""
    heads = model.head_slices
    predicted = [head.start + scores[:, head].argmax(axis=1) for head in heads]
    match target:
        case "predicted":
            for each in predicted:
                yield each, each
        case "gold":
            golds = (sequence.gold for sequence in batch.sequences)
            # Only an empty line has no true class here.
            given = [predicted[0][k] if gold is None else gold for k, gold in enumerate(golds)]
            yield np.minimum(given, model.classes - 1), predicted[0]
        case "all":
            for head, best in zip(heads, predicted, strict=True):
                for number in range(head.start, head.stop):
                    yield np.full_like(best, number), best
        case int():
            best = next(p for head, p in zip(heads, predicted, strict=True) if target < head.stop)
            yield np.full_like(best, target), best
