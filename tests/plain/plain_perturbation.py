"""What a score loses without an input, by one forward pass of one sequence for each input.

Of a model with several inputs each finds a tuple, with the losses without what each is given.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from plain_forward import Given, by_input, embedded, scores_of

from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.model import Model

Losses = Floats | tuple[Floats, ...]


def occlusion(model: Model, sequence: Given, target: int, step: int | None = None) -> Losses:
    """The score minus the score with all numbers of a position 0, for each position.

    Of a model that gives scores at every step, it is the score of the step that is chosen. An input
    that is one vector is one position: shape (1,).
    """
    values = embedded(model, sequence)
    losses = []
    for k, each in enumerate(by_input(values)):
        of_positions = np.zeros(len(each) if each.ndim == 2 else 1)
        for t in range(len(of_positions)):
            without = each.copy()
            without[t if each.ndim == 2 else slice(None)] = 0.0
            of_positions[t] = _loss(model, values, _changed(values, k, without), target, step)
        losses.append(of_positions)
    return _as_given(sequence, losses)


def feature_occlusion(
    model: Model, sequence: Given, target: int, step: int | None = None
) -> Losses:
    """The score minus the score with one number 0, for each number: of the input's own shape."""
    values = embedded(model, sequence)
    losses = []
    for k, each in enumerate(by_input(values)):
        of_numbers = np.zeros(each.shape)
        for at in np.ndindex(*each.shape):
            without = each.copy()
            without[at] = 0.0
            of_numbers[at] = _loss(model, values, _changed(values, k, without), target, step)
        losses.append(of_numbers)
    return _as_given(sequence, losses)


def omission(model: Model, sequence: Given, target: int) -> Losses:
    """The score minus the score of the sequence without a position, for each position.

    It says nothing of models that need a number of steps, or give scores at every step, and of an
    input that is one vector: shape (0,).
    """
    values = embedded(model, sequence)
    losses = []
    for k, each in enumerate(by_input(values)):
        of_positions = np.zeros(len(each) if each.ndim == 2 else 0)
        for t in range(len(of_positions)):
            without = np.delete(each, t, axis=0)
            of_positions[t] = _loss(model, values, _changed(values, k, without), target, None)
        losses.append(of_positions)
    return _as_given(sequence, losses)


def shared_losses(
    model: Model,
    sequence: Given,
    target: int,
    groups: list[list[list[tuple[int, int]]]],
    fillings: list[Floats],
    step: int | None = None,
) -> Losses:
    """The score minus the score with some numbers replaced, group by group, and shared evenly.

    Parameters
    ----------
    groups : list of list of list of (int, int)
        Of each input, the positions and features of each group.
    fillings : list of ndarray
        Of each input, what stands in place of its numbers, of their shape.

    Returns
    -------
    ndarray, shape (positions, features), or a tuple of them
    """
    values = embedded(model, sequence)
    losses = []
    for k, each in enumerate(by_input(values)):
        of_numbers = np.zeros(np.atleast_2d(each).shape)
        for group in groups[k]:
            without = np.atleast_2d(each).copy()
            for at in group:
                without[at] = np.atleast_2d(fillings[k])[at]
            lost = _loss(
                model, values, _changed(values, k, without.reshape(each.shape)), target, step
            )
            for at in group:
                of_numbers[at] = lost / len(group)
        losses.append(of_numbers)
    return _as_given(sequence, losses)


def _changed(values: Given, k: int, without: NDArray[Any]) -> Given:
    """The values with others for one input."""
    if not isinstance(values, tuple):
        return without
    return (*values[:k], without, *values[k + 1 :])


def _as_given(sequence: Given, losses: list[Floats]) -> Losses:
    return tuple(losses) if isinstance(sequence, tuple) else losses[0]


def _loss(model: Model, values: Given, changed: Given, target: int, step: int | None) -> float:
    return _score(model, values, target, step) - _score(model, changed, target, step)


def _score(model: Model, values: Given, target: int, step: int | None) -> float:
    scores = scores_of(model, values)
    return float(scores[target] if step is None else scores[step, target])
