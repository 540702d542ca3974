"""One of the two that are compared, whatever it is: explanations, sequence after sequence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Sequence as Several
from dataclasses import dataclass
from dataclasses import replace as replaced
from itertools import groupby

import numpy as np
from msgspec.structs import replace

from lstm_lrp_cli.engine.methods.method import Method
from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.explaining.explainer import Explainer, detail_of
from lstm_lrp_cli.explaining.explanation import Explanation, details_of
from lstm_lrp_cli.explaining.question import Question
from lstm_lrp_cli.explaining.sizes import Sizes
from lstm_lrp_cli.inputs.sequence import Sequence
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.results import Result, ResultInput
from lstm_lrp_cli.terminal.words import size_warnings


@dataclass(frozen=True, slots=True)
class Side:
    """What is compared.

    Parameters
    ----------
    name : str
        What messages call it: a file of results, or a model.
    method : str or None
        The one method whose explanations are compared; None where there is but one.
    """

    name: str
    method: str | None = None

    @property
    def title(self) -> str:
        """What people are told that it is."""
        return self.name if self.method is None else f"{self.name}, {self.method}"

    def place(self, result: Result) -> str:
        """Where an explanation stands, for messages."""
        what = f"sequence {result.sequence}" if result.line is None else f"line {result.line}"
        return f"{self.name}: {what}"

    def refused(self, result: Result, problem: str) -> UnusableInput:
        """An error about one explanation."""
        return UnusableInput(self.place(result), problem)

    def ended(self, other: ExplainedSequence) -> UnusableInput:
        """An error about what ends before a sequence that the other side has."""
        return UnusableInput(
            self.name,
            f"ends before {other.told}, which {other.place} has; both must be of the same input",
        )


@dataclass(frozen=True, slots=True)
class ExplainedSequence:
    """All explanations of one sequence that one side has, of which there is at least one."""

    side: Side
    results: list[Result]

    @property
    def input(self) -> str | None:
        """Of a folder of parts: which input the sequence is of."""
        return self.first.input

    @property
    def told(self) -> str:
        """Which sequence it is, for messages."""
        return f"sequence {self.number}" + (f" of {self.input}" if self.input is not None else "")

    @property
    def first(self) -> Result:
        return self.results[0]

    @property
    def number(self) -> int:
        """The sequence's number in the input."""
        return self.first.sequence

    @property
    def place(self) -> str:
        """Where the first one stands, for messages."""
        return self.side.place(self.first)


# The results of one file after the other, each with what messages call it.
Files = Iterable[tuple[str, Iterable[list[Result]]]]


def explained_sequences(files: Files, side: Side) -> Iterator[ExplainedSequence]:
    """The explanations of one sequence after the other.

    Raises
    ------
    UnusableInput
        They are of several methods, of which none is chosen, or not in the order of the input.
    """
    methods: set[str | None] = set()
    for name, results in _sequences(files):
        own = replaced(side, name=name)
        if side.method is None:
            methods |= {result.method for result in results}
            if len(methods) > 1:
                raise _several_methods(results, methods, own)
        yield ExplainedSequence(own, _chosen(results, own))


def explained_twice(
    files: Files, sides: tuple[Side, Side]
) -> Iterator[tuple[ExplainedSequence, ExplainedSequence]]:
    """The explanations of one sequence after the other, by one method and by another.

    Raises
    ------
    UnusableInput
        A sequence has none by one of them, or they are not in the order of the input.
    """
    for name, results in _sequences(files):
        first, second = (replaced(side, name=name) for side in sides)
        for result in results:
            if result.method is None:
                raise first.refused(
                    result,
                    "does not say by which method it is; expected results of both: "
                    f"lrp explain --method {first.method},{second.method}",
                )
        a, b = (ExplainedSequence(side, _chosen(results, side)) for side in (first, second))
        yield a, b


def _sequences(files: Files) -> Iterator[tuple[str, list[Result]]]:
    """All explanations of one sequence after the other, whose numbers go up in each input."""
    before: Result | None = None
    for name, blocks in files:
        results = (result for block in blocks for result in block)
        for (of, number), of_sequence in groupby(results, key=_which):
            found = list(of_sequence)
            if before is not None and before.input == of and number < before.sequence:
                raise Side(name).refused(
                    found[0],
                    f"is of sequence {number}, which stands before {before.sequence}; "
                    "expected the explanations of one input, in its order",
                )
            yield name, found
            before = found[0]


def _which(result: Result) -> tuple[str | None, int]:
    """What no two sequences share."""
    return result.input, result.sequence


def _chosen(results: list[Result], side: Side) -> list[Result]:
    """The explanations of a sequence by the side's method; a file of one need not name it."""
    chosen = [
        result for result in results if side.method is None or result.method in (None, side.method)
    ]
    if not chosen:
        there = ", ".join(dict.fromkeys(str(result.method) for result in results))
        raise side.refused(results[0], f"is an explanation by {there}; expected {side.method}")
    return chosen


