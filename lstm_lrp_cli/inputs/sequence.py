"""One sequence of the user's input."""

from collections.abc import Iterable, Iterator
from collections.abc import Sequence as Several
from itertools import accumulate, pairwise, zip_longest
from typing import Any, Protocol, Self, TypeVar

from msgspec import Struct
from numpy.typing import NDArray

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.model.model import Input, Model


class Part(Protocol):
    """What one input of a model is given of a sequence.

    A Sequence is that of the first input, as which it has what the only one is given; there are
    millions of them, and nothing more is made of each.
    """

    @property
    def inputs(self) -> NDArray[Any]:
        """Token ids, shape (steps,), or numbers, shape (steps, features); a vector is one step."""
        ...

    @property
    def tokens(self) -> tuple[str, ...] | None:
        """The tokens as they are shown; None of numbers."""
        ...

    @property
    def features(self) -> tuple[str, ...] | None:
        """What the features of numbers are called."""
        ...

    @property
    def unknown(self) -> int:
        """How many of the tokens the vocabulary does not know."""
        ...

    @property
    def dates(self) -> tuple[str, ...] | None:
        """When each step was, as the user wrote it; None where that is not known."""
        ...


class FurtherPart(Struct, frozen=True, eq=False, gc=False):
    """What an input behind the first is given of a sequence, as `Part` has it."""

    inputs: NDArray[Any]
    tokens: tuple[str, ...] | None = None
    features: tuple[str, ...] | None = None
    unknown: int = 0
    dates: tuple[str, ...] | None = None


class Sequence(Struct, frozen=True, eq=False, gc=False):
    """A sequence of tokens or of numeric steps, as it was read.

    There are millions of them. A struct is made in a tenth of the time of a frozen dataclass.

    Parameters
    ----------
    number : int
        Its place in the input, from 0.
    inputs : ndarray, shape (steps,) of token ids, or (steps, features) of numbers
        Of a model with several inputs, what the first is given; so are tokens, features, unknown.
    tokens : tuple of str or None
        The tokens as they are shown; None in a numeric series.
    features : tuple of str or None
        The names of a numeric series' features.
    id : str, int or None
        The name that the input gives it.
    gold : int or None
        The number of its true class.
    unknown : int
        How many of its tokens the vocabulary does not know.
    others : tuple of FurtherPart
        What the further inputs are given.
    dates : tuple of str or None
        When each step was, as the input has it; None where it does not say.
    """

    number: int
    inputs: NDArray[Any]
    tokens: tuple[str, ...] | None = None
    features: tuple[str, ...] | None = None
    id: str | int | None = None
    gold: int | None = None
    unknown: int = 0
    others: tuple[FurtherPart, ...] = ()
    dates: tuple[str, ...] | None = None

    def __len__(self) -> int:
        """The steps of all inputs together."""
        steps = len(self.inputs)
        return steps + sum([len(each.inputs) for each in self.others]) if self.others else steps

    @property
    def parts(self) -> tuple[Part, ...]:
        """What each input is given, in the model's order."""
        return (self, *self.others)

    @property
    def name(self) -> str | None:
        """The id as text, where there is one that tells more than the number."""
        return None if self.id in (None, self.number) else str(self.id)

    @property
    def has_dates(self) -> bool:
        """Whether it is known of any input when its steps were."""
        return self.dates is not None or any(each.dates is not None for each in self.others)

    @property
    def last_date(self) -> str | None:
        """When the last step was, of the first input of which that is known."""
        return next((part.dates[-1] for part in self.parts if part.dates), None)


def joined(number: int, of_inputs: Several[Sequence]) -> Sequence:
    """One sequence of what was read for each input, by itself."""
    first, *others = of_inputs
    return Sequence(
        number,
        first.inputs,
        first.tokens,
        first.features,
        next((each.id for each in of_inputs if each.id is not None), None),
        next((each.gold for each in of_inputs if each.gold is not None), None),
        first.unknown,
        tuple(
            FurtherPart(each.inputs, each.tokens, each.features, each.unknown, each.dates)
            for each in others
        ),
        first.dates,
    )


def together(
    streams: Several[Iterable[Sequence]], model: Model, places: Several[str]
) -> Iterator[Sequence]:
    """Sequences of what was read for each input, one after the other.

    Parameters
    ----------
    streams : sequence of iterables of Sequence
        One an input.
    places : sequence of str
        What messages call them.

    Raises
    ------
    UnusableInput
        They are not of the same number of sequences.
    """
    for number, of_inputs in enumerate(zip_longest(*streams)):
        there = [each for each in of_inputs if each is not None]
        if len(there) < len(of_inputs):
            ended = next(k for k, each in enumerate(of_inputs) if each is None)
            more = next(k for k, each in enumerate(of_inputs) if each is not None)
            raise UnusableInput(
                places[ended],
                f"ends after {number} sequence{'s' * (number != 1)}, and {places[more]} has more; "
                f"expected as many for each input ({', '.join(model.input_names)})",
            )
        yield joined(number, there)


def ways_to_give(model: Model) -> str:
    """How a model with several inputs is given all of them, as a message says it."""
    names = model.input_names
    return (
        f"the model has the inputs {', '.join(names)}; expected JSON lines with a key for each, an "
        f".npz or .h5 with an array for each, or a file for each: "
        f"{' '.join(f'{name}=FILE' for name in names)}"
    )


def check_named(names: Iterable[str], model: Model, where: str, what: str) -> None:
    """Refuse what is not just one thing for each input of a model, by its name.

    Raises
    ------
    UnusableInput
        One is missing, or is no input's.
    """
    there = list(names)
    listed = ", ".join(model.input_names)
    for name in model.input_names:
        if name not in there:
            found = f"holds {', '.join(there[:8])}" if there else "holds nothing"
            raise UnusableInput(
                where, f"has no {what} `{name}` ({found}); expected one for each input: {listed}"
            )
    for name in there:
        if name not in model.input_names:
            raise UnusableInput(
                where, f"has {what} `{name}`, which is no input of the model; expected {listed}"
            )


class Sliceable(Protocol):
    """A list, or an array."""

    def __getitem__(self, key: slice, /) -> Self: ...


Values = TypeVar("Values", bound=Sliceable)


def pieces(values: Values, lengths: Iterable[int]) -> list[Values]:
    """Cut values into pieces of these lengths. `np.split` takes three times as long."""
    ends = accumulate(lengths, initial=0)
    return [values[start:end] for start, end in pairwise(ends)]


def each_input(sequences: Several[Sequence], model: Model) -> Iterator[tuple[Input, list[Part]]]:
    """Each input of a model, and what it is given of each of some sequences."""
    inputs = model.inputs
    if len(inputs) == 1:
        yield inputs[0], list[Part](sequences)
        return
    for number, read in enumerate(inputs):
        yield read, [sequence.parts[number] for sequence in sequences]
