"""One sequence of the user's input."""

from collections.abc import Iterable
from itertools import accumulate, pairwise
from typing import Any, Protocol, Self, TypeVar

from msgspec import Struct
from numpy.typing import NDArray


class Sequence(Struct, frozen=True, eq=False, gc=False):
    """A sequence of tokens or of numeric steps, as it was read.

    There are millions of them. A struct is made in a tenth of the time of a frozen dataclass.

    Parameters
    ----------
    number : int
        Its place in the input, from 0.
    inputs : ndarray, shape (steps,) of token ids, or (steps, features) of numbers
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
    """

    number: int
    inputs: NDArray[Any]
    tokens: tuple[str, ...] | None = None
    features: tuple[str, ...] | None = None
    id: str | int | None = None
    gold: int | None = None
    unknown: int = 0

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def name(self) -> str | None:
        """The id as text, where there is one that tells more than the number."""
        return None if self.id in (None, self.number) else str(self.id)


class Sliceable(Protocol):
    """A list, or an array."""

    def __getitem__(self, key: slice, /) -> Self: ...


Values = TypeVar("Values", bound=Sliceable)


def pieces(values: Values, lengths: Iterable[int]) -> list[Values]:
    """Cut values into pieces of these lengths. `np.split` takes three times as long."""
    ends = accumulate(lengths, initial=0)
    return [values[start:end] for start, end in pairwise(ends)]
