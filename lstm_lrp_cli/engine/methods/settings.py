"""What methods can be set to. No NumPy is loaded: the command line's options are made of this."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lstm_lrp_cli.model import Booleans, Floats, Integers


class InputBaseline(Struct, frozen=True, eq=False):
    """What stands for no input at one input of a model: a sample, or several.

    Parameters
    ----------
    array : ndarray, shape (samples, steps) of token ids, or (samples, steps, features) of numbers
        Numbers are as the first layer has them. One step stands for every step.
    weights : ndarray, shape (tokens, features), or None
        What ids are looked up in.
    """

    array: NDArray[Any]
    weights: Floats | None = None

    @property
    def samples(self) -> int:
        return len(self.array)

    def sample(self, number: int) -> Floats:
        """One sample, shape (steps, features)."""
        own: Floats = self.array[number]
        return own if self.weights is None else self.weights[own]


class Baseline(Struct, frozen=True, eq=False):
    """What counts as no input at all.

    Parameters
    ----------
    name : str
        As the command line has it.
    inputs : tuple of (InputBaseline or None)
        Of each input; None is zero, and so are all where there are none. Those of several samples
        have equally many.
    sequences : int or None
        How many sequences it was made of.
    """

    name: str
    inputs: tuple[InputBaseline | None, ...] = ()
    sequences: int | None = None

    @property
    def samples(self) -> int:
        """How many baselines there are, of which each counts the same."""
        return max((each.samples for each in self.inputs if each is not None), default=1)

    def of_input(self, number: int) -> InputBaseline | None:
        """That of one input; None is zero."""
        return self.inputs[number] if self.inputs else None

    def sample(self, number: int, sample: int) -> Floats | None:
        """One sample of an input, shape (steps, features); None is zero."""
        own = self.of_input(number)
        return None if own is None else own.sample(sample if own.samples > 1 else 0)

    @property
    def settings(self) -> dict[str, Any]:
        """As reports tell it: its name, and how many sequences it was made of."""
        made_of = {} if self.sequences is None else {"baseline_sequences": self.sequences}
        return {"baseline": self.name, **made_of}


ZERO = Baseline("zero")


class InputGroups(Struct, frozen=True, eq=False):
    """What of one input is taken as one. Without any of it, each step or feature is alone.

    Parameters
    ----------
    spans : tuple of slice
        Steps that are one, of those that the model is run on, without padding; others are alone.
        A step is of the first span that has it.
    every : int or None
        So many steps are one, and as many after them.
    begins, ends : ndarray of bool, shape (tokens,), or None
        By a token's id, whether something begins with it, and whether something ends with it.
    features : ndarray of int, shape (1, features), or (steps, features), or None
        The group of each feature, from 0 on: at every step alone, or of whole sequences.
    """

    spans: tuple[slice, ...] = ()
    every: int | None = None
    begins: Booleans | None = None
    ends: Booleans | None = None
    features: Integers | None = None


class Groups(Struct, frozen=True, eq=False):
    """What is taken as one.

    Parameters
    ----------
    name : str
        As the command line has it.
    inputs : tuple of InputGroups
        One an input.
    """

    name: str
    inputs: tuple[InputGroups, ...]


class Settings(Struct, frozen=True, eq=False):
    """What methods can be set to; each takes what concerns it.

    Parameters
    ----------
    eps, bias_factor : float
        Of the LRP rules: the stabilizer, and what part of biases and stabilizers is redistributed.
    steps : int
        Of integrated gradients: how many points of the path are looked at.
    baseline : Baseline
        Of integrated gradients: where the path begins. Of occlusion: what is put in a place.
    groups : Groups or None
        Of occlusion: what is hidden as one; None is each step, or feature, alone.
    span : slice or None
        Of contextual decomposition: the tokens that are decomposed as one; None is each alone.
    seed : int
        Of the random control.
    """

    eps: float = 1e-3
    bias_factor: float = 0.0
    steps: int = 50
    baseline: Baseline = ZERO
    groups: Groups | None = None
    span: slice | None = None
    seed: int = 0
