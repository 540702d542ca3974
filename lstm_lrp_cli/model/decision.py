"""What a model decides: classes, and which of them its scores take."""

import numpy as np
from msgspec import Struct

from . import Floats, Integers
from .model import Model


class Decision(Struct, frozen=True):
    """Classes among which a model chooses one.

    Parameters
    ----------
    name : str or None
        Of a model with several outputs: which one it is.
    scores : slice
        Where the classes' scores stand among all.
    classes : tuple of str or int
        The classes' labels, or numbers. Of one score they are 0 and 1, unless both have labels.
    targets : tuple of int or None
        What is explained of each class; None of class 0 of a single score among others.
    one : str, int or None
        Of one score: the name of what it speaks for, which is what class 1 means.
    """

    name: str | None
    scores: slice
    classes: tuple[str | int, ...]
    targets: tuple[int | None, ...]
    one: str | int | None = None

    @property
    def first(self) -> int:
        """The number of the first class: that of its score; of one score, 0."""
        return self.scores.start if self.one is None else 0

    def taken(self, scores: Floats) -> Integers:
        """The class of each row of scores, by its place in `classes`.

        It is that of the highest score; of one score, class 1 where it is above 0.
        """
        own = scores[:, self.scores]
        if self.one is not None:
            return (own[:, 0] > 0).astype(np.intp)
        highest: Integers = own.argmax(axis=1)
        return highest

    def second(self, scores: Floats) -> Integers:
        """The class of each row of scores that comes second, by its place in `classes`."""
        taken = self.taken(scores)
        if self.one is not None:
            return 1 - taken
        own = scores[:, self.scores].copy()
        own[np.arange(len(own)), taken] = -np.inf
        second: Integers = own.argmax(axis=1)
        return second

    def likelihood(self, taken: Integers, probabilities: Floats) -> Floats:
        """The probability of the class that was taken, of each row."""
        own = probabilities[:, self.scores]
        if self.one is not None:
            return np.where(taken == 1, own[:, 0], 1.0 - own[:, 0])
        of_taken: Floats = own[np.arange(len(own)), taken]
        return of_taken


def decisions_of_heads(model: Model) -> list[Decision | None]:
    """What each head decides; None of one whose scores are values, as a regressor's are."""
    found: list[Decision | None] = []
    kinds = zip(model.heads, model.head_slices, model.likelihoods, strict=True)
    for number, (head, at, likelihood) in enumerate(kinds):
        name = None if len(model.heads) == 1 else head.name or str(number)
        targets = tuple(map(model.target_of, range(at.start, at.stop)))
        names = tuple(map(model.target_name, targets))
        if likelihood == "linear":
            found.append(None)
        elif head.size > 1:
            found.append(Decision(name, at, names, targets))
        else:
            both = model.binary and len(model.labels or ()) == model.targets
            classes = tuple(model.labels or ()) if both else (0, 1)
            found.append(
                Decision(name, at, classes, (0 if model.binary else None, *targets), *names)
            )
    return found


def decisions_of(model: Model) -> tuple[Decision, ...]:
    """What a model decides: one thing, something at each output, or, as a regressor, nothing."""
    return tuple(decision for decision in decisions_of_heads(model) if decision is not None)
