"""All checks over a corpus: conservation, the reference check, and the framework's own numbers."""

from collections.abc import Iterable, Iterator
from collections.abc import Sequence as Several
from dataclasses import dataclass
from typing import Any

import numpy as np
from msgspec.structs import replace

from lstm_lrp_cli.engine.forward import Trace
from lstm_lrp_cli.engine.methods.lrp import Lrp
from lstm_lrp_cli.engine.records import TOLERANCES, Ledger
from lstm_lrp_cli.engine.rules import LrpRule
from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.explaining.explainer import Explainer, detail_of
from lstm_lrp_cli.explaining.explanation import Explanation
from lstm_lrp_cli.explaining.question import Question
from lstm_lrp_cli.explaining.sizes import Check, Sizes
from lstm_lrp_cli.explaining.windows import Carried, run_window, windows
from lstm_lrp_cli.inputs.batching import Batch, Packed, masked_steps
from lstm_lrp_cli.inputs.sequence import Sequence, joined
from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.model import Input, Model
from .expected import Expectation, ExpectedRelevance
from .kinds import KINDS, Kind, deviation_of, kinds_of, probabilities_of

# How many random sequences there are, and of how many steps at most.
SEQUENCES = 64
LONGEST = 40


@dataclass(frozen=True, slots=True)
class Verification:
    """How all checks went.

    Parameters
    ----------
    checks : tuple of Check
    sequences : int
    framework : str or None
        The framework that ran.
    compared_with : str or None
        The framework or the file whose scores of the whole model were compared; None where none
        were, so that nothing proves that the file is read right.
    steps, masked : int or None
        Of a model by step, at how many steps scores were compared, and how many more were masked;
        None where there was nothing to compare with.
    sizes : Sizes or None
        How large the shares by the chosen rule are beside the scores. They fail no check.
    """

    checks: tuple[Check, ...]
    sequences: int
    framework: str | None = None
    compared_with: str | None = None
    steps: int | None = None
    masked: int | None = None
    sizes: Sizes | None = None

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)


def verify(
    model: Model,
    sequences: Iterable[Sequence],
    rule: LrpRule,
    question: Question,
    expected: Expectation | None,
    tolerance: float | None = None,
) -> Verification:
    """Run every check over a corpus, in bounded memory.

    Parameters
    ----------
    rule : LrpRule
        The chosen rule; the reference check runs it at a bias factor of 1 as well.
    expected : Expectation or None
        The framework's own numbers.
    tolerance : float or None
        What they may differ by, relative to the larger of 1 and the expected score. None is what
        `expected` says.

    Raises
    ------
    UnusableInput
        The input cannot be used, or `expected` is of another number of sequences.
    """
    checks = _Checks(model, rule, expected, tolerance)
    finest = expected is not None and bool(expected.relevance)
    chosen = Explainer(model, [Lrp(rule)], target=question, by=detail_of(model, finest=finest))
    reference = Lrp(replace(rule, bias_factor=1.0))
    everything = Explainer(model, [reference], target=question, by=detail_of(model))
    carried = Carried(model, None if expected is None else expected.abreast)
    count = 0
    for window in windows(model, sequences, question):
        count += len(window)
        for batch, trace in run_window(model, window, carried):
            checks.see_scores(batch, trace)
            checks.see_relevance(list(chosen.of_batch(batch, trace)))
            checks.see_reference(everything.of_batch(batch, trace))
            del trace  # as run_window says
    if expected is not None:
        expected.check_count(count)
    return checks.verification(count)


