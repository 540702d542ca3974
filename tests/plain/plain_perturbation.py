"""What a score loses without an input, by one forward pass of one sequence for each input."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from plain_forward import embedded, scores_of

from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.model import Model


def occlusion(model: Model, sequence: NDArray[Any], target: int, step: int | None = None) -> Floats:
    """The score minus the score with all numbers of a position 0, for each position.

    Of a model that gives scores at every step, it is the score of the step that is chosen.
    """
    values = embedded(model, sequence)
    losses = np.zeros(len(values))
    for t in range(len(values)):
        without = values.copy()
        without[t] = 0.0
        losses[t] = _score(model, values, target, step) - _score(model, without, target, step)
    return losses


def feature_occlusion(
    model: Model, sequence: NDArray[Any], target: int, step: int | None = None
) -> Floats:
    """The score minus the score with one number 0, for each number: shape (steps, features)."""
    values = embedded(model, sequence)
    losses = np.zeros(values.shape)
    for at in np.ndindex(*values.shape):
        without = values.copy()
        without[at] = 0.0
        losses[at] = _score(model, values, target, step) - _score(model, without, target, step)
    return losses


def omission(model: Model, sequence: NDArray[Any], target: int) -> Floats:
    """The score minus the score of the sequence without a position, for each position.

    It says nothing of models that need a number of steps, or give scores at every step.
    """
    values = embedded(model, sequence)
    losses = np.zeros(len(values))
    for t in range(len(values)):
        without = np.delete(values, t, axis=0)
        losses[t] = _score(model, values, target) - _score(model, without, target)
    return losses


def _score(model: Model, values: Floats, target: int, step: int | None = None) -> float:
    scores = scores_of(model, values)
    return float(scores[target] if step is None else scores[step, target])
