"""What every output can do."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Sequence as Several
from contextlib import AbstractContextManager, nullcontext
from itertools import chain
from operator import mul
from typing import Any, Generic, Self, TypeVar

import numpy as np
from msgspec import Struct, field

from lstm_lrp_cli.engine.methods.method import Method
from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.explaining.explanation import WHOLE, Asked, Detail, Explanation
from lstm_lrp_cli.inputs.sequence import Part
from lstm_lrp_cli.model import Floats, Integers
from lstm_lrp_cli.model.model import Input, Model

Written = TypeVar("Written", contravariant=True)

# About how many values are written at once. More would take memory, and gain no time.
PART_VALUES = 2**14


class Report(ABC):
    """What is told of a run, as far as it has come."""

    @abstractmethod
    def as_object(self) -> dict[str, Any]:
        """The report as JSON has it."""


class Layout(Struct, frozen=True):
    """What explanations are written as, in whatever format.

    Parameters
    ----------
    asked : Asked
        The explainer that explanations come from.
    about : dict
        What an output that is kept may tell of the run, as JSON has it.
    top : int or None
        How many of each are written, those with the strongest relevance first; None is all of
        them, in their order.
    report : Report or None
        For what opens and closes the file: the run's, complete when it is closed.
    whole_tokens : bool
        Whether tokens are told as a whole, though the explainer tells of their dimensions.
    dated : bool
        Whether it is known when steps were: then rows say it.
    verbatim : bool
        Whether tables have texts as they are that a spreadsheet would run as formulas.
    """

    asked: Asked
    about: Mapping[str, Any] = field(default_factory=dict)
    top: int | None = None
    report: Report | None = None
    whole_tokens: bool = False
    dated: bool = False
    verbatim: bool = False

    @property
    def model(self) -> Model:
        return self.asked.model

    @property
    def methods(self) -> tuple[Method, ...]:
        return self.asked.methods

    @property
    def details(self) -> tuple[Detail, ...]:
        """How finely relevance of each input is told."""
        details = self.asked.details
        if not self.whole_tokens:
            return details
        return tuple("token" if each == "dimension" else each for each in details)

    @property
    def several_methods(self) -> bool:
        """Whether it must be told by which method each was made."""
        return len(self.methods) > 1

    def whole(self, number: int) -> bool:
        """Whether every value of a step of an input is told, and not their sum."""
        return self.details[number] in WHOLE

    def values(self, number: int) -> int:
        """How many values are told of every step of an input."""
        return self.model.inputs[number].size if self.whole(number) else 1

    def told(self, explanation: Explanation, number: int) -> Floats:
        """Relevance at an input as it is told: (steps,), or of values, (steps, features)."""
        relevance = explanation.amounts[number]
        if relevance.ndim == 1 or self.whole(number):
            return relevance
        total: Floats = relevance.sum(axis=1)
        return total

    def parts(self, explanations: Iterable[Explanation]) -> Iterator[list[Explanation]]:
        """Cut a block into parts to be written one at a time, of one long sequence or several."""
        part: list[Explanation] = []
        size = 0
        widths = [self.values(number) for number in range(len(self.model.inputs))]
        only = widths[0] if len(widths) == 1 else None
        for explanation in explanations:
            part.append(explanation)
            if only is not None:
                size += len(explanation.amounts[0]) * only
            else:
                size += sum(map(mul, map(len, explanation.amounts), widths))
            if explanation.attention is not None:
                size += explanation.attention_values
            if size >= PART_VALUES:
                yield part
                part, size = [], 0
        if part:
            yield part

    def parts_in_columns(self, explanations: Iterable[Explanation]) -> Iterator[list[Explanation]]:
        """The same, for columns that stand before it is known what all sequences have.

        Raises
        ------
        UnusableInput
            A sequence has dates, and there is no column for them.
        """
        for part in self.parts(explanations):
            if not self.dated:
                for each in part:
                    if each.sequence.has_dates:
                        raise UnusableInput(
                            f"sequence {each.sequence.number}",
                            "has dates, and the first sequences have none, so there is no column "
                            "for them; expected dates of all sequences, or the format jsonl",
                        )
            yield part


class Writer(ABC, Generic[Written]):
    """Writes results block by block, in the order given: explanations, or predictions.

    Other than a picture for people, what a block is written as does not depend on those before.
    """

    @classmethod
    def sink(cls, file: Any, layout: Layout) -> AbstractContextManager[Any]:
        """What makes a file of what writers write, a Sink where that is more than to join texts."""
        return nullcontext(file)

    @property
    def marked(self) -> bool:
        """Whether texts that a spreadsheet would run as formulas were marked as texts."""
        return False

    def open(self) -> None:
        """Write what stands before all results, if anything does."""

    @abstractmethod
    def write(self, results: Written, /) -> None: ...

    def close(self) -> None:
        """Write what is left, if anything is. The file itself is not closed."""


class Sink(ABC):
    """Makes a file of bytes of what writers write.

    Writers of several processes write to it; it is in the first, and a context manager, which lets
    go of what it holds, whether the file was finished or not.
    """

    @abstractmethod
    def open(self) -> None:
        """Begin the file."""

    @abstractmethod
    def write(self, part: Any, /) -> None: ...

    @abstractmethod
    def close(self) -> None:
        """Finish the file, which itself is not closed."""

    def __enter__(self) -> Self:
        return self

    @abstractmethod
    def __exit__(self, *exception: object) -> None: ...


class Joined(Struct, frozen=True, eq=False):
    """What one input has of some explanations: all their steps, one after another.

    Parameters
    ----------
    explanations : sequence of Explanation
        Or none: then they show the shapes.
    layout : Layout
    number : int
        The input's.
    """

    explanations: Several[Explanation]
    layout: Layout
    number: int = 0

    @property
    def read(self) -> Input:
        return self.layout.model.inputs[self.number]

    @property
    def detail(self) -> Detail:
        return self.layout.details[self.number]

    @property
    def width(self) -> int:
        """How many values are told of every step."""
        return self.layout.values(self.number)

    @property
    def parts(self) -> list[Part]:
        """What the input is given of the sequence of each explanation."""
        if self.number == 0:
            return [each.sequence for each in self.explanations]
        return [each.sequence.others[self.number - 1] for each in self.explanations]

    @property
    def lengths(self) -> Integers:
        """How many steps each has."""
        return np.array([len(part.inputs) for part in self.parts], dtype=np.int64)

    @property
    def relevance(self) -> Floats:
        """Of all steps, shape (steps,); where every value is told, (steps, features)."""
        layout, number = self.layout, self.number
        shape = (0, self.width) if layout.whole(number) else (0,)
        nothing = np.zeros(shape, dtype=layout.model.dtype)
        return np.concatenate([nothing, *(layout.told(each, number) for each in self.explanations)])

    @property
    def value_dtype(self) -> np.dtype[Any]:
        """What its values are told in: those that are scaled first are kept as they were given."""
        return self.layout.model.dtype if self.read.scaling is None else np.dtype(np.float64)

    @property
    def values(self) -> Floats:
        """The values of all steps of numeric series, shape (steps, features)."""
        nothing = np.zeros((0, self.read.size), dtype=self.value_dtype)
        return np.concatenate(
            [nothing, *(part.inputs for part in self.parts)], dtype=self.value_dtype
        )

    @property
    def features(self) -> list[str]:
        """The names of all those values."""
        parts = self.parts
        return list(chain.from_iterable((each.features or ()) * len(each.inputs) for each in parts))

    @property
    def tokens(self) -> list[str]:
        """All tokens."""
        return list(chain.from_iterable(part.tokens or () for part in self.parts))

    @property
    def dates(self) -> list[str | None]:
        """When all steps were; None of those of which it is not known."""
        nothing = (None,)
        parts = self.parts
        return list(chain.from_iterable(each.dates or nothing * len(each.inputs) for each in parts))


def numbers_of(explanations: Several[Explanation]) -> Integers:
    """The number of each explanation's sequence."""
    return np.array([each.sequence.number for each in explanations], dtype=np.int64)


def by_explanation(lengths: Several[Integers]) -> Integers:
    """The rows of each explanation together, of rows that stand input after input.

    Parameters
    ----------
    lengths : sequence of ndarray of int, each of shape (explanations,)
        How many rows each explanation has at each input.

    Returns
    -------
    ndarray of int, shape (rows,)
        The places of the rows of the first explanation, input after input, of the second, ...
    """
    whose = np.concatenate([np.repeat(np.arange(len(each)), each) for each in lengths])
    return np.argsort(whose, kind="stable")


def starts(lengths: Integers) -> Integers:
    """Where each of several pieces begins, and where the last ends, shape (pieces + 1,)."""
    found = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=found[1:])
    return found


def amount_names(layout: Layout) -> list[str]:
    """What ledgers hold: the shares of all methods, each once, in the order of the methods."""
    nothing = [method.promise.nothing for method in layout.methods if method.promise is not None]
    shares = dict.fromkeys(chain.from_iterable(ledger.shares for ledger in nothing))
    sized = any(ledger.stabilizers_size is not None for ledger in nothing)
    names = ["score", *shares, "residual", *(["stabilizers_size"] if sized else [])]
    return [*names, *(["scores_size"] if layout.asked.of_difference else [])]