class _Checks:
    """All checks, as more and more sequences are seen."""

    def __init__(
        self, model: Model, rule: LrpRule, expected: Expectation | None, tolerance: float | None
    ) -> None:
        self._model, self._expected = model, expected
        by = f" by {rule.gates}" if rule.gives_to_gates else ""
        rounding = TOLERANCES[model.dtype]
        self._conservation = Check(
            "conservation",
            f"score = sum of the ledger's shares{by}, at bias factor {rule.bias_factor:g}",
            rounding,
        )
        self._reference = Check(
            "reference",
            f"score = relevance of inputs and initial states{by}, at bias factor 1",
            rounding,
        )
        if tolerance is None:
            tolerance = expected.tolerance if expected else 0.0
        # Of each kind that the expected numbers could be of, as far as they were seen.
        self._forward = {kind: _forward_check(kind, expected, tolerance) for kind in KINDS}
        self._relevance = Check("relevance", "relevance = expected relevance", tolerance)
        self._sizes = Sizes.none(Lrp(rule).promise.nothing)
        self._steps = self._masked = 0

    def see_scores(self, batch: Batch, trace: Trace) -> None:
        """Compare the scores of a batch, where there is something to compare with."""
        if self._expected is None:
            return
        for each in _compared(self._model, trace, batch, self._expected):
            self._forward = {
                kind: check.seen(each.deviations[kind], each.sequence)
                for kind, check in self._forward.items()
                if kind in each.deviations
            }
            self._steps += each.steps
        self._masked += _masked(batch, trace)

    def see_relevance(self, explanations: Several[Explanation]) -> None:
        """Check explanations by the chosen rule."""
        self._sizes = self._sizes.with_explanations(explanations)
        expected = {} if self._expected is None else self._expected.relevance
        for explanation in explanations:
            number = explanation.sequence.number
            residual = ledger_of(explanation).relative_residual
            self._conservation = self._conservation.seen(residual, number)
            if number in expected:
                difference = _relevance_deviation(self._model, explanation, expected[number])
                self._relevance = self._relevance.seen(difference, number)

    def see_reference(self, explanations: Iterable[Explanation]) -> None:
        """Check explanations at a bias factor of 1: biases have no share, and all else is there."""
        for explanation in explanations:
            ledger = ledger_of(explanation)
            there = ledger["tokens"] + ledger["initial_state"] + ledger["padding"]
            gap = ledger.score - there
            relative = abs(gap) / ledger.scale if gap else 0.0
            self._reference = self._reference.seen(relative, explanation.sequence.number)

    def verification(self, sequences: int) -> Verification:
        """How all checks went, over so many sequences."""
        checks, expected = [self._conservation, self._reference], self._expected
        if expected is None:
            return Verification(tuple(checks), sequences, sizes=self._sizes)
        possible = (self._forward[kind] for kind in expected.kinds if kind in self._forward)
        checks.append(min(possible, key=lambda check: check.worst))
        if expected.relevance:
            checks.append(self._relevance)
        by_step = self._model.by_step
        return Verification(
            tuple(checks),
            sequences,
            expected.framework,
            expected.compared_with,
            self._steps if by_step else None,
            self._masked if by_step else None,
            self._sizes,
        )


def ledger_of(explanation: Explanation) -> Ledger:
    """The ledger of an explanation by LRP, which always has one."""
    assert explanation.ledger is not None
    return explanation.ledger


def _forward_check(kind: Kind, expected: Expectation | None, tolerance: float) -> Check:
    framework = None if expected is None else expected.framework
    if expected is not None and expected.compared_with is None:
        theirs = f"{kind} of {framework}, module by module, connected as the mapping says"
        return Check("modules", f"{kind} = {theirs}", tolerance)
    theirs = f"expected {kind}" if framework is None else f"{kind} of {framework}"
    return Check("forward", f"{kind} = {theirs}", tolerance)


@dataclass(frozen=True, slots=True)
class _Compared:
    """How far one sequence's scores and probabilities deviate from the expected numbers.

    Parameters
    ----------
    sequence : int
    deviations : dict
        For each kind that the expected numbers could be of.
    steps : int
        How many were compared, where each has scores.
    """

    sequence: int
    deviations: dict[Kind, float]
    steps: int


def _compared(
    model: Model, trace: Trace, batch: Batch, expected: Expectation
) -> Iterator[_Compared]:
    """Compare each sequence.

    Masked steps are left out: frameworks give scores there too, which mean nothing.
    """
    steps = None if trace.steps is None else batch.steps_of(trace.steps)
    kept = batch.packed[0].kept() if steps is None else steps.kept()
    scores = list(_scores(trace, batch, steps))
    numbers = expected.of_batch(batch, [ours.shape for _, ours, _ in scores], steps)
    for (number, ours, likely), theirs, own in zip(scores, numbers, kept, strict=True):
        if theirs is not None:
            if steps is not None:
                ours, likely, theirs = ours[own], likely[own], theirs[own]
            kinds = dict.fromkeys(expected.kinds[:1], theirs) | kinds_of(theirs, model)
            deviations = {
                kind: deviation_of(kind, ours, likely, of_kind) for kind, of_kind in kinds.items()
            }
            yield _Compared(number, deviations, int(own.sum()))