def _several_methods(results: list[Result], methods: set[str | None], side: Side) -> UnusableInput:
    names = ",".join(sorted(str(method) for method in methods if method is not None))
    wrong = next(result for result in results if result.method is not None)
    return side.refused(
        wrong, f"there are results of several methods ({names}); say which are compared: --methods"
    )


class Explaining:
    """A model that explains what is compared, and how large its ledgers are beside the scores.

    Parameters
    ----------
    model : Model
    methods : sequence of Method
    """

    def __init__(self, model: Model, methods: Several[Method]) -> None:
        self._model, self._methods = model, methods
        self._sizes = {
            method.name: Sizes.none(method.promise.nothing)
            for method in methods
            if method.promise is not None
        }

    def results(self, sequences: Iterable[Sequence], question: Question) -> Iterator[list[Result]]:
        """Explain sequences as `lrp explain` does.

        The results have what is compared of them, and no ledgers. Relevance is that of tokens, or
        of every value in a numeric series where the methods tell of them.
        """
        model, methods = self._model, self._methods
        whole = any(method.whole_steps for method in methods)
        by = detail_of(model) if whole else details_of(model)
        explainer = Explainer(model, methods, target=question, by=by)
        for explanations in explainer.windows(sequences):
            for name, sizes in self._sizes.items():
                own = [each for each in explanations if each.method == name]
                self._sizes[name] = sizes.with_explanations(own)
            yield list(map(_result, explanations))

    def warnings(self) -> Iterator[str]:
        """What `lrp explain` would warn of: numbers that cancel, or stabilizers."""
        series = not self._model.takes_tokens
        for method in self._methods:
            if method.name in self._sizes:
                yield from size_warnings(method, self._sizes[method.name], series=series)


def _result(explanation: Explanation) -> Result:
    sequence = explanation.sequence
    inputs = tuple(
        ResultInput(
            part.name or "",
            part.relevance.astype("float64", copy=False),
            None if part.tokens is None else list(part.tokens),
            None if part.features is None else list(part.features),
            dates=None if part.part.dates is None else list(part.part.dates),
        )
        for part in explanation.parts
    )
    several = len(inputs) > 1
    only = ResultInput("", np.zeros(0)) if several else inputs[0]
    return Result(
        sequence.number,
        explanation.target,
        only.relevance,
        id=sequence.id,
        tokens=only.tokens,
        features=only.features,
        scores=explanation.scores.tolist(),
        output=explanation.output,
        predicted=explanation.predicted,
        step=explanation.step,
        label=explanation.label,
        method=explanation.method,
        inputs=inputs if several else (),
        dates=only.dates,
        original=[] if explanation.original is None else explanation.original.tolist(),
    )


def named_alike(model: Model, other: Model, where: str, than: str) -> tuple[Model, Model]:
    """Both models, with the labels of the other where one has none of its own.

    Raises
    ------
    UnusableInput
        The models do not take or give the same.
    """
    problem = _unlike(model, other)
    if problem is not None:
        found, expected = problem
        raise UnusableInput(where, f"{found}, and {than} {expected}; they cannot be compared")
    labels = model.labels or other.labels
    return replace(model, labels=labels), replace(other, labels=labels)


def _predicting(model: Model) -> str:
    if model.undecided:
        return "does not say whether it predicts classes or values (`task` in its mapping does)"
    return "predicts values" if model.regression else "predicts classes"


def _taking(model: Model) -> str:
    kinds = ["numbers" if each.embedding is None else "tokens" for each in model.inputs]
    if len(kinds) == 1:
        return f"takes {kinds[0]}"
    named = zip(kinds, model.input_names, strict=True)
    return f"takes {', '.join(f'{kind} as {name}' for kind, name in named)}"


def _unlike(model: Model, other: Model) -> tuple[str, str] | None:
    """What the other model is, and what the first one, where they differ; None where not."""
    for both in (
        [_taking(each) for each in (other, model)],
        [
            "gives scores at every step" if each.by_step else "gives scores once a sequence"
            for each in (other, model)
        ],
        [_predicting(each) for each in (other, model)],
        [f"gives {each.classes} scores" for each in (other, model)],
    ):
        if both[0] != both[1]:
            return both[0], both[1]
    for one, another in zip(model.inputs, other.inputs, strict=True):
        if one.embedding is None and one.size != another.size:
            of = f" of {one.name}" if model.several_inputs else ""
            return f"takes {another.size} features{of}", f"takes {one.size}"
    if model.labels and other.labels and model.labels != other.labels:
        return f"has the labels {', '.join(other.labels)}", f"has {', '.join(model.labels)}"
    return None
