"""What is made of a model's numbers before it has them: scalings, feature by feature."""

from functools import reduce

import numpy as np
from msgspec import Struct

from . import Floats


class ScalingStep(Struct, frozen=True, eq=False):
    """(number - minus) / divide, or by `invert` backwards: number * divide + minus.

    The two are each other's inverse, and each is computed as it is written: a library that does the
    same has the same numbers, to the last digit.

    Parameters
    ----------
    minus, divide : ndarray of float64, shape (features,)
    invert : bool
    clip : pair of float or None
        What is made is not below the first nor above the second.
    """

    minus: Floats
    divide: Floats
    invert: bool = False
    clip: tuple[float, float] | None = None

    def of(self, values: Floats) -> Floats:
        if self.invert:
            made = values * self.divide + self.minus
        else:
            made = (values - self.minus) / self.divide
        return made if self.clip is None else np.clip(made, *self.clip)

    def undone(self, made: Floats) -> Floats:
        """The numbers of which that is made, but for what is cut off them."""
        if self.invert:
            return (made - self.minus) / self.divide
        return made * self.divide + self.minus


class Scaling(Struct, frozen=True, eq=False):
    """What is made of every number of an input, or was made of what a regressor was to predict.

    Parameters
    ----------
    steps : tuple of ScalingStep
        One after the other.
    dtype : numpy.dtype
        Of what is made: the model's.
    """

    steps: tuple[ScalingStep, ...]
    dtype: np.dtype[np.floating]

    def of(self, values: Floats) -> Floats:
        """Scale numbers, shape (steps, features)."""
        with np.errstate(over="ignore", invalid="ignore"):
            scaled: Floats = reduce(lambda made, step: step.of(made), self.steps, values)
        return scaled.astype(self.dtype)

    def undone(self, scaled: Floats) -> Floats:
        """The numbers that are so scaled, shape (rows, features)."""
        with np.errstate(over="ignore", invalid="ignore"):
            return self._undone(scaled).astype(self.dtype)

    def _undone(self, scaled: Floats) -> Floats:
        return reduce(lambda made, step: step.undone(made), reversed(self.steps), scaled)

    @property
    def minus(self) -> Floats:
        """The numbers of which 0 is made, but for what is cut off."""
        return self._undone(np.zeros_like(self.divide))

    @property
    def divide(self) -> Floats:
        """How much one unit of what is made is in the units of the user's."""
        units = (1.0 / each.divide if each.invert else each.divide for each in self.steps)
        return reduce(np.multiply, units)

    def then(self, other: "Scaling") -> "Scaling":
        """Both as one, this one first."""
        return Scaling((*self.steps, *other.steps), self.dtype)
