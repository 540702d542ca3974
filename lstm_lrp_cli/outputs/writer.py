"""What every output can do."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Sequence as Several
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Generic, Self, TypeVar

import numpy as np

from lstm_lrp_cli.engine.methods.method import Method
from lstm_lrp_cli.explaining.explanation import WHOLE, Asked, Detail, Explanation
from lstm_lrp_cli.model import Floats, Integers
from lstm_lrp_cli.model.model import Model

Written = TypeVar("Written", contravariant=True)

# About how many values are written at once. More would take memory, and gain no time.
PART_VALUES = 2**14


class Report(ABC):
    """What is told of a run, as far as it has come."""

    @abstractmethod
    def as_object(self) -> dict[str, Any]:
        """The report as JSON has it."""


@dataclass(frozen=True, slots=True)
class Layout:
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
    by : Detail or None
        How finely relevance is told where that is less than the explainer tells.
    """

    asked: Asked
    about: Mapping[str, Any] = field(default_factory=dict)
    top: int | None = None
    report: Report | None = None
    by: Detail | None = None

    @property
    def model(self) -> Model:
        return self.asked.model

    @property
    def methods(self) -> tuple[Method, ...]:
        return self.asked.methods

    @property
    def detail(self) -> Detail:
        return self.by or self.asked.detail

    @property
    def several_methods(self) -> bool:
        """Whether it must be told by which method each was made."""
        return len(self.methods) > 1

    @property
    def whole(self) -> bool:
        """Whether every value of a step is told, and not their sum."""
        return self.detail in WHOLE

    @property
    def values(self) -> int:
        """How many values are told of every step."""
        return self.model.input_size if self.whole else 1

    def told(self, explanation: Explanation) -> Floats:
        """Relevance as it is told: of steps, shape (steps,), or of values, (steps, features)."""
        return explanation.relevance if self.whole else explanation.relevance_of_steps

    def parts(self, explanations: Iterable[Explanation]) -> Iterator[list[Explanation]]:
        """Cut a block into parts to be written one at a time, of one long sequence or several."""
        part: list[Explanation] = []
        size = 0
        for explanation in explanations:
            part.append(explanation)
            size += len(explanation.sequence) * self.values
            if size >= PART_VALUES:
                yield part
                part, size = [], 0
        if part:
            yield part


class Writer(ABC, Generic[Written]):
    """Writes results block by block, in the order given: explanations, or predictions.

    Other than a picture for people, what a block is written as does not depend on those before.
    """

    @classmethod
    def sink(cls, file: Any, layout: Layout) -> AbstractContextManager[Any]:
        """What makes a file of what writers write, a Sink where that is more than to join texts."""
        return nullcontext(file)

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


@dataclass(frozen=True, slots=True, eq=False)
class Joined:
    """Some explanations as arrays and lists of all their steps, one after another.

    Parameters
    ----------
    explanations : sequence of Explanation
        Or none: then they show the shapes.
    layout : Layout
    """

    explanations: Several[Explanation]
    layout: Layout

    @property
    def numbers(self) -> Integers:
        """The number of each explanation's sequence."""
        return np.array([each.sequence.number for each in self.explanations], dtype=np.int64)

    @property
    def lengths(self) -> Integers:
        """How many steps each has."""
        return np.array([len(each.sequence) for each in self.explanations], dtype=np.int64)

    @property
    def relevance(self) -> Floats:
        """Of all steps, shape (steps,); where every value is told, (steps, features)."""
        layout = self.layout
        nothing = np.zeros((0, layout.values) if layout.whole else (0,), dtype=layout.model.dtype)
        return np.concatenate([nothing, *map(layout.told, self.explanations)])

    @property
    def values(self) -> Floats:
        """The values of all steps of numeric series, shape (steps, features)."""
        model = self.layout.model
        nothing = np.zeros((0, model.input_size), dtype=model.dtype)
        return np.concatenate([nothing, *(each.sequence.inputs for each in self.explanations)])

    @property
    def features(self) -> list[str]:
        """The names of all those values."""
        sequences = (each.sequence for each in self.explanations)
        return list(chain.from_iterable((each.features or ()) * len(each) for each in sequences))

    @property
    def tokens(self) -> list[str]:
        """All tokens."""
        return list(chain.from_iterable(each.sequence.tokens or () for each in self.explanations))


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
    return ["score", *shares, "residual", *(["stabilizers_size"] if sized else [])]
