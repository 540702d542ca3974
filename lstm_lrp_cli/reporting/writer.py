"""What every output can do."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, Self, TypeVar

from lstm_lrp_cli.engine.method import Method
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.sequences.explanation import Explanation

Written = TypeVar("Written", contravariant=True)

# How finely relevance is told: tokens or their embedding's dimensions, steps or their features.
Detail = Literal["token", "dimension", "step", "feature"]

# Those that tell every value of a step.
WHOLE: tuple[Detail, ...] = ("dimension", "feature")
# About how many values are written at once. More would take memory, and gain no time.
PART_VALUES = 2**14


class Report(Protocol):
    """What is told of a run, as far as it has come."""

    def as_object(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Layout:
    """What explanations are written as, in whatever format.

    Parameters
    ----------
    model : Model
    detail : Detail
    methods : tuple of Method
        Those that make explanations.
    about : dict
        What an output that is kept may tell of the run, as JSON has it.
    top : int or None
        How many of each are written, those with the strongest relevance first; None is all of
        them, in their order.
    report : Report or None
        For what opens and closes the file: the run's, complete when it is closed.
    """

    model: Model
    detail: Detail
    methods: tuple[Method, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)
    top: int | None = None
    report: Report | None = None

    @property
    def several_methods(self) -> bool:
        """Whether it must be told by which method each was made."""
        return len(self.methods) > 1

    @property
    def whole(self) -> bool:
        """Whether every value of a step is told, and not their sum."""
        return self.detail in WHOLE


class Writer(Protocol[Written]):
    """Writes results block by block, in the order given: explanations, or predictions.

    Other than a picture for people, what a block is written as does not depend on those before.
    """

    def open(self) -> None:
        """Write what stands before all results."""
        ...

    def write(self, results: Written, /) -> None: ...

    def close(self) -> None:
        """Write what is left. The file itself is not closed."""
        ...


class Sink(Protocol):
    """Makes a file of what writers write, where that is more than to put texts together.

    Writers of several processes write to it; it is in the first, and a context manager, which lets
    go of what it holds, whether the file was finished or not.
    """

    def open(self) -> None:
        """Begin the file."""
        ...

    def write(self, part: Any, /) -> None: ...

    def close(self) -> None:
        """Finish the file, which itself is not closed."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...


def parts(explanations: Iterable[Explanation], values: int) -> Iterator[list[Explanation]]:
    """Cut a block into parts to be written one at a time, of one long sequence or several.

    Parameters
    ----------
    explanations : iterable of Explanation
    values : int
        How many values are written of every step.
    """
    part: list[Explanation] = []
    size = 0
    for explanation in explanations:
        part.append(explanation)
        size += len(explanation.sequence.inputs) * values
        if size >= PART_VALUES:
            yield part
            part, size = [], 0
    if part:
        yield part
