"""All checks over a corpus: conservation, the reference check, and the framework's own numbers."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from lstm_lrp_cli.checking.check import Check
from lstm_lrp_cli.checking.expected import Expected
from lstm_lrp_cli.engine.activations import ACTIVATIONS
from lstm_lrp_cli.engine.forward import outputs
from lstm_lrp_cli.engine.ledger import TOLERANCES
from lstm_lrp_cli.engine.rules import EpsilonRule
from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.model.arrays import Floats
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.scaling.corpus import (
    Target,
    batch_rows,
    explain_batch,
    run_batch,
    windows,
)
from lstm_lrp_cli.sequences.batching import batches
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
    target: Target,
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
    for window in windows(model, sequences):
        count += len(window)
        for batch in batches(window, model, batch_rows(model)):
            trace = run_batch(model, batch)
            probabilities = _probabilities(model, trace.scores)
            if expected is not None:
                for k, sequence in enumerate(batch.sequences):
                    theirs = _row(expected, sequence.number)
                    scores = scores.seen(_deviation(trace.scores[k], theirs), sequence.number)
                    probable = probable.seen(_deviation(probabilities[k], theirs), sequence.number)
            for explanation in explain_batch(batch, trace, rule, target):
                number = explanation.sequence.number
                conservation = conservation.seen(explanation.ledger.relative_residual, number)
                if expected is not None and number in expected.relevance:
                    difference = _relevance_deviation(model, explanation, expected)
                    relevance = relevance.seen(difference, number)
            for explanation in explain_batch(batch, trace, replace(rule, bias_factor=1.0), target):
                ledger = explanation.ledger
                gap = ledger.score - ledger.tokens - ledger.initial_state - ledger.padding
                relative = abs(gap) / ledger.scale if gap else 0.0
                reference = reference.seen(relative, explanation.sequence.number)
    checks = [conservation, reference]
    if expected is not None:
        if count != len(expected.scores):
            raise UnusableInput(
                expected.where,
                f"holds {len(expected.scores)} rows of scores; the input has {count} sequences",
            )
        candidates = [scores, probable] if _may_be_probabilities(expected.scores) else [scores]
        checks.append(min(candidates, key=lambda check: check.worst))
        if expected.relevance:
            checks.append(relevance)
    return Verification(tuple(checks), count)


def _row(expected: Expected, number: int) -> Floats:
    if number >= len(expected.scores):
        raise UnusableInput(
            expected.where,
            f"holds {len(expected.scores)} rows of scores; the input has more sequences",
        )
    row: Floats = expected.scores[number]
    return row


def _deviation(ours: Floats, theirs: Floats) -> float:
    return float((np.abs(ours - theirs) / np.maximum(1.0, np.abs(theirs))).max())


def _may_be_probabilities(values: Floats) -> bool:
    """Whether every row could be what a sigmoid or softmax gives."""
    return bool(np.all((values >= 0) & (values <= 1)))


def _probabilities(model: Model, scores: Floats) -> Floats:
    """What frameworks' predict gives: they put a softmax or sigmoid behind the scores."""
    if model.output_activation == "linear":
        return ACTIVATIONS["softmax" if model.classes > 1 else "sigmoid"](scores)
    return outputs(model, scores)


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
