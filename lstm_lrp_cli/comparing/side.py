"""One of the two that are compared, whatever it is: explanations, sequence after sequence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.results.result import Result


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
            f"ends before sequence {other.number}, which {other.place} has; both must be of the "
            "same input",
        )


@dataclass(frozen=True, slots=True)
class ExplainedSequence:
    """All explanations of one sequence that one side has, of which there is at least one."""

    side: Side
    results: list[Result]

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


def explained_sequences(blocks: Iterable[list[Result]], side: Side) -> Iterator[ExplainedSequence]:
    """The explanations of one sequence after the other.

    Raises
    ------
    UnusableInput
        They are of several methods, of which none is chosen, or not in the order of the input.
    """
    methods: set[str | None] = set()
    for results in _sequences(blocks, side):
        if side.method is None:
            methods |= {result.method for result in results}
            if len(methods) > 1:
                raise _several_methods(results, methods, side)
        yield ExplainedSequence(side, _chosen(results, side))


def explained_twice(
    blocks: Iterable[list[Result]], sides: tuple[Side, Side]
) -> Iterator[tuple[ExplainedSequence, ExplainedSequence]]:
    """The explanations of one sequence after the other, by one method and by another.

    Raises
    ------
    UnusableInput
        A sequence has none by one of them, or they are not in the order of the input.
    """
    for results in _sequences(blocks, sides[0]):
        for result in results:
            if result.method is None:
                raise sides[0].refused(
                    result,
                    "does not say by which method it is; expected results of both: "
                    f"lrp explain --method {sides[0].method},{sides[1].method}",
                )
        a, b = (ExplainedSequence(side, _chosen(results, side)) for side in sides)
        yield a, b


def _sequences(blocks: Iterable[list[Result]], side: Side) -> Iterator[list[Result]]:
    """All explanations of one sequence after the other, whose numbers go up."""
    before: list[Result] = []
    results = (result for block in blocks for result in block)
    for _, of_sequence in groupby(results, key=attrgetter("sequence")):
        found = list(of_sequence)
        if before and found[0].sequence < before[0].sequence:
            raise side.refused(
                found[0],
                f"is of sequence {found[0].sequence}, which stands before {before[0].sequence}; "
                "expected the explanations of one input, in its order",
            )
        yield found
        before = found


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
        wrong,
        f"there are results of several methods ({names}); say which are compared: --methods",
    )
