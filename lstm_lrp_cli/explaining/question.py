"""What is explained of every sequence: which classes and, of a model by step, which steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from lstm_lrp_cli.engine.backward import Chosen
from lstm_lrp_cli.engine.forward import Trace
from lstm_lrp_cli.errors import UnusableInput, WrongUsage
from lstm_lrp_cli.inputs.batching import Batch, Packed
from lstm_lrp_cli.inputs.stream import whole_number
from lstm_lrp_cli.model import Floats, Integers
from lstm_lrp_cli.model.decision import Decision, decisions_of_heads
from lstm_lrp_cli.model.model import Model
from .difference import Difference, difference_named, golds_or, numbers_of, wrong_side

Target = int | Literal["predicted", "gold", "all"] | Difference
Step = int | Literal["all"]
TARGETS: tuple[Literal["predicted", "gold", "all"], ...] = ("predicted", "gold", "all")


class Question(Struct, frozen=True):
    """Which scores are explained.

    Parameters
    ----------
    target : int, "predicted", "gold", "all" or Difference
        The class, or value, or the difference of two. "predicted" is one of each head: of several
        scores the highest, and of one the score itself, be it above 0 or not. "all" is every score.
        So only as a number, as the true class, or in a difference is class 0 of a single score
        explained, by its negative.
    step : int or "all"
        Of a model by step: which step's scores, from 0, or from -1 backwards; of those that the
        scores have, where they are no input's, else of those that the model is run on.
    """

    target: Target = "predicted"
    step: Step = -1

    @classmethod
    def of(
        cls,
        model: Model,
        target: str | int,
        step: int | str | None,
        default_step: Step | None = None,
    ) -> Question:
        """What is asked of a model.

        Parameters
        ----------
        target : str or int
            "predicted", "gold", "all", a label or a number; or A-B, the difference of two scores,
            each of a label, a number, "predicted", "second" or "gold". A label wins over a number,
            and over a difference, so that a target reads back as outputs show it.
        step : int, "first", "last", "all" or None
        default_step : int, "all" or None
            The step where none is given; None is an error of a model by step.

        Raises
        ------
        WrongUsage
            The model has no such target, or no such step.
        """
        chosen = resolve_target(target, model)
        if step is not None and not model.by_step:
            raise WrongUsage("`step`: the model gives one score a sequence, not one a step.")
        if model.by_step and step is None and default_step is None:
            raise WrongUsage(
                "the model gives scores at every step; say which are explained: "
                "`step` last, first, all or a number. "
                "(Should it give one a sequence? Then the mapping lacks `returns: last` or a pool.)"
            )
        found = default_step if step is None else resolve_step(step)
        return cls(chosen) if found is None else cls(chosen, found)

    def targets(self, model: Model) -> int:
        """How many scores it asks for, of each sequence or step that is explained."""
        if self.target == "predicted":
            decisions = decisions_of_heads(model)
            kinds = zip(model.heads, decisions, strict=True)
            return sum(1 if decision else head.size for head, decision in kinds)
        if isinstance(self.target, Difference):
            return len(self.target.heads(model))
        return model.classes if self.target == "all" else 1

    @property
    def of_difference(self) -> bool:
        """Whether it is the difference of two scores that is explained."""
        return isinstance(self.target, Difference)

    @property
    def both(self) -> tuple[int, int] | None:
        """The numbers of two scores, where of every sequence the difference of these is told."""
        match self.target:
            case Difference(int(plus), int(minus)):
                return plus, minus
        return None

    @property
    def of_gold(self) -> bool:
        """Whether what is explained, less something or not, is the score of the true class."""
        target = self.target
        return target == "gold" or (isinstance(target, Difference) and target.plus == "gold")

    @property
    def needs_gold(self) -> bool:
        """Whether true classes must be known."""
        target = self.target
        return self.of_gold or (isinstance(target, Difference) and target.minus == "gold")

    def every_step(self, model: Model) -> bool:
        """Whether the scores of all steps of a sequence are explained."""
        return model.by_step and self.step == "all"


def resolve_step(step: int | str) -> Step:
    """The step that is named: a number from 0, or from -1 backwards, or "all".

    Raises
    ------
    WrongUsage
    """
    if step == "all":
        return "all"
    if step in ("first", "last"):
        return 0 if step == "first" else -1
    try:
        return int(step)
    except ValueError as error:
        raise WrongUsage(f"{step!r} is none of first, last, all or a number.", "step") from error


def resolve_target(target: str | int, model: Model) -> Target:
    """What a target names: a word, the number of a class or value, or the difference of two.

    Raises
    ------
    WrongUsage
    """
    labelled = model.target_labelled(str(target))
    if labelled is not None:
        return labelled
    for word in TARGETS:
        if target == word:
            return word
    number = whole_number(str(target))
    if number is not None and number < model.targets:
        return number
    difference = difference_named(str(target), model)
    if difference is not None:
        return difference
    wrong = wrong_side(str(target), model)
    found = repr(str(target)) if wrong is None else f"{wrong!r}, as in {str(target)!r}"
    names = f" ({', '.join(model.labels)})" if model.labels else ""
    if not names and any(map(str.isalpha, str(target))):
        names = ', without names: "labels=[..]" in its mapping, or by --set, gives them'
    last = model.targets - 1
    what = "score" if set(model.likelihoods) == {"linear"} else "class"
    raise WrongUsage(
        f"there is no {what} {found}; the model has {model.targets}, from 0 to {last}{names}.",
        "target",
    )


def refuse_labels(model: Model) -> None:
    """Refuse true classes where a model does not predict one class of each sequence.

    Raises
    ------
    WrongUsage
    """
    if model.by_step:
        raise WrongUsage("`labelled`: the model gives scores at every step, not a class.")
    if model.regression:
        raise WrongUsage("`labelled`: the model predicts values, not a class.")
    if model.undecided and set(model.likelihoods) == {"linear"}:
        raise WrongUsage(
            "`labelled`: nothing says whether the model predicts classes or values; add "
            "`task: classification` to its mapping."
        )
    if len(model.heads) > 1:
        raise WrongUsage("`labelled`: the model has several outputs, and no one class.")


class Choice(Struct, frozen=True, eq=False):
    """One score, or difference of two, of each sequence of a batch.

    Parameters
    ----------
    chosen : Chosen
        What the engine explains.
    targets : ndarray of int, shape (batch,)
        The class, or value, that it is the score of.
    scores : ndarray, shape (batch, classes)
        All scores of the sequence, or of the step.
    decision : Decision or None
        What is decided at the target's head; None where nothing is.
    predicted : ndarray of int, shape (batch,), or None
        The number of the class that is taken there.
    steps : ndarray of int, shape (batch,), or None
        Of a model by step, the position of the step that it is of.
    against : ndarray of int, shape (batch,), or None
        The class, or value, whose score is subtracted.
    """

    chosen: Chosen
    targets: Integers
    scores: Floats
    decision: Decision | None
    predicted: Integers | None
    steps: Integers | None = None
    against: Integers | None = None


def choices(question: Question, trace: Trace, batch: Batch) -> Iterator[Choice]:
    """The scores that a question asks for, time after time one of each sequence.

    Raises
    ------
    UnusableInput
        A sequence is too short to have the step.
    """
    model = trace.model
    if trace.steps is None:
        yield from _of_scores(question.target, model, trace.scores, batch)
        return
    scored = batch.steps_of(trace.steps)
    lengths = scored.real
    for step in range(lengths.max(initial=0)) if question.step == "all" else [question.step]:
        rows, steps = scored.find(np.full_like(lengths, step) if step >= 0 else lengths + step)
        if question.step != "all":
            _check_steps(rows, step, batch, scored)
        scores = np.zeros((len(rows), model.classes), dtype=trace.scores.dtype)
        scores[rows >= 0] = trace.scores[rows[rows >= 0]]
        yield from _of_scores(question.target, model, scores, batch, rows, steps)


def chosen_of(model: Model, targets: Integers, rows: Integers | None = None) -> Chosen:
    """The scores of targets: of class 0 of a single score, its negative."""
    if not model.binary:
        return Chosen(targets, rows)
    return Chosen(np.zeros_like(targets), rows, np.where(targets == 1, 1.0, -1.0))


def _check_steps(rows: Integers, step: int, batch: Batch, scored: Packed) -> None:
    short = np.flatnonzero((rows < 0) & (scored.real > 0))
    if len(short):
        first = short[0]
        real, given = int(scored.real[first]), int(scored.given[first])
        more = " that the model is run on" if given > real else ""
        if all(each.packing is not scored.packing for each in batch.packed):
            more = " with scores"
        raise UnusableInput(
            f"sequence {batch.sequences[first].number}",
            f"has {real} step{'s' * (real != 1)}{more}, and none is number {step}; "
            "expected a --step that every sequence has, such as -1, the last",
        )


def _of_scores(
    target: Target,
    model: Model,
    scores: Floats,
    batch: Batch,
    rows: Integers | None = None,
    steps: Integers | None = None,
) -> Iterator[Choice]:
    """The choices among one vector of scores of each sequence."""
    decisions = decisions_of_heads(model)
    taken = [each.first + each.taken(scores) if each else None for each in decisions]
    if isinstance(target, Difference):
        golds = [sequence.gold for sequence in batch.sequences]
        for head in target.heads(model):
            decision = decisions[head]
            plus, minus = (numbers_of(side, decision, scores, golds) for side in target.sides)
            chosen = replace(chosen_of(model, plus, rows), minus=chosen_of(model, minus, rows))
            yield Choice(chosen, plus, scores, decision, taken[head], steps, minus)
        return
    for head, targets in _targets(target, model, decisions, taken, batch):
        chosen = chosen_of(model, targets, rows)
        yield Choice(chosen, targets, scores, decisions[head], taken[head], steps)


def _targets(
    target: int | Literal["predicted", "gold", "all"],
    model: Model,
    decisions: list[Decision | None],
    taken: list[Integers | None],
    batch: Batch,
) -> Iterator[tuple[int, Integers]]:
    """Head after head, what is explained there of each sequence."""
    count = len(batch.sequences)
    if target == "gold":
        (predicted,) = taken  # there is one true class, and so one head
        assert predicted is not None
        # Only an empty line has no true class here.
        yield 0, golds_or(predicted, [sequence.gold for sequence in batch.sequences])
        return
    for head, at in enumerate(model.head_slices):
        targets = [model.target_of(score) for score in range(at.start, at.stop)]
        decision, predicted = decisions[head], taken[head]
        if isinstance(target, int):
            if target <= targets[-1]:
                yield head, np.full(count, target, dtype=np.intp)
                return
        elif target == "predicted" and decision and predicted is not None and len(targets) > 1:
            yield head, predicted
        else:
            yield from ((head, np.full(count, each, dtype=np.intp)) for each in targets)
