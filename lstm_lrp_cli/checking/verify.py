"""All checks over a corpus: conservation, the reference check, and the framework's own numbers."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from lstm_lrp_cli.checking.check import Check
from lstm_lrp_cli.checking.deviation import deviation, probabilities_of
from lstm_lrp_cli.checking.expected import Expected
from lstm_lrp_cli.engine.forward import Trace
from lstm_lrp_cli.engine.ledger import TOLERANCES
from lstm_lrp_cli.engine.rules import EpsilonRule
from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.model.arrays import Floats
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.scaling.corpus import batch_rows, explain_batch, run_batch, windows
from lstm_lrp_cli.scaling.question import Question
from lstm_lrp_cli.sequences.batching import Batch, batches
from lstm_lrp_cli.sequences.explanation import Explanation
from lstm_lrp_cli.sequences.sequence import Sequence


@dataclass(frozen=True, slots=True)
class Verification:
    """How all checks went.

    Parameters
    ----------
    checks : tuple of Check
    sequences : int
    """

    checks: tuple[Check, ...]
    sequences: int

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)


def verify(
    model: Model,
    sequences: Iterable[Sequence],
    rule: EpsilonRule,
    question: Question,
    expected: Expected | None,
    tolerance: float,
) -> Verification:
    """Run every check over a corpus, in bounded memory.

    Parameters
    ----------
    rule : EpsilonRule
        The chosen rule; the reference check runs it at a bias factor of 1 as well.
    expected : Expected or None
        The framework's own numbers.
    tolerance : float
        What they may differ by, relative to the larger of 1 and the expected score.

    Raises
    ------
    UnusableInput
        The input cannot be used, or `expected` is of another number of sequences.
    """
    rounding = TOLERANCES[model.dtype]
    conservation = Check(
        "conservation",
        f"score = sum of the ledger's shares, at bias factor {rule.bias_factor:g}",
        rounding,
    )
    reference = Check(
        "reference",
        "score = relevance of inputs and initial states, at bias factor 1",
        rounding,
    )
    scores = Check("forward", "scores = expected scores", tolerance)
    probable = Check("forward", "probabilities = expected probabilities", tolerance)
    relevance = Check("relevance", "relevance = expected relevance", tolerance)
    count = 0
    for window in windows(model, sequences, question):
        count += len(window)
        for batch in batches(window, model, batch_rows(model)):
            trace = run_batch(model, batch)
            if expected is not None:
                for number, ours, likely in _scores(model, trace, batch):
                    theirs = expected.of(number, ours.shape)
                    scores = scores.seen(deviation(ours, theirs), number)
                    probable = probable.seen(deviation(likely, theirs), number)
            for explanation in explain_batch(batch, trace, rule, question):
                number = explanation.sequence.number
                conservation = conservation.seen(explanation.ledger.relative_residual, number)
                if expected is not None and number in expected.relevance:
                    difference = _relevance_deviation(model, explanation, expected)
                    relevance = relevance.seen(difference, number)
            for explanation in explain_batch(
                batch, trace, replace(rule, bias_factor=1.0), question
            ):
                ledger = explanation.ledger
                gap = ledger.score - ledger.tokens - ledger.initial_state - ledger.padding
                relative = abs(gap) / ledger.scale if gap else 0.0
                reference = reference.seen(relative, explanation.sequence.number)
    checks = [conservation, reference]
    if expected is not None:
        expected.check_count(count)
        candidates = [scores, probable] if expected.may_be_probabilities else [scores]
        checks.append(min(candidates, key=lambda check: check.worst))
        if expected.relevance:
            checks.append(relevance)
    return Verification(tuple(checks), count)


def _scores(model: Model, trace: Trace, batch: Batch) -> Iterator[tuple[int, Floats, Floats]]:
    """Number, scores and probabilities of each sequence: (classes,), or (steps, classes)."""
    probabilities = probabilities_of(model, trace.scores)
    if not model.by_step:
        rows = zip(batch.sequences, trace.scores, probabilities, strict=True)
        yield from ((sequence.number, ours, likely) for sequence, ours, likely in rows)
        return
    for sequence, ours, likely in zip(
        batch.sequences,
        batch.per_sequence(trace.scores),
        batch.per_sequence(probabilities),
        strict=True,
    ):
        yield sequence.number, ours, likely


def _relevance_deviation(model: Model, explanation: Explanation, expected: Expected) -> float:
    theirs = expected.relevance[explanation.sequence.number]
    place = f"{expected.where}: line {explanation.sequence.number + 1}"
    name = model.target_name(explanation.target)
    if theirs.target is not None and theirs.target not in (name, explanation.target):
        raise UnusableInput(
            place, f"its relevance is for target {theirs.target}, explained is {name}; use --target"
        )
    ours = explanation.relevance if theirs.values.ndim == 2 else explanation.relevance_of_steps
    if ours.shape != theirs.values.shape:
        raise UnusableInput(
            place,
            f"its relevance has shape {theirs.values.shape}; the sequence has {ours.shape}",
        )
    largest = np.abs(theirs.values).max(initial=1.0)
    return float(np.abs(ours - theirs.values).max(initial=0.0) / largest)