def _masked(batch: Batch, trace: Trace) -> int:
    """How many steps that could have scores are masked."""
    masked = masked_steps(batch.sequences, trace.model)
    own = zip(masked, batch.packed, strict=True)
    return sum(count for count, each in own if each.packing is trace.steps)


def _scores(
    trace: Trace, batch: Batch, steps: Packed | None
) -> Iterator[tuple[int, Floats, Floats]]:
    """Number, scores and probabilities of each sequence: (classes,), or (steps, classes)."""
    probabilities = probabilities_of(trace.model, trace.scores)
    if steps is None:
        rows = zip(batch.sequences, trace.scores, probabilities, strict=True)
        yield from ((sequence.number, ours, likely) for sequence, ours, likely in rows)
        return
    for sequence, ours, likely in zip(
        batch.sequences,
        steps.per_sequence(trace.scores),
        steps.per_sequence(probabilities),
        strict=True,
    ):
        yield sequence.number, ours, likely


def _relevance_deviation(
    model: Model, explanation: Explanation, theirs: ExpectedRelevance
) -> float:
    name = explanation.target
    known = {name} if explanation.against_number is not None else {name, explanation.target_number}
    if theirs.target is not None and theirs.target not in known:
        raise UnusableInput(
            theirs.where,
            f"its relevance is for target {theirs.target}, explained is {name}; use --target",
        )
    ours = {
        part.name: part.relevance if theirs.values[part.name].ndim == 2 else part.relevance_of_steps
        for part in explanation.parts
        if part.name in theirs.values
    }
    if len(ours) < len(explanation.parts):
        names = ", ".join(model.input_names)
        raise UnusableInput(
            theirs.where, f"its relevance is not that of all inputs; expected those of {names}"
        )
    return max(_apart(part, amounts, theirs) for part, amounts in ours.items())


def _apart(part: str | None, ours: Floats, theirs: ExpectedRelevance) -> float:
    """How far relevance at one input is from the expected, relative to its largest over 1."""
    expected = theirs.values[part]
    if ours.shape != expected.shape:
        of = "" if part is None else f" of {part}"
        raise UnusableInput(
            theirs.where,
            f"its relevance{of} has shape {expected.shape}; the sequence has {ours.shape}",
        )
    there = ~np.isnan(ours)  # masked steps have none
    largest = np.abs(expected[there]).max(initial=1.0)
    return float(np.abs(ours[there] - expected[there]).max(initial=0.0) / largest)


def random_sequences(model: Model, seed: int = 0) -> Iterator[Sequence]:
    """Random token ids or standard normal numbers, of lengths from 1 to LONGEST.

    Where sequences are filled up to a length, none is longer: the model may take no other. All
    inputs of a sequence have as many steps, lest layers join them step by step.
    """
    filled = [read.padding.length for read in model.inputs if read.padding and read.padding.length]
    longest = min([LONGEST, *filled])
    streams = [
        _random_input(read, model.dtype, longest, (seed, number))
        for number, read in enumerate(model.inputs)
    ]
    yield from map(joined, range(SEQUENCES), zip(*streams, strict=True))


def _random_input(
    read: Input, dtype: Any, longest: int, seeds: tuple[int, int]
) -> Iterator[Sequence]:
    """What is drawn for one input: the lengths are those of the first, the rest its own."""
    seed, number = seeds
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, longest + 1, SEQUENCES).tolist()
    rng = np.random.default_rng(seeds) if number else rng
    for place, length in enumerate(lengths if read.steps else [1] * SEQUENCES):
        if read.embedding is not None:
            ids = rng.integers(0, len(read.embedding.weights), length)
            yield Sequence(place, ids, tuple(map(str, ids.tolist())))
        else:
            values = rng.standard_normal((length, read.size)).astype(dtype)
            features = tuple(f"feature_{k}" for k in range(read.size))
            yield Sequence(place, values, features=features)
